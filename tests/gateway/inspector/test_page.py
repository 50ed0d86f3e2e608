"""The inspector's page in Chromium."""

import asyncio
import re
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.e2e.clients.firefox import Firefox
from tests.e2e.conftest import browser, chromium, firefox
from tests.gateway.conftest import Started

__all__ = ["browser", "chromium", "firefox"]

pytestmark = pytest.mark.browser
MANY = 1000


@pytest.fixture
def page(inspected: Started, browser: Browser) -> Iterator[Page]:
    """The page, which must not complain: neither of a script's error, nor of its own policy."""
    context = browser.new_context(viewport={"width": 1440, "height": 860})
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # A refused action is one of the page's own words, and the browser's.
        if message.type in ("error", "warning") and "the server responded with a status" not in message.text:
            said.append(message.text)

    opened = context.new_page()
    opened.on("console", hear)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(f"{inspected.url}/_gateway/")
    expect(opened.locator("#state")).to_have_text("live")
    yield opened
    context.close()
    assert said == []


def test_a_connection_and_its_frames_live(inspected: Started, page: Page) -> None:
    with inspected.connect(user_agent_header="the one under test") as client:
        listed = page.locator("#clients .client", has_text="the one under test")
        expect(listed).to_be_visible()
        expect(page.locator("#clients-count")).to_have_text("1")
        client.send("write 1")
        client.recv(10)
        row = page.locator("#rows .row.in", has_text="write 1")
        expect(row).to_be_visible()
        row.click()
        details = page.locator("#details")
        expect(details.locator(".waterfall .span.is-run")).to_be_visible()
        expect(details.locator(".waterfall")).to_contain_text("PutItem things")
        # Each bar is inside of the time that it shows.
        outside = """bars => bars.filter((bar) => {
            const [inner, outer] = [bar, bar.parentElement].map((one) => one.getBoundingClientRect());
            return inner.left < outer.left || inner.right > outer.right;
        }).map((bar) => bar.outerHTML)"""
        assert details.locator(".waterfall .span").evaluate_all(outside) == []
        details.locator("summary", has_text="Event").click()
        expect(details).to_contain_text('"connectionId"')

        listed.click()
        page.get_by_label("Text to send to the client").fill("by hand")
        page.keyboard.press("Enter")
        assert client.recv(10) == "by hand"
        expect(page.locator("#rows .row.out", has_text="by hand")).to_be_visible()
        page.get_by_role("button", name="Close", exact=True).click()
        with pytest.raises(ConnectionClosed):
            client.recv(10)
        expect(page.locator("#clients .client.ended", has_text="1000")).to_be_visible()
        expect(page.locator("#send")).to_be_hidden()


def test_a_failure_is_seen(inspected: Started, page: Page) -> None:
    with inspected.connect() as client:
        client.send("fail here")
        client.recv(10)
        page.get_by_role("button", name="errors only").click()
        page.locator("#rows .row.failed", has_text="fail here").click()
        expect(page.locator("#details .failure")).to_have_text("ValueError failed on purpose")
        expect(page.locator("#details pre.log")).to_contain_text("main.py")


def test_it_is_used_by_the_keyboard(inspected: Started, page: Page) -> None:
    with inspected.connect() as client:
        for word in ("apples", "pears"):
            client.send(word)
            client.recv(10)
        expect(page.locator("#rows .row.in", has_text="pears")).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("$default -pears apples")
        shown = page.locator("#rows .row")
        expect(shown).to_have_count(1)
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        expect(page.locator("#details h2")).to_have_text(re.compile("Frame from"))
        expect(page.locator("#rows [aria-selected=true]")).to_contain_text("apples")
        page.keyboard.press("p")
        client.send("apples of $default that come while it pauses")
        client.recv(10)
        expect(page.locator("#total-received")).not_to_have_text("0")
        expect(shown).to_have_count(1)
        page.keyboard.press("p")
        # The frame, and its echo.
        expect(shown).to_have_count(3)


