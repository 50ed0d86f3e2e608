"""People in the page, and what clients heard of each other."""

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.e2e.processes import NodeClient, PythonClient

# A proxy that lets no WebSocket pass, as the page sees it.
BLOCKED = """
window.WebSocket = class {
  constructor() { setTimeout(() => { this.onerror?.(new Event("error")); this.onclose?.({ code: 1006 }); }); }
  close() {}
};
"""


def names(values: list[dict[str, str]]) -> set[str]:
    return {value["name"] for value in values}


def heard_of(client: PythonClient | NodeClient, event: str, name: str) -> bool:
    return name in names([args[0] for kind, *args in client.heard if kind == event])


def has_heard(client: PythonClient | NodeClient, event: str, count: int) -> bool:
    return [kind for kind, *_ in client.heard].count(event) == count


class Guest:
    """A person in the page."""

    def __init__(self, browser: Browser, url: str, name: str, context: BrowserContext | None = None) -> None:
        self.complaints: list[str] = []
        context = context or browser.new_context(viewport={"width": 900, "height": 640})
        self.page: Page = context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)
        self.page.get_by_test_id("name").fill(name)
        self.page.get_by_test_id("enter").click()
        expect(self.page.get_by_test_id("status")).to_have_attribute("data-state", "online", timeout=30_000)

    def _note(self, line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            self.complaints.append(line.text)

    def say(self, text: str) -> None:
        self.page.get_by_test_id("composer").fill(text)
        self.page.get_by_test_id("send").click()

    def sees(self, text: str) -> None:
        expect(self.page.get_by_test_id("messages")).to_contain_text(text, timeout=20_000)

    def people(self) -> set[str]:
        return {name.removesuffix(" (you)") for name in self.page.get_by_test_id("person").all_inner_texts()}
