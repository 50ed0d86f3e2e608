"""People in the page."""

import base64
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Locator, Page, expect

# A proxy that lets no WebSocket pass, as the page sees it.
BLOCKED = """
window.WebSocket = class {
  constructor() { setTimeout(() => { this.onerror?.(new Event("error")); this.onclose?.({ code: 1006 }); }); }
  close() {}
};
"""
# Nothing comes to the page by WebSocket while `deaf` is set: the server hears it, and is not heard.
DEAFENED = """
window.WebSocket = class extends WebSocket {
  set onmessage(handler) { super.onmessage = (event) => globalThis.deaf || handler(event); }
};
"""
PATIENCE = 20_000
"""Milliseconds."""

# A bitmap that has nothing to do with its surroundings: 2 by 1 pixels, red.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")


class Visitor:
    """Somebody at an address of the page; `complaints`: the console's errors and warnings, and scripts' dialogs."""

    def __init__(self, browser: Browser, url: str, context: BrowserContext | None = None, **options: Any) -> None:
        self.complaints: list[str] = []
        self.context = context or browser.new_context(**{"viewport": {"width": 900, "height": 640}, **options})
        self.page: Page = self.context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._refuse)
        self.page.goto(url)

    def _note(self, line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            self.complaints.append(line.text)

    def _refuse(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def at(self, testid: str) -> Locator:
        return self.page.get_by_test_id(testid)


class Guest(Visitor):
    """A person in a room of the page."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        name: str,
        context: BrowserContext | None = None,
        passphrase: str = "",
        **options: Any,
    ) -> None:
        super().__init__(browser, url, context, **options)
        self.enter(name, passphrase)

    def enter(self, name: str, passphrase: str = "") -> None:
        self.at("name").fill(name)
        if passphrase:
            self.at("passphrase").fill(passphrase)
        self.at("enter").click()
        self.is_in()

    def is_in(self) -> None:
        expect(self.at("status")).to_have_attribute("data-state", "online", timeout=30_000)

    def go_offline(self) -> None:
        self.context.set_offline(True)
        self.page.evaluate("dispatchEvent(new Event('offline'))")  # Chromium's emulation leaves open WebSockets open
        expect(self.at("status")).to_have_attribute("data-state", "offline", timeout=60_000)

    def come_back(self) -> None:
        self.context.set_offline(False)
        expect(self.at("status")).to_have_attribute("data-state", "online", timeout=60_000)

    def say(self, text: str) -> None:
        self.at("composer").fill(text)
        self.at("send").click()

    def sees(self, text: str) -> None:
        expect(self.at("messages")).to_contain_text(text, timeout=PATIENCE)

    def message(self, text: str) -> Locator:
        """Return the message that has this in its text, not in what it quotes."""
        return self.at("message").filter(has=self.page.locator(".text", has_text=text)).last

    def act(self, text: str, action: str) -> None:
        """Choose from a message's menu: reply, copy, edit, delete."""
        self.open_menu(text)
        self.at(f"message-{action}").click()

    def react(self, text: str, emoji: str) -> None:
        self.open_menu(text)
        self.page.locator(f'[data-testid=react][data-emoji="{emoji}"]').click()

    def open_menu(self, text: str) -> None:
        self.message(text).hover()
        self.message(text).get_by_test_id("message-more").click()

    def choose(self, item: str) -> None:
        """Choose from the room's menu: lock, leave, burn."""
        self.at("room-menu").click()
        self.at(item).click()

    def people(self) -> set[str]:
        return set(self.at("person-name").all_inner_texts())

    def has_ended(self, why: str) -> None:
        expect(self.at("ended")).to_be_visible(timeout=PATIENCE)
        expect(self.at("ended")).to_have_attribute("data-reason", why)


class Host(Guest):
    """The one who creates a room; `choices` are filled in at the start, by their test ids."""

    def __init__(
        self,
        browser: Browser,
        origin: str,
        name: str,
        title: str = "",
        choices: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        Visitor.__init__(self, browser, origin, **options)
        self.at("title").fill(title)
        if choices:
            self.at("more").locator("summary").click()
        for testid, value in (choices or {}).items():
            if value is True:
                self.at(testid).check()
            else:
                self.at(testid).fill(str(value))
        self.at("create").click()
        expect(self.at("entrance")).to_be_visible(timeout=PATIENCE)
        self.link: str = self.page.url
        self.enter(name)


def saved(guest: Guest, card: Locator) -> tuple[str, bytes]:
    """Save a file of the page; returns its name and content."""
    with guest.page.expect_download() as download:
        card.click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def in_view(node: Locator) -> bool:
    inside: bool = node.evaluate("""(node) => {
      const [at, within] = [node, document.getElementById("scroller")].map((each) => each.getBoundingClientRect());
      return at.bottom > within.top && at.top < within.bottom;
    }""")
    return inside


def hide(guest: Guest, hidden: bool) -> None:
    """Let the page believe that it is in the background, or not."""
    guest.page.evaluate(
        """(hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }""",
        hidden,
    )
