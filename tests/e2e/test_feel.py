"""What people expect of a good chat, on the stage: nothing is lost, covered or jumps; keys, phones, long messages."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.people import PATIENCE, PNG, Visitor, in_view, saved
from tests.e2e.stage import ROOM, Server, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(120)]


def test_a_long_message_is_folded(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    """Thousands of lines take no more room than others, until somebody wants to read them."""
    host = Stage(browser, server)
    calm(host)
    host.open_room()
    host.page.evaluate("staged.hear(message('```\\n' + 'line\\n'.repeat(700) + '```'))")
    host.page.evaluate("staged.hear(message('after'))")
    long = host.at("message").first
    folded = long.bounding_box()
    assert folded
    assert folded["height"] < 500
    assert in_view(host.message("after"))
    host.at("unfold").click()
    assert not in_view(host.message("after"))
    host.page.evaluate("staged.hear(message('more'))")
    assert not in_view(host.message("more")), "what is read stays where it is"
    host.at("unfold").focus()
    host.page.keyboard.press("Enter")
    again = long.bounding_box()
    assert again
    assert again["height"] == folded["height"]


def test_code_is_copied(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    host = Stage(browser, server, context=context)
    calm(host)
    host.open_room()
    host.fill_room()
    host.message("Look").hover()
    host.message("Look").get_by_test_id("copy-code").click()
    expect(host.at("toast")).to_have_text("Copied.")
    assert host.page.evaluate("navigator.clipboard.readText()") == "print('<b>')"


def test_more_reactions(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    host = Stage(browser, server)
    calm(host)
    host.open_room()
    host.fill_room()
    host.message("An answer").focus()
    keys = host.page.keyboard
    keys.press("Enter")
    keys.press("ArrowLeft")
    while host.page.evaluate("document.activeElement.dataset.testid") != "react-more":
        keys.press("ArrowUp")
    keys.press("Enter")
    expect(host.at("react")).to_have_count(49)
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(host.at("message-menu")).to_be_hidden()
    expect(host.message("An answer")).to_be_focused()
    [[what, id, emoji]] = host.asked()
    assert (what, id) == ("react", "An answer")
    assert emoji == host.page.evaluate("import('/web/view/actions.js').then(({ MORE }) => MORE[7])")


def test_pictures_one_after_the_other(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    host = Stage(browser, server)
    calm(host)
    host.open_room()
    picture = "(id) => message('', { key: id, id, file: { id, name: id, type: 'image/png', size: 9, count: 1 } })"
    host.page.evaluate(f"staged.become({{ timeline: ['a.png', 'b.png', 'c.png'].map({picture}) }})")
    host.at("picture").nth(1).click()
    name, large = host.page.locator("#image-name"), host.page.locator("#image-large")
    expect(name).to_have_text("b.png")
    expect(large).to_have_js_property("naturalWidth", 64)
    for key, expected in (("Right", "c.png"), ("Right", "c.png"), ("Left", "b.png"), ("Left", "a.png")):
        host.page.keyboard.press(f"Arrow{key}")
        expect(name).to_have_text(expected)
        expect(large).to_have_js_property("naturalWidth", 64)
    expect(host.at("image-previous")).to_have_attribute("aria-disabled", "true")
    host.at("image-next").click()
    expect(name).to_have_text("b.png")
    assert saved(host, host.at("image-save"))[0] == "b.png"
    host.page.keyboard.press("Escape")
    expect(host.at("picture").nth(1)).to_be_focused()


def test_a_picture_with_a_long_name_on_a_phone(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    """The picture and what can be done with it stay on the screen."""
    host = Stage(browser, server, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    calm(host)
    host.open_room()
    name = "the sunset over the lake, seen from the other side.png"
    file = f"{{ id: 'a', name: '{name}', type: 'image/png', size: 9, count: 1 }}"
    host.page.evaluate(f"staged.become({{ timeline: [message('', {{ key: 'a', id: 'a', file: {file} }})] }})")
    host.at("picture").click()
    expect(host.page.locator("#image-large")).to_have_js_property("naturalWidth", 64)
    for part in ("#image-large", "#image-previous", "#image-next", "#image-save", "[data-testid=image-close]"):
        box = host.page.locator(part).bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390, part
    host.at("image-close").tap()
    expect(host.at("image-dialog")).to_be_hidden()


def test_times_of_one_breath(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    """They are shown once; those of the others on a message that is pointed at, and nothing moves for it."""
    host = Stage(browser, server)
    calm(host)
    host.open_room()
    changed = "message('changed', { edited: true, seq: 2 })"
    host.page.evaluate(f"staged.become({{ timeline: [message('one'), {changed}, message('three', {{ seq: 3 }})] }})")
    times = [host.message(text).locator(".meta") for text in ("one", "changed", "three")]
    for time, is_shown in zip(times, (False, True, True), strict=True):
        expect(time).to_be_visible(visible=is_shown)
    expect(times[1]).to_contain_text("edited")
    before = host.message("three").bounding_box()
    host.message("one").locator(".text").hover()
    expect(times[0]).to_be_visible()
    assert host.message("three").bounding_box() == before


def test_a_locked_room_says_so_with_its_link(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    host = Stage(browser, server)
    calm(host)
    host.open_room()
    host.at("invite").click()
    expect(host.at("invitation-locked")).to_be_hidden()
    host.become(locked=True)
    expect(host.at("invitation-locked")).to_be_visible()


def test_nothing_that_was_begun_is_lost(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    """A draft is there when one goes back and forth; the browser asks before it is lost with the page."""
    host = Stage(browser, server)
    host.open_room()
    host.at("composer").press_sequentially("a draft")
    host.page.go_back()
    expect(host.at("start")).to_be_visible()
    host.page.go_forward()
    host.enter("Hana")
    expect(host.at("composer")).to_have_value("a draft")
    with host.page.expect_event("dialog"):
        host.page.evaluate("setTimeout(() => location.reload())")
    assert [each.startswith("dialog") for each in host.complaints] == [True]
    host.complaints.clear()
    calm(host)
    host.at("composer").fill("")
    host.page.reload()
    expect(host.at("room")).to_be_visible()
    expect(host.at("composer")).to_have_value("")


def test_what_is_missing_in_a_form_is_where_one_is_taken(
    server: Server, browser: Browser, calm: Callable[..., None]
) -> None:
    host = Stage(browser, server)
    calm(host)
    host.at("more").locator("summary").click()
    host.at("people-most").fill("1")
    host.at("more").locator("summary").click()
    host.at("create").click()
    expect(host.at("people-most")).to_be_focused()
    expect(host.at("people-most")).to_have_attribute("aria-invalid", "true")
    host.at("people-most").fill("5")
    host.at("create").click()
    expect(host.at("entrance")).to_be_visible()
    host.at("name").fill("\u200b \u3164")  # nothing to see
    host.at("enter").click()
    expect(host.at("entrance-error")).to_have_text("Please type a name.")
    expect(host.at("name")).to_be_focused()


def test_on_a_phone(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    """Enter begins a line, the button sends; where a keyboard covers the page, the room is above it."""
    host = Stage(browser, server, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    calm(host)
    host.open_room()
    host.at("composer").press_sequentially("one")
    host.at("composer").press("Enter")
    host.at("composer").press_sequentially("two")
    host.at("send").click()
    assert host.asked() == [["send", "one\ntwo", {"reply": None}]]
    host.at("composer").press_sequentially("three")
    host.at("composer").press("Control+Enter")
    assert host.asked()[1:] == [["send", "three", {"reply": None}]]
    host.page.evaluate("""() => {
      Object.defineProperty(visualViewport, "height", { configurable: true, get: () => 500 });
      visualViewport.dispatchEvent(new Event("resize"));
    }""")
    bottom = host.at("send").bounding_box()
    assert bottom
    assert bottom["y"] + bottom["height"] <= 500


def test_keys_reach_the_composer(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    """Letters from wherever one reads, and pages of the conversation from where one writes."""
    host = Stage(browser, server)
    calm(host)
    host.open_room()
    host.fill_room()
    host.message("An answer").focus()
    host.page.keyboard.type("hello")
    expect(host.at("composer")).to_be_focused()
    expect(host.at("composer")).to_have_value("hello")
    before = host.page.evaluate("scroller.scrollTop")
    host.page.keyboard.press("PageUp")
    assert host.page.evaluate("scroller.scrollTop") < before
    host.page.keyboard.press("PageDown")
    assert host.page.evaluate("scroller.scrollTop") == before


def test_pasted_text_is_text(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    """Of what is copied from a table there is a picture as well, which nobody meant."""
    host = Stage(browser, server)
    calm(host)
    host.open_room()
    taken = host.page.evaluate("""() => {
      const data = new DataTransfer();
      data.setData("text/plain", "a\\tb");
      data.setData("text/html", "<table><tr><td>a<td>b</table>");
      data.items.add(new File(["x"], "image.png", { type: "image/png" }));
      const paste = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
      document.getElementById("composer").dispatchEvent(paste);
      return paste.defaultPrevented;
    }""")
    assert not taken, "the browser puts in the text"
    expect(host.at("tray-file")).to_have_count(0)


def test_a_word_on_what_went_wrong_is_above_a_dialog(server: Server, browser: Browser) -> None:
    host = Stage(browser, server)
    host.open_room()
    host.at("invite").click()
    host.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    host.at("copy-link").click()
    expect(host.at("toast")).to_contain_text("Copying did not work")
    place = host.at("toast").bounding_box()
    assert place
    assert host.at("toast").evaluate("(toast) => toast.matches(':popover-open')"), "the dialog does not cover it"
    expect(host.at("share-dialog")).to_be_visible()
    composer = host.at("composer").bounding_box()
    assert composer
    assert place["y"] + place["height"] < composer["y"]


def test_nothing_jumps_when_the_line_is_lost(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    for width in (320, 390, 1280):
        host = Stage(browser, server, viewport={"width": width, "height": 700})
        calm(host)
        host.open_room("Tea at four, and what else there is")
        host.become(people=[], locked=True)
        before = host.page.locator(".talk").bounding_box()
        host.become(status="offline")
        expect(host.at("typing")).to_have_text("Your messages are sent once you are back.")
        assert host.page.locator(".talk").bounding_box() == before, width
        host.become(status="online", transport="polling")
        assert host.page.locator(".talk").bounding_box() == before, width


def test_a_page_whose_scripts_do_not_come_says_so(server: Server, browser: Browser) -> None:
    context = browser.new_context()
    context.route("**/web/text.js", lambda route: route.abort())
    visitor = Visitor(browser, server.url, context)
    expect(visitor.page.locator(".waiting img")).to_be_visible(timeout=2_000)  # before there is anything to say
    expect(visitor.page.get_by_text("Fleeting is still loading")).to_be_visible(timeout=PATIENCE)
    visitor = Visitor(browser, server.url)
    expect(visitor.at("start")).to_be_visible()
    expect(visitor.page.get_by_text("Fleeting is still loading")).to_be_hidden()


def test_a_picture_that_no_page_survives(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    """A few bytes may claim to be gigabytes of picture: they are offered for saving."""
    host = Stage(browser, server)
    calm(host)
    host.open_room()
    bomb = PNG[:16] + (60_000).to_bytes(4) * 2 + PNG[24:]
    host.page.evaluate("(bytes) => { staged.download = async () => new Blob([new Uint8Array(bytes)]); }", list(bomb))
    file = "{ id: 'a', name: 'a.png', type: 'image/png', size: 9 }"
    host.page.evaluate(f"staged.hear(message('', {{ id: 'a', file: {file} }}))")
    expect(host.at("file")).to_contain_text("a.png")
    expect(host.at("messages").locator("img")).to_have_count(0)
    assert saved(host, host.at("file")) == ("a.png", bomb)


def test_many_come_in_one_line(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    host = Stage(browser, server)
    calm(host)
    host.open_room()
    host.page.evaluate("""() => {
      globalThis.notices = (kind, ...names) => names.map((name) => ({ kind, key: Symbol(name), name }));
      globalThis.first = notices("joined", "Ann", "نور");
      staged.become({ timeline: [...first, ...notices("left", "Ida")] });
    }""")
    expect(host.at("notice")).to_have_text(["Ann and نور joined", "Ida left"])
    host.page.evaluate("""() => {
      const others = notices("joined", "Bob", "Cy", "Dee", "Ann");
      staged.become({ timeline: [...first, ...others, message("hi"), ...notices("joined", "Zed")] });
    }""")
    many = "Ann, نور, Bob, and 2 others joined"
    expect(host.at("notice")).to_have_text([many, "Zed joined"])


def test_a_part_of_the_page_that_does_not_come(server: Server, browser: Browser) -> None:
    """What fails at the door is said there, in words, and can be tried again."""
    context = browser.new_context()
    context.route("**/web/chat/chat.js", lambda route: route.abort())
    guest = Visitor(browser, server.url + ROOM, context)
    guest.at("name").fill("Gus")
    guest.at("enter").click()
    expect(guest.at("entrance-error")).to_have_text("Fleeting cannot be reached. Are you online?")
    context.unroute("**/web/chat/chat.js")
    guest.at("enter").click()
    expect(guest.at("room")).to_be_visible()


def test_a_file_that_is_dropped_before_the_room(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    host = Stage(browser, server)
    calm(host)
    taken = host.page.evaluate("""() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(["x"], "a.txt"));
      const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
      return !document.body.dispatchEvent(drop);
    }""")
    assert taken, "else the browser would open it instead of the page"


def test_a_click_beside_a_dialog_closes_it(server: Server, browser: Browser, calm: Callable[..., None]) -> None:
    """But not when a text in it is marked, and the pointer ends there."""
    host = Stage(browser, server)
    calm(host)
    host.open_room()
    host.choose("rename")
    field = host.at("new-name").bounding_box()
    assert field
    mouse = host.page.mouse
    mouse.move(field["x"] + 30, field["y"] + 10)
    mouse.down()
    mouse.move(5, field["y"] + 10)
    mouse.up()
    expect(host.at("name-dialog")).to_be_visible()
    host.page.keyboard.type("Hanna")
    host.at("name-save").click()
    expect(host.at("name-dialog")).to_be_hidden()
    assert host.asked() == [["rename", "Hanna"]]
    host.choose("rename")
    expect(host.at("new-name")).to_have_value("Hanna")
    mouse.click(5, 5)
    expect(host.at("name-dialog")).to_be_hidden()
