"""The page in Firefox and in WebKit (WebKitGTK: Safari's engine), as test_page.py shows it at length in Chromium.

Whoever is in the room besides has the terminal client. Clipboard and notifications are left to Chromium: they need
permissions that these browsers' drivers do not give. All three take http://127.0.0.1 for a secure context.
"""

import asyncio
import json
import threading
import unicodedata
from collections.abc import Coroutine, Iterator
from typing import Any, Self, TypeVar

import pytest

from chat.seals import Link, random_id
from chat.terminal import http
from chat.terminal.errors import RoomError
from chat.terminal.files import CHUNK, File
from chat.terminal.messages import Message
from chat.terminal.room import Room
from tests.e2e.clients.firefox import Firefox
from tests.e2e.clients.webkit import WebKit
from tests.e2e.processes import ROOT, Gateway, until
from tests.e2e.test_terminal import cut_all

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.browser, pytest.mark.timeout(120)]

HANDS = (ROOT / "tests/e2e/clients/page.js").read_text()
PATIENCE = 30
"""Seconds."""

EVIL = "<img src=x onerror=alert(1)>"
EVIL_FILES = [
    ("page.html", "text/html", b"<script>alert(1)</script>"),
    ("drawing.svg", "image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
    ("picture.gif", "image/gif", b"<script>alert(2)</script>"),
]
T = TypeVar("T")


class Page:
    """The page in a browser, used by its test ids; everything is waited for."""

    def __init__(self, browser: Firefox | WebKit) -> None:
        self.browser = browser

    def ask(self, question: str, *arguments: Any) -> Any:
        """Return what a function of page.js says."""
        call = f"""async (question, ...all) => {{
            {HANDS}
            return JSON.stringify((await new Hands()[question](...all)) ?? null);
        }}"""
        return json.loads(self.browser.evaluate(call, question, *arguments))

    def until(self, question: str, *arguments: Any, answer: Any = True) -> None:
        """Ask until the answer is this one."""
        try:
            until(lambda: self.ask(question, *arguments) == answer, f"{question} {arguments}: {answer}", PATIENCE)
        except AssertionError as error:
            error.add_note(self.ask("text"))
            raise

    def open(self, url: str) -> None:
        self.browser.open(url)

    def click(self, testid: str, text: str = "") -> None:
        self.until("click", testid, text)

    def fill(self, testid: str, value: str) -> None:
        self.until("fill", testid, value)

    def sees(self, testid: str, text: str = "", count: int = 1, **data: str) -> None:
        """Wait until there are so many of a test id, with a text in them and with data attributes."""
        self.until("count", testid, text, data, answer=count)

    def create(self, origin: str, name: str, title: str = "") -> str:
        """Create a room and enter it; returns its link."""
        self.open(origin)
        self.fill("title", title)
        self.click("create")
        self.enter(name)
        return str(self.ask("address"))

    def visit(self, link: str, name: str) -> None:
        self.open(link)
        self.enter(name)

    def enter(self, name: str) -> None:
        self.fill("name", name)
        self.click("enter")
        self.is_in()

    def is_in(self) -> None:
        self.sees("status", state="online")

    def say(self, text: str) -> None:
        self.fill("composer", text)
        self.click("send")

    def choose(self, item: str) -> None:
        """Choose from the room's menu."""
        self.click("room-menu")
        self.click(item)

    def saves(self, name: str) -> bytes:
        """Save a file; returns what is on the disk then."""
        self.click("file", name)
        path = self.browser.directory / name
        until(lambda: path.exists() and path.stat().st_size, f"{name} on the disk", PATIENCE)
        return path.read_bytes()


class Partner:
    """Somebody with the terminal client, in a thread of their own; what they were told is in `heard`."""

    def __init__(self, link: str, name: str, passphrase: str = "", owner_key: str = "") -> None:
        self.heard: list[tuple[str, Any]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        try:
            self.room = self.do(self._enter(Link.parse(link), name, passphrase, owner_key))
        except BaseException:
            self._stop()
            raise

    async def _enter(self, *who: Any) -> Room:
        room = Room(*who)
        await room.enter(lambda kind, what: self.heard.append((kind, what)))
        return room

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.do(self.room.leave())
        finally:
            self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def say(self, text: str) -> None:
        self.do(self.room.say(text))

    def send(self, name: str, kind: str, data: bytes) -> None:
        self.do(self.room.send_file(File(random_id(), name, kind, len(data), -(-len(data) // CHUNK), data)))

    def hears(self, kind: str, **fields: Any) -> Any:
        """Wait for what is told of a kind with these fields; returns it."""
        return until(lambda: next(self._told(kind, fields), None), f"{kind} {fields}", PATIENCE)

    def _told(self, kind: str, fields: dict[str, Any]) -> Iterator[Any]:
        told = [what for event, what in self.heard if event == kind]
        return (what for what in told if all(getattr(what, name) == value for name, value in fields.items()))

    def texts(self) -> list[str]:
        return [message.text for message in self.room.messages]

    def names(self) -> set[str]:
        return {person.name for person in self.room.people}


def created(gateway: Gateway, **options: Any) -> tuple[str, str]:
    """Create a room by the API; returns its link and its owner's key."""
    link, owner_key = asyncio.run(http.create(gateway.url, http.NewRoom(**options)))
    return str(link), owner_key


@pytest.fixture
def gateway(one_origin: Gateway) -> Gateway:
    return one_origin


@pytest.fixture(params=["firefox", "webkit"])
def page(request: pytest.FixtureRequest) -> Page:
    return Page(request.getfixturevalue(request.param))


@pytest.fixture
def pages(firefox: Firefox, webkit: WebKit) -> tuple[Page, Page]:
    return Page(firefox), Page(webkit)


def test_three_people_talk_and_the_room_burns(gateway: Gateway, page: Page) -> None:
    link = page.create(gateway.url, "Hana", "Tea at four")
    page.sees("alone")
    with Partner(link, "Gus") as gus, Partner(link, "Ida") as ida:
        assert gus.room.title == "Tea at four"
        page.sees("person", count=3)
        page.sees("notice", "Ida joined")
        page.say("Kettle is on ☕")
        message: Message = gus.hears("message", text="Kettle is on ☕")
        assert (message.name, message.misplaced) == ("Hana", False)
        ida.hears("message", text="Kettle is on ☕")
        gus.say("Teh cups")
        page.sees("message", "Teh cups")
        gus.do(gus.room.edit(gus.hears("message", text="Teh cups"), "The cups: https://example.org/cups"))
        page.sees("message", "The cups")
        page.sees("edited")
        ida.do(ida.room.react(ida.hears("message", text="Kettle is on ☕"), "🎉"))
        page.sees("reaction", "🎉1")
        page.click("reaction")
        page.sees("reaction", "🎉2")
        assert page.browser.complaints() == []
        page.choose("burn")
        page.click("burn-confirm")
        for each in (gus, ida):
            each.hears("ended", code="burned")
        page.sees("ended", reason="burned")
    page.open(gateway.url)
    page.open(link)
    page.sees("ended", reason="no_such_room")


def test_files_cross(gateway: Gateway, page: Page) -> None:
    """Bytes stay as they are; a picture is shrunk, and what was shrunk is a picture still."""
    content = bytes(range(256)) * 200
    link = page.create(gateway.url, "Hana")
    with Partner(link, "Gus") as gus:
        page.ask("pick", "notes ü.bin", "application/x-thing", list(content))
        page.sees("tray-file", "notes ü.bin")
        page.say("Here it is")
        message = gus.hears("message", text="Here it is")
        assert message.file["name"] == "notes ü.bin"
        assert gus.do(gus.room.fetch_file(message)) == content
        gus.send("thing.bin", "application/x-thing", content[::-1])
        assert page.saves("thing.bin") == content[::-1]

        page.ask("draw", "drawing.jpg", "image/jpeg")
        page.sees("tray-file", "drawing.jpg")
        page.say("A drawing")
        drawn = gus.hears("message", text="A drawing")
        kind = "webp" if isinstance(page.browser, Firefox) else "jpeg"  # WebKitGTK reads WebP, and writes none
        described = {"name": f"drawing.{kind}", "type": f"image/{kind}", "width": 1600, "height": 800}
        assert described.items() <= drawn.file.items()
        assert drawn.file["count"] > 1
        gus.send("back.jpg", f"image/{kind}", gus.do(gus.room.fetch_file(drawn)))
        page.sees("picture", count=2, state="loaded")
        page.until("pictures", answer=[1600, 1600])
        assert page.browser.complaints() == []


def test_a_tab_closes(gateway: Gateway, page: Page) -> None:
    """Two tabs are one person, who leaves with the last of them."""
    link, _ = created(gateway)
    with Partner(link, "Gus") as gus:
        page.visit(link, "Hana")
        gus.hears("joined", name="Hana")
        with page.browser.tab():
            page.visit(link, "Hana")
            page.sees("person", "2 tabs")
            page.say("from the second tab")
            gus.hears("message", text="from the second tab")
        page.sees("message", "from the second tab")
        page.sees("person", "tabs", count=0)
        assert gus.names() == {"Gus", "Hana"}
        page.open("about:blank")
        gus.hears("left", name="Hana")
        assert [kind for kind, _ in gus.heard].count("left") == 1


def test_the_network_drops(gateway: Gateway, page: Page) -> None:
    """What is written offline is sent when back, once; what the others said meanwhile comes."""
    link = page.create(gateway.url, "Hana")
    with Partner(link, "Gus") as gus:
        page.say("before")
        gus.hears("message", text="before")
        page.ask("writeWhenOffline", "written offline")
        cut_all(gateway, "Mozilla")
        gus.say("meanwhile")
        page.sees("message", "meanwhile")
        gus.hears("message", text="written offline")
        page.is_in()
        page.sees("message", "written offline", state="sent")
        page.say("after")
        gus.hears("message", text="after")
        said = gus.texts()
        assert sorted(said) == ["after", "before", "meanwhile", "written offline"]
        assert (said[0], said[-1]) == ("before", "after")
        page.sees("message", count=4)
        for text, shown in zip(said, page.ask("texts", "message"), strict=True):
            assert text in shown
        page.sees("misplaced", count=0)
        until(lambda: gus.names() == {"Gus", "Hana"}, "both are there")


def test_an_owner_in_the_page_locks_and_removes(gateway: Gateway, page: Page) -> None:
    link = page.create(gateway.url, "Hana")
    with Partner(link, "Gus") as gus:
        page.sees("person", "Gus")
        page.choose("lock")
        page.sees("locked")
        until(lambda: gus.room.is_locked, "the lock")
        with pytest.raises(RoomError, match="locked"):
            Partner(link, "Ida")
        page.choose("lock")
        page.sees("locked", count=0)
        with Partner(link, "Ida") as ida:
            page.sees("person", count=3)
            page.click("remove")
            page.sees("question", "Remove Gus?")
            page.click("remove-confirm")
            gus.hears("ended", code="removed")
            ida.hears("removed", name="Gus")
            page.sees("notice", "Gus was removed")
            page.sees("person", "Gus", count=0)
            assert page.browser.complaints() == []


def test_the_page_is_locked_out_and_removed(gateway: Gateway, page: Page) -> None:
    link, owner_key = created(gateway)
    with Partner(link, "Olga", owner_key=owner_key) as olga:
        olga.do(olga.room.lock(True))
        page.open(link)
        page.fill("name", "Hana")
        page.click("enter")
        page.sees("entrance-error", "locked this room")
        olga.do(olga.room.lock(False))
        page.enter("Hana")
        olga.do(olga.room.remove(olga.hears("joined", name="Hana")))
        page.sees("ended", reason="removed")
        page.open(gateway.url)
        page.open(link)
        page.fill("name", "Somebody else")
        page.click("enter")
        page.sees("entrance-error", "removed you from this room")


def test_evil_names_and_files_do_nothing(gateway: Gateway, page: Page) -> None:
    link = page.create(gateway.url, "Hana", "<script>alert(1)</script>")
    tabs = page.browser.tabs()
    with Partner(link, EVIL) as evil:
        page.sees("person-name", EVIL)
        page.sees("notice", f"{EVIL} joined")
        evil.say(f"{EVIL} javascript:alert(1) data:text/html,<script>alert(1)</script>")
        page.sees("message", "javascript:alert(1)")
        for file in EVIL_FILES:
            evil.send(*file)
        page.sees("file", count=len(EVIL_FILES))
        assert page.ask("intruders") == 0
        for name, _, content in EVIL_FILES:
            assert page.saves(name) == content
        assert page.browser.tabs() == tabs
        assert page.browser.complaints() == []


def test_a_passphrase_wrong_and_right(gateway: Gateway, page: Page) -> None:
    link, _ = created(gateway, title="Secret tea", passphrase="thé d'été")
    with Partner(link, "Gus", "thé d'été") as gus:
        page.open(link)
        page.fill("name", "Hana")
        page.fill("passphrase", "thé d'hiver")
        page.click("enter")
        page.sees("entrance-error", "That is not this room's passphrase")
        page.fill("passphrase", unicodedata.normalize("NFD", "thé d'été"))  # as some keyboards write it
        page.click("enter")
        page.is_in()
        page.say("made it")
        gus.hears("message", text="made it")
        assert page.browser.complaints() == []


def test_firefox_and_webkit_talk(gateway: Gateway, pages: tuple[Page, Page]) -> None:
    """Each shows what the other has drawn, in the one's WebP and in the other's JPEG, and knows that it was seen."""
    hana, gus = pages
    gus.visit(hana.create(gateway.url, "Hana", "Tea"), "Gus")
    for count, (one, other) in enumerate([(hana, gus), (gus, hana)], 1):
        one.ask("draw", "drawing.jpg", "image/jpeg")
        one.sees("tray-file")
        one.say(f"Drawing {count}")
        other.sees("message", f"Drawing {count}")
        other.until("pictures", answer=[1600] * count)
        one.sees("message", f"Drawing {count}", state="seen")
    hana.choose("burn")
    hana.click("burn-confirm")
    for each in pages:
        each.sees("ended", reason="burned")
        assert each.browser.complaints() == []
