"""What the page weighs, how soon it is there, and whether a room of 10,000 messages stays smooth.

In Chromium, on the local gateway with warm functions. Times are of this machine, beside each other in one run: the
first paint next to that of an empty document, a long room's frames next to a short one's. A frame's work is what its
renderer's main thread is busy between two frames, from Chromium's own trace; 16.7 ms are one frame of 60 a second.
"""

import contextlib
import io
import json
import statistics
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from gateway.testing import Gateway
from tests.chat.long_room import fill
from tests.chat.person import Invitation
from tests.e2e.conftest import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.e2e.processes import ROOT

ROUNDS = 9
LONG, SHORT = 10_000, 50
SENT = 40
SCROLLS = 60
PAINT = """new Promise((done) => new PerformanceObserver((list) => {
  const [entry] = list.getEntriesByName("first-contentful-paint");
  if (entry) done(entry.startTime);
}).observe({ type: "paint", buffered: true }))"""
HEAP = "performance.memory.usedJSHeapSize"


def main() -> None:
    if CHROMIUM is None:
        print("The page is not measured: there is no Chromium (Debian: chromium)")
        return
    parameters = {"RoomsPerHour": 0}
    with (
        # Only what is measured is to be seen, unless it fails.
        contextlib.redirect_stderr(io.StringIO()),
        Gateway(ROOT / "template.yaml", parameters=lambda url: {"PublicUrl": url, **parameters}) as gateway,
        sync_playwright() as playwright,
    ):
        arguments = [*CHROMIUM_ARGUMENTS, "--enable-precise-memory-info", "--js-flags=--expose-gc"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        weigh(browser, gateway)
        first(browser, gateway)
        print(f"\n{'':24}{'frame: median':>14}{'p95':>8}{'frames':>8}{'heap':>9}{'nodes':>8}")
        for count in (SHORT, LONG):
            smooth(browser, gateway, count)
        browser.close()


def weigh(browser: Browser, gateway: Gateway) -> None:
    """Print what is loaded to be in a room, as it comes over the wire and as it is."""
    page = browser.new_page()
    requests: list[Request] = []
    page.on("requestfinished", lambda request: requests.append(request))  # it cannot take a built-in one
    enter(page, invitation(gateway))
    files = [request for request in requests if not urlsplit(request.url).query and "/api/" not in request.url]
    wire = sum(request.sizes()["responseBodySize"] for request in files)
    whole = sum(len(response.body()) for request in files if (response := request.response()) and response.ok)
    print(f"The page with its client: {wire / 1000:.0f} kB over the wire, {whole / 1000:.0f} kB, {len(files)} files")
    page.close()


def first(browser: Browser, gateway: Gateway) -> None:
    """Print how soon something is to be seen, and the first message is sent."""
    nothing, paints, sent = [], [], []
    for _ in range(ROUNDS):
        with browser.new_context() as context:
            nothing.append(painted(context, "data:text/html,<p>nothing"))
        with browser.new_context() as context:
            paints.append(painted(context, gateway.url))
        with browser.new_context() as context:
            sent.append(first_message(context, invitation(gateway)))
    there, bare, said = (statistics.median(times) for times in (paints, nothing, sent))
    print(f"Medians of {ROUNDS}: first paint {there:.0f} ms; that of a document of one word {bare:.0f} ms")
    print(f"From entering a room until the first message is sent: {said:.0f} ms")


def painted(context: BrowserContext, url: str) -> float:
    page = context.new_page()
    page.goto(url)
    return float(page.evaluate(PAINT))


def first_message(context: BrowserContext, made: Invitation) -> float:
    page = context.new_page()
    page.goto(str(made.link))
    page.get_by_test_id("name").fill("Ann")
    page.evaluate("window.began = performance.now()")
    page.get_by_test_id("enter").click()
    page.get_by_test_id("composer").fill("Hello")
    page.get_by_test_id("send").click()
    page.locator("[data-testid=message][data-state=sent]").wait_for()
    return float(page.evaluate("performance.now() - window.began"))


def smooth(browser: Browser, gateway: Gateway, count: int) -> None:
    """Print a room's frames while somebody scrolls to its beginning and back, and while messages are sent."""
    made = invitation(gateway)
    fill(gateway.table("Table"), made, count)
    with browser.new_context() as context:
        page = context.new_page()
        enter(page, made)
        page.get_by_test_id("message").first.wait_for()
        for what, act in (("scrolling", scroll), ("sending", send)):
            browser.start_tracing(page=page, categories=["devtools.timeline", "disabled-by-default-devtools.timeline"])
            act(page)
            frames = work_of_frames(json.loads(browser.stop_tracing()))
            page.evaluate("window.gc()")
            heap, nodes = page.evaluate(HEAP) / 1e6, page.evaluate("document.querySelectorAll('*').length")
            p95 = statistics.quantiles(frames, n=20)[-1]
            name = f"{count:,} messages, {what}"
            print(f"{name:26}{statistics.median(frames):9.1f} ms{p95:5.1f} ms{len(frames):8}{heap:6.1f} MB{nodes:8}")


def scroll(page: Page) -> None:
    page.get_by_test_id("messages").hover()
    for direction in (-1, 1):
        for _ in range(SCROLLS):
            page.mouse.wheel(0, direction * 1_500)
            page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def send(page: Page) -> None:
    """Send more than a person may at once, so that some wait."""
    for number in range(SENT):
        page.get_by_test_id("composer").fill(f"number {number}")
        page.get_by_test_id("send").click()
    page.wait_for_timeout(2_000)


def work_of_frames(trace: dict[str, Any]) -> list[float]:
    """Return the milliseconds that the page's main thread worked for each of its frames."""
    events = trace["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"].get("name") == "CrRendererMain"
    }
    frames: list[float] = []
    for thread in threads:
        own = sorted((e for e in events if (e["pid"], e["tid"]) == thread and "ts" in e), key=lambda e: e["ts"])
        work = 0.0
        for event in own:
            if event["name"] == "RunTask":
                work += event.get("dur", 0) / 1000
            elif event["name"] == "Commit":  # the frame goes to the compositor, at the end of its task
                frames.append(work)
                work = 0.0
    return frames


def invitation(gateway: Gateway) -> Invitation:
    made = Invitation(gateway.url)
    made.create(title="Bench")
    return made


def enter(page: Page, made: Invitation) -> None:
    page.goto(str(made.link))
    page.get_by_test_id("name").fill("Olga")
    page.get_by_test_id("enter").click()
    page.locator("[data-testid=status][data-state=online]").wait_for()


if __name__ == "__main__":
    main()
