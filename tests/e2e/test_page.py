"""The page in Chromium: what people do in it, and what others may try with it."""

import base64
import gzip
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Response, expect

from aws import keys as table_keys
from gateway.testing import Gateway
from tests.chat.long_room import fill
from tests.chat.person import Invitation
from tests.e2e.conftest import SCREENSHOTS
from tests.e2e.people import BLOCKED, DEAFENED, PATIENCE, PNG, Guest, Host, Visitor, hide, in_view, saved
from tests.e2e.processes import ROOT, until
from tests.e2e.stage import Server, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.browser, pytest.mark.timeout(240)]

EVIL_SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
EVIL_HTML = b"<script>alert(1)</script>"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """The gateway in this process: a test can write into its table."""
    with Gateway(ROOT / "template.yaml", parameters=lambda url: {"PublicUrl": url, "RoomsPerHour": 0}) as gateway:
        yield gateway


def files(*named: tuple[str, str, bytes]) -> list[Any]:
    return [{"name": name, "mimeType": kind, "buffer": content} for name, kind, content in named]


def test_three_people_talk_and_the_room_burns(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    host = Host(browser, gateway.url, "Hana", "Tea at four")
    expect(host.at("alone")).to_be_visible()
    gus, ida = Guest(browser, host.link, "Gus"), Guest(browser, host.link, "Ida")
    calm(host, gus, ida)
    for each in (host, gus, ida):
        expect(each.at("person")).to_have_count(3, timeout=PATIENCE)
        assert each.people() == {"Hana", "Gus", "Ida"}
        expect(each.page).to_have_title("Tea at four")
    expect(host.at("notice").filter(has_text="Ida joined")).to_be_visible()

    gus.say("Kettle is on: https://example.org/tea?cups=3.")
    for each in (host, ida):
        each.sees("Kettle is on")
    link = ida.message("Kettle").get_by_role("link")
    expect(link).to_have_attribute("href", "https://example.org/tea?cups=3")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(link).to_have_attribute("target", "_blank")
    expect(gus.message("Kettle").get_by_test_id("mark")).to_have_attribute(
        "aria-label", "Seen by everyone", timeout=PATIENCE
    )

    ida.say("Look:\n```py\nprint('<b>')\n```\nand `inline`")
    expect(gus.message("Look").locator("pre")).to_have_text("print('<b>')")
    expect(gus.message("Look").locator("p code")).to_have_text("inline")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    host.page.screenshot(path=SCREENSHOTS / "chat.png")

    ida.at("composer").press_sequentially("hm")
    expect(gus.at("typing")).to_have_text("Ida is typing …")
    expect(gus.at("typing")).to_have_text("", timeout=PATIENCE)

    host.choose("burn")
    expect(host.at("question")).to_be_visible()
    host.at("burn-cancel").click()
    host.choose("burn")
    host.at("burn-confirm").click()
    for each in (host, gus, ida):
        each.has_ended("burned")
        left = each.page.content()
        assert [text for text in ("Kettle", "Tea at four", "Ida", "inline", host.link) if text in left] == []
    late = Visitor(browser, host.link)
    expect(late.at("ended")).to_have_attribute("data-reason", "no_such_room")
    host.at("new-room").click()
    expect(host.at("start")).to_be_visible()


def test_messages_change(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """Replies, reactions, edits and deletions reach the other, and one who comes later."""
    host = Host(browser, gateway.url, "Hana")
    gus = Guest(browser, host.link, "Gus")
    calm(host, gus)
    gus.say("The first")
    gus.say("Teh second")
    host.sees("Teh second")

    host.act("The first", "reply")
    expect(host.at("about")).to_contain_text("Reply to Gus")
    host.say("An answer")
    expect(gus.message("An answer").get_by_test_id("quote")).to_have_text("GusThe first")
    gus.message("An answer").get_by_test_id("quote").click()
    expect(gus.message("The first")).to_be_focused()

    gus.act("Teh second", "edit")
    expect(gus.at("composer")).to_have_value("Teh second")
    gus.say("The second")
    for each in (host, gus):
        expect(each.message("The second").get_by_test_id("edited")).to_be_visible(timeout=PATIENCE)
    expect(gus.message("The second")).to_have_attribute("data-state", re.compile("sent|seen"), timeout=PATIENCE)
    gus.at("composer").press("ArrowUp")
    expect(gus.at("composer")).to_have_value("The second")
    gus.at("composer").press("Escape")
    expect(gus.at("composer")).to_have_value("")

    host.react("The second", "🎉")
    reaction = gus.message("The second").get_by_test_id("reaction")
    expect(reaction).to_have_attribute("aria-label", "🎉 1: Hana", timeout=PATIENCE)
    reaction.click()
    expect(host.message("The second").get_by_test_id("reaction")).to_have_text("🎉2", timeout=PATIENCE)
    reaction.click()
    expect(host.message("The second").get_by_test_id("reaction")).to_have_text("🎉1", timeout=PATIENCE)

    expect(host.at("announcer").locator("p")).to_have_text(["Gus: The first", "Gus: Teh second"])  # each once

    host.open_menu("The first")
    expect(host.at("message-edit")).to_have_count(0)
    expect(host.at("message-delete")).to_be_visible()
    host.page.keyboard.press("Escape")
    gus.open_menu("An answer")
    expect(gus.at("message-delete")).to_have_count(0)
    gus.page.keyboard.press("Escape")
    host.act("The first", "delete")
    host.at("delete-confirm").click()
    for each in (host, gus):
        expect(each.at("message").filter(has_text="The first")).to_have_count(0, timeout=PATIENCE)
        expect(each.at("message").filter(has_text="This message was deleted")).to_have_count(1)

    gus.choose("rename")
    gus.at("new-name").fill("  \u202eGustav ")
    gus.page.keyboard.press("Enter")
    expect(host.at("person").filter(has_text="Gustav")).to_be_visible(timeout=PATIENCE)
    gus.say("by another name")
    expect(host.message("by another name").locator(".from")).to_contain_text("Gustav", timeout=PATIENCE)
    assert host.people() == {"Hana", "Gustav"}

    late = Guest(browser, host.link, "Lou")
    calm(late)
    late.sees("The second")
    expect(late.message("The second").get_by_test_id("edited")).to_be_visible()
    expect(late.message("The second").get_by_test_id("reaction")).to_have_text("🎉1")
    expect(late.at("messages")).not_to_contain_text("The first")


def test_files_cross(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """A file is saved as it was sent; a picture is seen, and larger on a click."""
    host = Host(browser, gateway.url, "Hana")
    gus = Guest(browser, host.link, "Gus")
    calm(host, gus)
    content = bytes(range(256)) * 300
    gus.at("picker").set_input_files(
        files(("notes ü.bin", "application/x-thing", content), ("b.txt", "text/plain", b"b"))
    )
    expect(gus.at("tray-file")).to_have_count(2)
    gus.at("tray-remove").last.click()
    gus.say("Here it is")
    card = host.message("Here it is").get_by_test_id("file")
    expect(card).to_contain_text("notes ü.bin", timeout=PATIENCE)
    assert saved(host, card) == ("notes ü.bin", content)
    expect(host.at("file")).to_have_count(1)

    gus.page.evaluate(
        """(encoded) => {
      const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], "red.png", { type: "image/png" }));
      const paste = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
      document.getElementById("composer").dispatchEvent(paste);
    }""",
        base64.b64encode(PNG).decode(),
    )
    expect(gus.at("tray-file")).to_contain_text("red.png")
    gus.at("send").click()
    picture = host.at("picture")
    expect(picture).to_have_attribute("data-state", "loaded", timeout=PATIENCE)
    expect(picture.locator("img")).to_have_js_property("naturalWidth", 2)
    picture.click()
    expect(host.at("image-dialog")).to_be_visible()
    host.page.keyboard.press("Escape")
    expect(host.at("image-dialog")).to_be_hidden()
    expect(picture).to_be_focused()


def test_files_are_dropped(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    host = Host(browser, gateway.url, "Hana")
    calm(host)
    data = host.page.evaluate_handle("""() => {
      const data = new DataTransfer();
      data.items.add(new File(["dropped"], "drop.txt", { type: "text/plain" }));
      return data;
    }""")
    for event in ("dragenter", "dragover", "drop"):
        host.page.dispatch_event("#scroller", event, {"dataTransfer": data})
    expect(host.at("tray-file")).to_contain_text("drop.txt")
    host.at("send").click()
    expect(host.at("message")).to_have_attribute("data-state", "sent", timeout=PATIENCE)
    assert saved(host, host.at("file")) == ("drop.txt", b"dropped")


def test_a_file_that_is_too_large_says_so(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    host = Host(browser, gateway.url, "Hana")
    calm(host)
    host.at("picker").set_input_files(files(("big.bin", "application/x-thing", bytes(4 * 1024 * 1024 + 1))))
    host.say("Too much")
    expect(host.at("toast")).to_contain_text("big.bin: That file is too large")
    expect(host.at("composer")).to_have_value("Too much")
    expect(host.at("message")).to_have_count(0)


def test_a_passphrase(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    host = Host(browser, gateway.url, "Hana", "Secret tea", {"new-passphrase": "first flush"})
    gus = Visitor(browser, host.link)
    calm(host, gus)
    expect(gus.at("entrance")).to_be_visible()
    expect(gus.page.get_by_role("heading", name="A room with a passphrase")).to_be_visible()
    gus.at("name").fill("Gus")
    gus.at("enter").click()
    expect(gus.at("entrance-error")).to_have_text("Please type the passphrase.")
    gus.at("passphrase").fill("second flush")
    gus.at("enter").click()
    expect(gus.at("entrance-error")).to_have_text(
        "That is not this room's passphrase. Please try again.", timeout=PATIENCE
    )
    expect(gus.at("entrance")).to_be_visible()
    expect(gus.at("name")).to_have_value("Gus")
    gus.at("passphrase").fill("first flush")
    gus.at("passphrase").press("Enter")
    expect(gus.at("status")).to_have_attribute("data-state", "online", timeout=PATIENCE)
    expect(gus.page.get_by_role("heading", name="Secret tea")).to_be_visible()
    gus.at("composer").fill("made it")
    gus.at("composer").press("Enter")
    host.sees("made it")


def test_an_owner_locks_and_removes(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    host = Host(browser, gateway.url, "Hana", "Tea")
    gus = Guest(browser, host.link, "Gus")
    calm(host, gus)
    gus.at("room-menu").click()
    for testid in ("lock", "burn"):
        expect(gus.at(testid)).to_be_hidden()
    gus.page.keyboard.press("Escape")
    expect(gus.at("remove")).to_have_count(0)

    host.choose("lock")
    for each in (host, gus):
        expect(each.at("locked")).to_be_visible(timeout=PATIENCE)
        expect(each.at("notice").filter(has_text="The room is locked")).to_be_visible()
    ida = Visitor(browser, host.link)
    calm(ida)
    ida.at("name").fill("Ida")
    ida.at("enter").click()
    expect(ida.at("entrance-error")).to_contain_text("locked this room", timeout=PATIENCE)
    gus.page.reload()
    gus.enter("Gus")  # who was in comes back
    host.choose("lock")
    expect(gus.at("locked")).to_be_hidden(timeout=PATIENCE)
    ida.at("enter").click()
    expect(ida.at("status")).to_have_attribute("data-state", "online", timeout=PATIENCE)

    host.page.get_by_role("button", name="Remove Gus").click()
    expect(host.at("question")).to_contain_text("Remove Gus?")
    host.at("remove-confirm").click()
    gus.has_ended("removed")
    expect(host.at("notice").filter(has_text="Gus was removed")).to_be_visible(timeout=PATIENCE)
    until(lambda: host.people() == {"Hana", "Ida"}, "Gus is gone")
    back = Visitor(browser, host.link, gus.context)
    back.at("name").fill("Gustav")
    back.at("enter").click()
    expect(back.at("entrance-error")).to_contain_text("removed you from this room", timeout=PATIENCE)


def test_a_room_burns_when_the_last_one_leaves(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    host = Host(browser, gateway.url, "Hana", choices={"burn-when-empty": True})
    gus = Guest(browser, host.link, "Gus")
    calm(host, gus)
    expect(host.at("person")).to_have_count(2, timeout=PATIENCE)
    host.choose("leave")
    expect(host.at("start")).to_be_visible()
    expect(gus.at("notice").filter(has_text="Hana left")).to_be_visible(timeout=PATIENCE)
    gus.say("alone now")
    expect(gus.at("message")).to_have_attribute("data-state", "sent", timeout=PATIENCE)
    expect(gus.at("person")).to_have_count(1, timeout=PATIENCE)
    gus.choose("leave")
    expect(gus.at("question")).to_contain_text("the room burns")
    gus.at("leave-cancel").click()
    gus.choose("leave")
    gus.at("leave-confirm").click()
    expect(gus.at("start")).to_be_visible()

    def is_gone() -> bool:
        status: int = gus.page.evaluate(
            "async (room) => (await fetch(`/api/rooms/${room}`)).status", room_of(host.link)
        )
        return status == 404

    until(is_gone, "the room burns")
    gus.complaints.clear()  # the browser notes each 404 that was asked for


def room_of(link: str) -> str:
    return link.split("/r/")[1].split("#")[0]


def test_tabs_of_one_person(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """Two tabs are one person: in the list, in what is one's own, and when one of them closes."""
    host = Host(browser, gateway.url, "Hana")
    first = Guest(browser, host.link, "Gus")
    second = Guest(browser, host.link, "Gus", first.context)
    calm(host, first, second)
    person = host.at("person").filter(has_text="Gus")
    expect(person).to_contain_text("2 tabs", timeout=PATIENCE)
    assert host.people() == {"Hana", "Gus"}
    first.say("from the first tab")
    expect(second.message("from the first tab")).to_have_class("message own", timeout=PATIENCE)
    second.page.close()
    expect(person).not_to_contain_text("tabs", timeout=PATIENCE)
    expect(host.at("notice").filter(has_text="left")).to_have_count(0)


def test_the_network_drops(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """What is written offline is sent when back, in order and once; what the others said meanwhile comes."""
    host = Host(browser, gateway.url, "Hana")
    gus = Guest(browser, host.link, "Gus")
    calm(host)
    gus.say("before")
    host.sees("before")
    gus.go_offline()
    gus.say("written offline")
    gus.say("and this")
    expect(gus.message("and this")).to_have_attribute("data-state", "sending")
    expect(gus.message("and this").get_by_test_id("mark")).to_have_attribute("aria-label", "Sending")
    host.say("meanwhile")
    gus.come_back()
    gus.sees("meanwhile")
    for text in ("written offline", "and this"):
        host.sees(text)
        expect(host.at("message").filter(has_text=text)).to_have_count(1)
        expect(gus.at("message").filter(has_text=text)).to_have_count(1)
    texts = host.at("messages").locator(".text").all_inner_texts()
    assert texts == ["before", "meanwhile", "written offline", "and this"]


def test_what_waits_is_withdrawn(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """What was written offline can be taken back and changed; the others never see what it was."""
    host = Host(browser, gateway.url, "Hana")
    gus = Guest(browser, host.link, "Gus")
    calm(host)
    gus.go_offline()
    for text in ("first", "secnd", "by keyboard", "last"):
        gus.say(text)
    expect(gus.at("message")).to_have_count(4)
    gus.act("first", "withdraw")
    expect(gus.at("toast")).to_have_text("Withdrawn")
    gus.act("secnd", "edit")
    expect(gus.at("composer")).to_have_value("secnd")
    gus.say("second")
    expect(gus.at("message").get_by_test_id("edited")).to_have_count(0)
    gus.message("by keyboard").focus()
    gus.page.keyboard.press("Enter")
    for _ in range(2):
        gus.page.keyboard.press("ArrowDown")
    expect(gus.at("message-withdraw")).to_be_focused()
    gus.page.keyboard.press("Enter")
    expect(gus.at("message")).to_have_count(2)
    gus.at("composer").press("ArrowUp")
    expect(gus.at("composer")).to_have_value("last")
    gus.at("composer").press("Escape")
    gus.come_back()
    host.sees("last")
    for each in (host, gus):
        expect(each.at("messages").locator(".text")).to_have_text(["second", "last"])
        expect(each.at("message").get_by_test_id("edited")).to_have_count(0)
    late = Guest(browser, host.link, "Lou")
    expect(late.at("messages").locator(".text")).to_have_text(["second", "last"])


def test_what_was_on_its_way_is_withdrawn(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """Nobody can say whether the server has it: it is deleted for everybody as soon as that can be asked for."""
    host = Host(browser, gateway.url, "Hana")
    context = browser.new_context()
    context.add_init_script(DEAFENED)
    gus = Guest(browser, host.link, "Gus", context)
    calm(host)
    gus.page.evaluate("globalThis.deaf = true")
    gus.say("too late")
    host.sees("too late")
    gus.go_offline()
    expect(gus.message("too late")).to_have_attribute("data-state", "sending")
    gus.act("too late", "withdraw")
    expect(gus.message("too late").get_by_test_id("trouble")).to_contain_text(
        "Withdrawn. It may have been sent already"
    )
    expect(gus.message("too late").get_by_test_id("message-more")).to_have_count(0)
    gus.page.evaluate("globalThis.deaf = false")
    gus.come_back()
    for each in (host, gus):
        expect(each.at("message")).to_have_text(re.compile("This message was deleted"), timeout=PATIENCE)
        expect(each.at("messages")).not_to_contain_text("too late")


def test_an_upload_is_stopped(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """Nothing of it stays in the table."""
    host = Host(browser, gateway.url, "Hana")
    calm(host)
    host.at("picker").set_input_files(files(("big.bin", "application/x-thing", bytes(4 * 1024 * 1024))))
    host.at("send").click()
    partitions = table_keys.of_values("/", room_of(host.link))

    def chunks() -> int:
        return sum(item["pk"] in partitions for item in gateway.table("Table").items)

    until(lambda: chunks() > 3, "chunks")
    host.at("stop").click()
    expect(host.at("message")).to_have_count(0)
    until(lambda: chunks() == 0, "they are gone")
    host.say("something else")
    expect(host.message("something else")).to_have_attribute("data-state", "sent", timeout=PATIENCE)
    assert chunks() == 0


def test_evil_names_and_texts_do_nothing(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    evil = "<img src=x onerror=alert(1)>"
    host = Host(browser, gateway.url, "Hana", "<script>alert(1)</script>")
    gus = Guest(browser, host.link, evil)
    calm(host, gus)
    gus.say("<img src=x onerror=alert(1)> javascript:alert(1) data:text/html,<script>alert(1)</script>")
    host.sees("javascript:alert(1)")
    expect(host.at("messages").locator("a, img, script")).to_have_count(0)
    assert host.people() == {"Hana", evil}
    expect(gus.page.get_by_role("heading", name="<script>alert(1)</script>")).to_be_visible()

    cyrillic = "\u041d\u0430na"  # the first two letters
    ida = Guest(browser, host.link, cyrillic)
    calm(ida)
    row = host.at("person").filter(has_text=cyrillic)
    expect(row.get_by_test_id("imitates")).to_be_visible(timeout=PATIENCE)
    ida.say("I am Hana")
    expect(host.message("I am Hana").get_by_role("img", name="This name looks like")).to_be_visible(timeout=PATIENCE)


def test_evil_files_do_nothing(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """HTML and SVG are bytes to be saved, whatever they are called; what is no picture is not shown as one."""
    host = Host(browser, gateway.url, "Hana")
    gus = Guest(browser, host.link, "Gus")
    calm(host, gus)
    sent = [
        ("page.html", "text/html", EVIL_HTML),
        ("drawing.svg", "image/svg+xml", EVIL_SVG),
        ("picture.gif", "image/gif", EVIL_HTML),
        ("../../<b>.html", "text/html", EVIL_HTML),
    ]
    gus.at("picker").set_input_files(files(*sent))
    gus.at("send").click()
    expect(host.at("file")).to_have_count(4, timeout=PATIENCE)
    for index, (_, _, content) in enumerate(sent):
        name, got = saved(host, host.at("file").nth(index))
        assert got == content
        assert "/" not in name
    expect(host.at("messages").locator("img, iframe, object, embed, script")).to_have_count(0)
    assert len(host.context.pages) == 1


def test_unread_messages_are_counted_in_the_title(
    gateway: Gateway, browser: Browser, calm: Callable[..., None]
) -> None:
    host = Host(browser, gateway.url, "Hana", "Tea")
    gus = Guest(browser, host.link, "Gus")
    calm(host, gus)
    hide(host, True)
    gus.say("one")
    expect(host.page).to_have_title("(1) Tea", timeout=PATIENCE)
    gus.say("two")
    expect(host.page).to_have_title("(2) Tea", timeout=PATIENCE)
    expect(gus.message("two")).to_have_attribute("data-state", "sent")
    hide(host, False)
    expect(host.page).to_have_title("Tea")
    expect(gus.message("two")).to_have_attribute("data-state", "seen", timeout=PATIENCE)


def test_notifications_say_who_and_not_what(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    context = browser.new_context(permissions=["notifications"])
    context.add_init_script("""
      globalThis.notes = [];
      globalThis.Notification = class {
        static permission = "default";
        static async requestPermission() { return (this.permission = "granted"); }
        constructor(title, { body }) { notes.push([title, body]); }
      };
    """)
    host = Host(browser, gateway.url, "Hana", context=context)
    gus = Guest(browser, host.link, "Gus")
    calm(host, gus)
    host.at("bell").click()
    expect(host.at("bell")).to_have_attribute("aria-pressed", "true")
    gus.say("while you look")
    host.sees("while you look")
    hide(host, True)
    gus.say("the secret")
    until(lambda: host.page.evaluate("notes.length"), "a notification")
    assert host.page.evaluate("notes") == [["Gus wrote", "in a Fleeting room"]]


def test_a_conversation_by_keyboard_alone(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """From the start to the end, with Tab, arrows, Enter and Escape."""
    host = Visitor(browser, gateway.url)
    keys = host.page.keyboard
    calm(host)
    expect(host.at("title")).to_be_focused()
    keys.type("Keys")
    keys.press("Tab")
    expect(host.at("ttl-3600")).to_be_focused()
    keys.press("ArrowRight")
    expect(host.at("ttl-86400")).to_be_checked()
    keys.press("Enter")
    expect(host.at("name")).to_be_focused(timeout=PATIENCE)
    link = host.page.url
    keys.type("Hana")
    keys.press("Enter")
    expect(host.at("composer")).to_be_focused(timeout=PATIENCE)
    gus = Guest(browser, link, "Gus")
    calm(gus)
    gus.say("first")
    gus.say("second")
    expect(host.at("message")).to_have_count(2, timeout=PATIENCE)
    expect(host.at("announcer")).to_contain_text("Gus: second")

    tab_to(host, host.at("message").last, backwards=True)
    keys.press("ArrowUp")
    expect(host.at("message").first).to_be_focused()
    keys.press("Enter")
    expect(host.at("react").first).to_be_focused()
    keys.press("Enter")
    expect(host.at("message").first.get_by_test_id("reaction")).to_have_text("👍1")
    expect(host.at("message").first).to_be_focused()
    keys.press("Enter")
    while host.page.evaluate("document.activeElement.dataset.testid") != "message-reply":
        keys.press("ArrowDown")
    keys.press("Enter")
    expect(host.at("composer")).to_be_focused()
    keys.type("an answer")
    keys.press("Enter")
    gus.sees("an answer")

    tab_to(host, host.at("room-menu"))
    keys.press("Enter")
    expect(host.at("lock")).to_be_focused()
    keys.press("Escape")
    expect(host.at("room-menu")).to_be_focused()
    keys.press("Enter")
    for _ in range(3):
        keys.press("ArrowDown")
    expect(host.at("burn")).to_be_focused()
    keys.press("Enter")
    expect(host.at("burn-cancel")).to_be_focused()
    keys.press("Tab")
    keys.press("Enter")
    expect(host.at("ended")).to_be_visible(timeout=PATIENCE)
    expect(host.page.get_by_role("heading", name="This room has burned")).to_be_focused()


def tab_to(visitor: Visitor, target: Locator, backwards: bool = False) -> None:
    """Press Tab until something has the focus; it is on the way."""
    for _ in range(30):
        if target.evaluate("(node) => node === document.activeElement"):
            return
        visitor.page.keyboard.press("Shift+Tab" if backwards else "Tab")
    raise AssertionError("Tab never came there")


def test_in_german(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """The browser's language is the page's, until another is chosen; that is kept."""
    host = Host(browser, gateway.url, "Hana", locale="de-AT")
    gus = Guest(browser, host.link, "Gus")
    calm(host, gus)
    expect(host.page.locator("html")).to_have_attribute("lang", "de")
    expect(host.at("countdown")).to_contain_text("verbrennt in")
    gus.say("hello")
    expect(host.at("notice")).to_have_text("Gus ist da")
    host.at("room-menu").click()
    host.at("language").select_option("en")
    expect(host.page.locator("html")).to_have_attribute("lang", "en")
    expect(host.at("notice")).to_have_text("Gus joined")
    expect(host.at("message").filter(has_text="hello")).to_be_visible()
    host.page.reload()
    expect(host.page.get_by_role("button", name="Invite")).to_be_visible()


def test_text_from_right_to_left(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """Each text has its own direction, and a name does not turn the sentence around it."""
    host = Host(browser, gateway.url, "Hana")
    gus = Guest(browser, host.link, "نور")
    calm(host, gus)
    gus.say("مرحبا")
    host.sees("مرحبا")
    text = host.message("مرحبا").locator(".text")
    assert text.evaluate("(node) => getComputedStyle(node).direction") == "rtl"
    assert host.page.evaluate("getComputedStyle(document.body).direction") == "ltr"
    expect(host.at("notice").locator("bdi")).to_have_text("نور")


def test_an_invitation(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """The owner gets the whole link to copy, before and in the room."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    host = Host(browser, gateway.url, "Hana", context=context)
    calm(host)
    host.at("invite").click()
    expect(host.at("room-link")).to_have_value(host.link)
    host.at("copy-link").click()
    expect(host.at("copy-link")).to_have_text("Copied")
    assert host.page.evaluate("navigator.clipboard.readText()") == host.link
    assert host.at("qr").locator("path").get_attribute("d")
    host.page.keyboard.press("Escape")
    expect(host.at("invite")).to_be_focused()


@pytest.mark.parametrize(
    ("address", "reason"), [("/r/aaaaaaaaaaaaaaaa", "incomplete"), ("/r/short#key", "no_such_room")]
)
def test_links_that_are_none(
    gateway: Gateway, browser: Browser, calm: Callable[..., None], address: str, reason: str
) -> None:
    visitor = Visitor(browser, gateway.url + address)
    calm(visitor)
    expect(visitor.at("ended")).to_have_attribute("data-reason", reason)
    expect(visitor.at("new-room")).to_be_visible()


def test_without_a_safe_address(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """Browsers have no cryptography for pages by plain http, and the page says what to do."""
    context = browser.new_context()
    context.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined })")
    visitor = Visitor(browser, gateway.url, context)
    calm(visitor)
    expect(visitor.at("ended")).to_contain_text("Open it with https://")
    expect(visitor.at("new-room")).to_be_hidden()


def test_what_is_wrong_is_said(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    host = Stage(browser, server)
    calm(host)
    host.open_room()
    host.fill_room()
    expect(host.at("message").filter(has_text="This message does not open")).to_have_count(1)
    expect(host.message("moved").get_by_test_id("misplaced")).to_contain_text("Out of place")
    failed = host.message("stays here")
    expect(failed.get_by_test_id("trouble")).to_have_text("That was too much at once. Please wait a little.")
    expect(failed.get_by_role("img", name="Not sent")).to_be_visible()
    failed.get_by_test_id("retry").click()
    expect(host.message("unknown").get_by_test_id("trouble")).to_have_text("The server's own words.")
    host.message("unknown").get_by_test_id("discard").click()
    going = host.message("going").get_by_role("progressbar", name="Sending a.zip")
    expect(going).to_have_js_property("value", 0.25)
    stop = host.message("going").get_by_role("button", name="Stop sending a.zip").element_handle()
    further = "[...staged.timeline.slice(0, -1), { ...staged.timeline.at(-1), progress: 0.5 }]"
    host.page.evaluate(f"staged.become({{ timeline: {further} }})")
    expect(going).to_have_js_property("value", 0.5)
    assert stop
    stop.click()
    assert host.asked() == [["retry", "stays here"], ["discard", "unknown"], ["discard", "going"]]


def test_a_long_room(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """The document holds a part of the conversation; older messages come by scrolling, and nothing jumps."""
    invitation = Invitation(gateway.url)
    invitation.create()
    fill(gateway.table("Table"), invitation, 300)
    host = Guest(browser, str(invitation.link), "Hana")
    guest = Guest(browser, str(invitation.link), "Gus")
    calm(host, guest)
    scroller = guest.page.locator("#scroller")
    items = guest.page.locator("#messages > li")
    expect(guest.at("message").last).to_be_visible()
    most = 0
    jumps: list[float] = []
    first = guest.page.locator('.message[data-seq="1"]')

    def page_up() -> bool:
        """Scroll up; notes how much what is on top then moves by itself."""
        nonlocal most
        moved = scroller.evaluate("""async (scroller) => {
          const frame = () => new Promise(requestAnimationFrame);
          const top = scroller.getBoundingClientRect().top;
          scroller.scrollTop -= 1_000;
          const shown = [...document.querySelectorAll("#messages > li")];
          const node = shown.find((each) => each.getBoundingClientRect().top >= top);
          const before = node.getBoundingClientRect().top;
          for (let count = 0; count < 10; count++) await frame();
          return node.isConnected ? node.getBoundingClientRect().top - before : 0;
        }""")
        jumps.append(moved)
        most = max(most, items.count())
        return first.count() == 1 and in_view(first)

    until(page_up, "the first message", seconds=60)
    assert most <= 200
    assert [jump for jump in jumps if abs(jump) > 2] == []
    expect(guest.at("older")).to_contain_text("This is where the room began")

    host.say("something new")
    expect(guest.at("new-messages")).to_have_text("1 new message", timeout=PATIENCE)
    assert in_view(first)
    guest.at("new-messages").click()
    expect(guest.message("something new")).to_be_visible()
    assert in_view(guest.message("something new"))
    expect(guest.at("new-messages")).to_be_hidden()
    assert items.count() <= 200


def test_where_no_websocket_passes(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """Everything goes by long polling, and the page says so."""
    context = browser.new_context()
    context.add_init_script(BLOCKED)
    host = Host(browser, gateway.url, "Hana", context=context)
    gus = Guest(browser, host.link, "Gus")
    calm(host, gus)
    expect(host.at("status")).to_have_text("online · long polling")
    gus.say("by whatever way")
    host.sees("by whatever way")
    host.say("and back")
    gus.sees("and back")


def test_what_the_page_weighs(gateway: Gateway, browser: Browser) -> None:
    """All that a room loads, compressed as a CDN does it, is at most 120 KB."""
    bodies: dict[str, bytes] = {}
    context = browser.new_context()

    def keep(response: Response) -> None:
        bodies[response.url] = response.body()

    context.on("response", keep)
    Host(browser, gateway.url, "Hana", context=context, locale="de")
    loaded = {url: body for url, body in bodies.items() if "/api/" not in url and "transport=" not in url}
    assert any("socket.io.esm" in url for url in loaded)
    assert sum(len(gzip.compress(body)) for body in loaded.values()) <= 120 * 1024


def test_what_came_meanwhile_is_marked(gateway: Gateway, browser: Browser, calm: Callable[..., None]) -> None:
    """A line stands before the first message that came while nobody looked, and one comes back to it."""
    host = Host(browser, gateway.url, "Hana", "Tea")
    gus = Guest(browser, host.link, "Gus")
    calm(host, gus)
    gus.say("before")
    host.sees("before")
    expect(host.at("unread")).to_have_count(0)
    hide(host, True)
    gus.say("first\n" * 20)
    for number in range(8):
        gus.say(f"news {number}\n" * 3)
    host.sees("news 7")
    hide(host, False)
    expect(host.at("unread")).to_have_text("New")
    assert host.page.locator(".unread + .message .text").inner_text().startswith("first")
    assert in_view(host.at("unread"))
    assert not in_view(host.message("news 7"))
    expect(gus.message("first")).to_have_attribute("data-state", "seen", timeout=PATIENCE)
    expect(gus.message("news 7")).to_have_attribute("data-state", "sent")
    host.say("caught up")
    expect(host.at("unread")).to_have_count(0)
    hide(host, True)
    hide(host, False)
    expect(host.at("unread")).to_have_count(0)


def test_a_page_that_is_loaded_again_is_in_its_room(
    gateway: Gateway, browser: Browser, calm: Callable[..., None]
) -> None:
    host = Host(browser, gateway.url, "Hana")
    calm(host)
    host.say("said")
    expect(host.message("said")).to_have_attribute("data-state", "sent", timeout=PATIENCE)
    host.page.reload()
    host.is_in()
    expect(host.message("said")).to_be_visible()
    assert host.people() == {"Hana"}
    host.choose("leave")
    host.page.goto(host.link)
    expect(host.at("entrance")).to_be_visible()
