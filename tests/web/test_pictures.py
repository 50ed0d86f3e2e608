"""What the page makes of pictures before they are sealed, in a browser: Node has no canvas."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, sync_playwright

from tests.e2e.conftest import CHROMIUM_ARGUMENTS

WEB = Path(__file__).parents[2] / "src" / "web"
ORIGIN = "https://fleeting.test"
CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.browser

PREPARE = """
async ([kind, width, height, exif, isOld]) => {
  const { prepare } = await import("/web/chat/files.js");
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "red";
  context.fillRect(0, 0, width / 2, height);
  let bytes = new Uint8Array(await (await canvas.convertToBlob({ type: kind })).arrayBuffer());
  if (exif) bytes = new Uint8Array([...bytes.subarray(0, 2), ...exif, ...bytes.subarray(2)]);
  const { OffscreenCanvas: kept } = globalThis;
  if (isOld) globalThis.OffscreenCanvas = undefined;
  const { file, blob } = await prepare(new File([bytes], "Holiday.old.PIC", { type: kind }));
  globalThis.OffscreenCanvas = kept;
  const drawn = await createImageBitmap(blob);
  const text = new TextDecoder("latin1").decode(await blob.arrayBuffer());
  return { file, type: blob.type, drawn: [drawn.width, drawn.height], secret: text.includes("SECRET PLACE") };
}
"""

MEASURE = """
async ([kind, width, height]) => {
  const { sidesOf } = await import("/web/chat/pictures.js");
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").fillRect(0, 0, width / 2, height);
  return sidesOf(await canvas.convertToBlob({ type: kind, quality: 0.9 }));
}
"""

AS_IT_IS = """
async ([type, text]) => {
  const { prepare } = await import("/web/chat/files.js");
  const { file, blob } = await prepare(new File([text], "a.b", { type }));
  return { file, same: (await blob.text()) === text };
}
"""


def serve(route: Route) -> None:
    path = WEB / route.request.url.removeprefix(f"{ORIGIN}/web/")
    if path.is_file():
        route.fulfill(body=path.read_text(), content_type="text/javascript")
    else:
        route.fulfill(body="<!doctype html>", content_type="text/html")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page()
        page.route(f"{ORIGIN}/**", serve)
        page.goto(ORIGIN)
        yield page
        browser.close()


def exif(orientation: int) -> list[int]:
    """Return a JPEG's APP1 segment (Exif 2.3, 4.5.4): one field that turns the picture, and what nobody is to learn."""
    field = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2) + b"\x00\x00"
    body = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01" + field + b"\x00\x00\x00\x00SECRET PLACE"
    return list(b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body)


@pytest.mark.parametrize("is_old", [False, True], ids=["", "without OffscreenCanvas"])
@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/webp"])
def test_a_large_picture_is_shrunk(page: Page, kind: str, is_old: bool) -> None:
    made: dict[str, Any] = page.evaluate(PREPARE, [kind, 3200, 1000, None, is_old])
    file = made["file"]
    assert (file["width"], file["height"]) == tuple(made["drawn"]) == (1600, 500)
    assert (file["type"], made["type"], file["name"]) == ("image/webp", "image/webp", "Holiday.old.webp")


def test_a_small_picture_is_drawn_anew_upright_and_without_its_place(page: Page) -> None:
    made = page.evaluate(PREPARE, ["image/jpeg", 300, 200, exif(6), False])
    assert made["drawn"] == [200, 300]
    assert not made["secret"]


@pytest.mark.parametrize("kind", ["image/svg+xml", "image/gif", "text/plain", "image/png"])
def test_what_is_no_picture_that_can_be_drawn_stays_as_it_is(page: Page, kind: str) -> None:
    made = page.evaluate(AS_IT_IS, [kind, "<svg xmlns='http://www.w3.org/2000/svg'/>"])
    assert made["same"]
    assert (made["file"]["name"], made["file"]["type"], made["file"]["count"]) == ("a.b", kind, 1)
    assert "width" not in made["file"]


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/webp"])
def test_a_picture_says_how_large_it_is(page: Page, kind: str) -> None:
    assert page.evaluate(MEASURE, [kind, 1234, 567]) == [1234, 567]
