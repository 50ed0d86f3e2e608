"""Takes README's pictures of the page anew, with people in it: `PYTHONPATH=src python -m tests.e2e.pictures`.

Emoji are in colour where a font has them (Debian's fonts-noto-color-emoji).
"""

import base64
from typing import Any, Literal

from playwright.sync_api import Browser, expect, sync_playwright

from gateway.testing import Gateway
from tests.e2e.conftest import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.e2e.people import Guest, Host
from tests.e2e.processes import ROOT

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "locale": "de",
}
BUS_PLAN = "Bus plan from the station:\n```\n11:12  line 4  → Mill Road\n11:42  line 4  → Mill Road\n```"
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SUNSET = """() => {
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [640, 400];
  const paint = picture.getContext("2d");
  const sky = paint.createLinearGradient(0, 0, 0, 330);
  sky.addColorStop(0, "#ffb37b");
  sky.addColorStop(0.65, "#ff7a5c");
  sky.addColorStop(1, "#3b2348");
  paint.fillStyle = sky;
  paint.fillRect(0, 0, 640, 400);
  paint.fillStyle = "#ffe6c0";
  paint.arc(420, 170, 46, 0, 7);
  paint.fill();
  paint.fillStyle = "#3b2348";
  paint.beginPath();
  [[0, 300], [140, 190], [260, 285], [380, 190], [520, 295], [640, 230], [640, 400], [0, 400]].forEach(
    ([x, y]) => paint.lineTo(x, y));
  paint.fill();
  return picture.toDataURL("image/png").split(",")[1];
}"""


def main() -> None:
    with (
        Gateway(ROOT / "template.yaml", parameters=lambda url: {"PublicUrl": url, "RoomsPerHour": 0}) as gateway,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        talk(browser, gateway.url)
        browser.close()


def talk(browser: Browser, url: str) -> None:
    """Let four people talk, and take a picture of what each of two sees, light and dark."""
    olga = Host(browser, url, "Olga", "Picnic on Sunday", **DESKTOP)
    ada = Guest(browser, olga.link, "Ada")
    mehmet = Guest(browser, olga.link, "Mehmet")
    noor = Guest(browser, olga.link, "Noor", **PHONE)
    people = (olga, ada, mehmet, noor)

    def say(guest: Guest, text: str) -> None:
        guest.say(text)
        for each in people:
            each.sees(text.splitlines()[0])

    say(olga, "Sunday at noon by the lake?")
    say(ada, "Yes! I bring lemonade and a blanket")
    say(mehmet, "Last time it looked like this:")
    sunset = base64.b64decode(mehmet.page.evaluate(SUNSET))
    mehmet.at("picker").set_input_files({"name": "sunset.png", "mimeType": "image/png", "buffer": sunset})
    mehmet.at("send").click()
    for each in people:
        expect(each.at("picture")).to_have_attribute("data-state", "loaded", timeout=20_000)
    for each in (ada, olga):
        each.at("message").filter(has=each.at("picture")).hover()
        each.at("message").filter(has=each.at("picture")).get_by_test_id("message-more").click()
        each.page.locator('[data-testid=react][data-emoji="❤️"]').click()
    olga.act("lemonade", "reply")
    say(olga, "Lemonade! Then I bring börek, see https://example.org/boerek")
    noor.at("composer").fill(BUS_PLAN)
    noor.at("send").click()
    for each in people:
        each.sees("Bus plan")
    say(ada, "11:12 it is. שבת שלום!")
    for guest in (olga, noor):
        expect(guest.at("message").filter(has=guest.page.locator(".mark")).last).to_have_attribute("data-state", "seen")
    for theme in THEMES:
        for name, guest in (("desktop", olga), ("phone", noor)):
            guest.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            mehmet.at("composer").press_sequentially("I")  # he is typing
            guest.at("composer").focus()
            guest.page.evaluate("scroller.scrollTop = scroller.scrollHeight")
            expect(guest.page.locator("#typing")).to_contain_text("Mehmet")
            guest.page.screenshot(path=ROOT / "docs" / f"chat-{name}-{theme}.png", scale="css")
            mehmet.at("composer").fill("")


if __name__ == "__main__":
    main()