def test_tables_and_an_event_by_hand(inspected: Started, page: Page) -> None:
    with inspected.connect() as client:
        client.send("write 3")
        client.recv(10)
    page.keyboard.press("2")
    expect(page.get_by_role("tab", name="Tables")).to_have_attribute("aria-selected", "true")
    page.get_by_label("pk").fill("b")
    page.get_by_role("button", name="Read").click()
    expect(page.locator("#tables-items tbody tr")).to_have_count(2)
    page.locator("#tables-items tbody tr").first.click()
    expect(page.locator("#tables-items tr.whole")).to_contain_text('"sk": 2')
    page.keyboard.press("4")
    page.get_by_label("Event").fill('{"body": "an event of mine"}')
    page.get_by_role("button", name="Invoke").click()
    expect(page.locator("#invoke-answer")).to_contain_text("an event of mine")
    page.keyboard.press("Escape")
    page.keyboard.press("5")
    expect(page.locator("#bill-lines")).to_contain_text("What this would cost on AWS")


def test_it_works_in_firefox(inspected: Started, firefox: Firefox) -> None:
    wait = """async (selector, wanted) => {
        for (;;) {
            const found = [...document.querySelectorAll(selector)].find((one) => one.textContent.includes(wanted));
            if (found) { found.click(); return found.textContent; }
            await new Promise((done) => setTimeout(done, 20));
        }
    }"""
    with inspected.connect() as client:
        firefox.open(f"{inspected.url}/_gateway/")
        assert firefox.evaluate(wait, "#state", "live") == "live"
        client.send("post to Firefox")
        assert client.recv(10) == "posted"
        firefox.evaluate(wait, "#rows .row.in", "post to Firefox")
        assert "Fn" in firefox.evaluate(wait, "#details .waterfall .line", "Fn")
        assert "posted" in firefox.evaluate(wait, "#details .sent > div", "posted")


class Crowd:
    """Many clients that each say something once a second, in a thread of their own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._up = threading.Semaphore(0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    async def _all(self) -> None:
        gate = asyncio.Semaphore(50)
        await asyncio.gather(*(self._one(gate, number) for number in range(MANY)))

    async def _one(self, gate: asyncio.Semaphore, number: int) -> None:
        async with gate:
            client = await self._connected()
        self._up.release()
        async with client:
            while not self._over.is_set():
                await asyncio.sleep(4 + number / MANY)
                await client.send(f"client {number}")

    async def _connected(self) -> ClientConnection:
        while True:
            try:
                return await connect(self._url, proxy=None, open_timeout=60, compression=None)
            except InvalidStatus as refused:
                # An account's new connections are 500 a second.
                if refused.response.status_code != 429:
                    raise
                await asyncio.sleep(0.1)

    def __enter__(self) -> None:
        self._thread.start()
        for _ in range(MANY):
            assert self._up.acquire(timeout=60)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.slow
def test_with_a_thousand_connections_it_still_answers(inspected: Started, page: Page) -> None:
    with Crowd(inspected.websocket_url):
        expect(page.locator("#total-open")).to_have_text("1,000", timeout=20000)
        expect(page.locator("#clients-count")).to_have_text("1000")
        # Only what is in sight is in the document.
        assert page.locator("#clients .client").count() < 60
        assert page.locator("#rows .row").count() < 60
        received = page.locator("#total-received").inner_text()
        longest = page.evaluate(
            """() => new Promise((done) => {
                let last = performance.now(), longest = 0;
                const end = last + 3000;
                const step = (now) => {
                    longest = Math.max(longest, now - last);
                    last = now;
                    now < end ? requestAnimationFrame(step) : done(longest);
                };
                requestAnimationFrame(step);
            })"""
        )
        # On a machine that runs the gateway and all clients besides.
        assert longest < 500
        expect(page.locator("#total-received")).not_to_have_text(received)
        page.locator("#clients-filter").fill("nobody has this id")
        expect(page.locator("#clients-count")).to_have_text("0 of 1000")
        page.locator("#clients-filter").fill("")
        page.locator("#clients").press("End")
        expect(page.locator("#client-card")).to_be_visible()
