"""The page for everybody: axe-core on each screen and state, the keyboard, what is read out, large letters."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.processes import ROOT
from tests.e2e.stage import ROOM, Server, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(120)]

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"

LOOKS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}, "locale": "en"},
    "phone": {"viewport": {"width": 390, "height": 844}, "locale": "de", "has_touch": True, "is_mobile": True},
}
ALL = {"rules": {"target-size": {"enabled": True}}}
COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
"""The rules whose answer another theme can change."""

# Where axe cannot tell, that is a fault, too; but contrast is computed then, and of a label it cannot tell whether an
# emoji is a text, which it is not.
FAULTS = """
async (options) => {
  const { tooFaint } = await import("/contrast.js");
  const { violations, incomplete } = await axe.run(document, { resultTypes: ["violations", "incomplete"], ...options });
  const say = (id, node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary}`;
  const faint = ({ nodes }) => nodes.flatMap((node) => {
    const found = tooFaint(document.querySelector(node.target.at(-1)));
    return found ? [`contrast: ${node.target.join(" ")}: ${found}`] : [];
  });
  return [
    ...violations.flatMap(({ id, nodes }) => nodes.map((node) => say(id, node))),
    ...incomplete.flatMap((rule) => {
      if (rule.id === "color-contrast") return faint(rule);
      if (rule.id === "label-content-name-mismatch") return [];
      return rule.nodes.map((node) => say(rule.id, node));
    }),
  ];
}
"""


@pytest.fixture
def stage(browser: Browser, server: Server) -> Iterator[Callable[..., Stage]]:
    """Open the page on the stage: `stage(path, room, **options of the browser's context)`; its console stays silent."""
    stages: list[Stage] = []

    def open_stage(path: str = "/", room: dict[str, Any] | None = None, **options: Any) -> Stage:
        stages.append(Stage(browser, server, path, room, **options))
        return stages[-1]

    yield open_stage
    assert [each.complaints for each in stages] == [[] for _ in stages]


def check(stage: Stage, state: str) -> None:
    """No rule of axe is broken, best practice included, in light and in dark."""
    if not stage.page.evaluate("typeof axe === 'object'"):
        stage.page.evaluate(AXE.read_text())
    themes: list[tuple[Literal["light", "dark"], Any]] = [("light", ALL), ("dark", COLOURS)]
    for theme, options in themes:
        stage.page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # nothing is caught while it fades in
        assert stage.page.evaluate(FAULTS, options) == [], (state, theme)


@pytest.mark.parametrize("look", LOOKS)
def test_no_rule_is_broken_on_the_way_in(stage: Callable[..., Stage], look: str) -> None:
    host = stage(**LOOKS[look])
    host.at("more").locator("summary").click()
    host.at("people-most").fill("1")
    host.at("create").click()
    expect(host.at("start-error")).not_to_be_empty()
    check(host, "start")
    host.at("people-most").fill("50")
    host.at("create").click()
    expect(host.at("entrance")).to_be_visible()
    check(host, "the owner's entrance")
    guest = stage(ROOM, **LOOKS[look])
    guest.at("enter").click()
    expect(guest.at("entrance-error")).not_to_be_empty()
    check(guest, "entrance")
    knowing = stage(ROOM, {"passphrase": True, "locked": True}, **LOOKS[look])
    knowing.at("name").fill("Gus")
    knowing.at("enter").click()
    expect(knowing.at("entrance-error")).not_to_be_empty()
    check(knowing, "entrance with a passphrase")


@pytest.mark.parametrize("look", LOOKS)
def test_no_rule_is_broken_in_the_room(stage: Callable[..., Stage], look: str) -> None:
    host = stage(**LOOKS[look])
    press = host.page.keyboard.press
    host.open_room("Tea at four")
    expect(host.at("alone")).to_be_visible()
    check(host, "alone")

    host.fill_room()
    check(host, "the end of a room")
    host.page.evaluate("document.getElementById('scroller').scrollTop = 0")
    check(host, "its beginning")
    host.become(status="offline")
    host.act("So it is", "reply")
    host.at("picker").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"a"})
    host.at("composer").fill("x" * 4_001)
    expect(host.at("composer-left")).not_to_be_empty()
    check(host, "a long answer with a file, offline")
    press("Escape")
    host.act("So it is", "copy")  # without the browser's leave
    expect(host.at("toast")).not_to_be_empty()
    host.act("So it is", "edit")
    check(host, "an edit, and a word on what went wrong")
    press("Escape")
    host.page.evaluate("document.getElementById('drop').hidden = false")
    check(host, "a file over the page")
    host.page.evaluate("document.getElementById('drop').hidden = true")

    host.message("So it is").press("Enter")
    check(host, "a message's menu")
    host.at("react-more").click()
    check(host, "all reactions")
    press("Escape")
    host.at("unfold").first.click()
    check(host, "long messages")
    host.at("room-menu").click()
    check(host, "the room's menu")
    host.at("rename").click()
    host.at("new-name").fill(" ")
    press("Enter")
    expect(host.at("name-error")).not_to_be_empty()
    expect(host.at("new-name")).to_be_focused()
    check(host, "another name")
    press("Escape")
    expect(host.at("room-menu")).to_be_focused()
    if host.at("people-toggle").is_visible():
        host.at("people-toggle").click()
        check(host, "people")
    host.at("remove").first.click()
    check(host, "the question before removing")
    press("Escape")
    host.at("invite").click()
    check(host, "invitation")
    press("Escape")
    host.at("picture").click()
    check(host, "picture")
    press("Escape")
    host.act("So it is", "delete")
    check(host, "the question before deleting")
    press("Escape")
    host.choose("burn")
    check(host, "the question before burning")
    host.page.evaluate("staged.end('burned')")
    for why in ("burned", "removed", "unreachable", "incomplete", "insecure", "full"):
        host.page.evaluate("(why) => import('/web/view/screens.js').then(({ showEnd }) => showEnd(why))", why)
        host.has_ended(why)
        check(host, f"ended: {why}")


def test_contrast_is_found_wanting(stage: Callable[..., Stage]) -> None:
    """The two ways of looking at it, each where it has something to find."""
    page = stage().page
    page.add_style_tag(content=".lead { color: #ccc !important; } h2 { color: #eee !important; }")
    page.evaluate(AXE.read_text())
    found = page.evaluate(FAULTS, COLOURS)
    assert any(fault.startswith('contrast: p[data-t="start.lead"]') for fault in found), found
    assert any(fault.startswith("color-contrast: #start-form-title") for fault in found), found


@pytest.mark.parametrize("size", [(320, 256), (390, 844), (640, 400)], ids=["400 %", "phone", "200 %"])
def test_nothing_is_wider_than_the_screen(stage: Callable[..., Stage], size: tuple[int, int]) -> None:
    """1280 pixels at 400 and 200 % are 320 and 640 (WCAG 1.4.10), and everything can still be reached."""
    width, height = size
    host = stage(viewport={"width": width, "height": height}, has_touch=True, locale="de")

    def fits(where: str) -> None:
        assert host.page.evaluate("document.documentElement.scrollWidth") <= width, where
        assert host.page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(scroller)") <= 0, where

    host.at("title").fill("Donaudampfschifffahrtsgesellschaftskapitänsmütze")
    host.at("more").locator("summary").click()
    fits("start")
    host.at("create").click()
    expect(host.at("entrance")).to_be_visible()
    fits("entrance")
    host.enter("W" * 40)
    expect(host.at("alone")).to_be_visible()
    fits("alone")
    host.fill_room()
    texts = ["x" * 500, "https://example.org/" + "y" * 200, "```\n" + "z " * 300 + "\n```", "short"]
    host.page.evaluate("async (texts) => { for (const each of texts) await staged.hear(message(each)); }", texts)
    host.sees("short")
    fits("room")
    host.open_menu("short")
    for button in host.at("message-menu").get_by_role("button").all():
        button.click(trial=True)
    fits("menu")
    host.page.keyboard.press("Escape")
    host.at("people-toggle").click()
    expect(host.at("people")).to_be_visible()
    fits("people")
    host.page.keyboard.press("Escape")
    expect(host.at("people")).to_be_hidden()
    expect(host.at("people-toggle")).to_be_focused()
    host.at("invite").click()
    host.at("qr").click(trial=True)
    fits("invitation")
    host.page.keyboard.press("Escape")
    host.choose("burn")
    host.at("burn-cancel").click()


def test_menus_and_dialogs_by_keyboard(stage: Callable[..., Stage]) -> None:
    """Each is opened, used and left without a pointer, and the focus is then where it was."""
    host = stage(viewport={"width": 1280, "height": 800})
    press = host.page.keyboard.press
    host.open_room()
    host.fill_room()
    said = host.message("So it is")
    said.focus()

    def choose(action: str) -> None:
        press("Enter")
        expect(host.at("react").first).to_be_focused()
        for _ in range(12):
            if host.at(f"message-{action}").evaluate("(node) => node === document.activeElement"):
                return press("Enter")
            press("ArrowDown")
        raise AssertionError(f"{action} is not in the menu")

    press("Enter")
    press("ArrowRight")
    press("Enter")
    expect(said).to_be_focused()
    press("Enter")
    press("Escape")
    expect(said).to_be_focused()
    choose("delete")
    expect(host.at("delete-cancel")).to_be_focused()
    press("Escape")
    expect(host.at("question")).to_be_hidden()
    expect(said).to_be_focused()
    choose("delete")
    press("Tab")
    press("Enter")
    expect(host.at("question")).to_be_hidden()
    expect(said).to_be_focused()
    choose("edit")
    expect(host.at("composer")).to_be_focused()
    host.page.keyboard.type(" Or not.")
    press("Enter")
    assert host.asked() == [
        ["react", "So it is, by https://example.org/", "❤️"],
        ["remove", "So it is, by https://example.org/"],
        ["edit", "So it is, by https://example.org/", "So it is, by https://example.org/ Or not."],
    ]

    for opener, dialog in (("invite", "share-dialog"), ("picture", "image-dialog")):
        host.at(opener).focus()
        press("Enter")
        expect(host.at(dialog)).to_be_visible()
        assert host.at(dialog).evaluate("(node) => node.contains(document.activeElement)")
        press("Escape")
        expect(host.at(opener)).to_be_focused()
    removes = host.at("remove").first
    removes.focus()
    press("Enter")
    expect(host.at("remove-cancel")).to_be_focused()
    press("Enter")
    expect(removes).to_be_focused()
    host.at("room-menu").focus()
    press("Enter")
    press("ArrowUp")
    expect(host.at("language")).to_be_focused()
    press("Escape")
    expect(host.at("room-menu")).to_be_focused()


# Every text that comes into a live region, whoever put it there.
LISTEN = """
globalThis.said = [];
for (const region of document.querySelectorAll("[role=log], [role=status], [role=alert], [aria-live]")) {
  new MutationObserver((changes) => {
    const texts = changes.flatMap(({ addedNodes }) => [...addedNodes]).map((node) => node.textContent);
    said.push(...texts.filter(Boolean));
  }).observe(region, { childList: true, subtree: true });
}
"""


def test_what_is_read_out(stage: Callable[..., Stage]) -> None:
    """A new message once; not again when it changes or is drawn anew, and no letter of one's own."""
    host = stage(viewport={"width": 1280, "height": 800})
    host.open_room()
    host.page.evaluate(LISTEN)
    host.fill_room()
    assert host.page.evaluate("said") == []
    host.page.evaluate("staged.hear(message('news'))")
    assert host.page.evaluate("said") == ["Gus: news"]
    seen = "({ ...item, state: 'seen', edited: true, reactions: [{ emoji: '👍', names: ['Ida'], own: false }] })"
    host.page.evaluate(f"staged.become({{ timeline: staged.timeline.map((item) => {seen}), typists: [] }})")
    host.page.evaluate("document.getElementById('scroller').scrollTop = 0")
    host.choose("language")
    host.at("language").select_option("de")
    expect(host.at("people")).to_contain_text("Leute")
    assert host.page.evaluate("said") == ["Gus: news"]
    host.at("composer").fill("x" * 3_999)
    host.at("composer").press_sequentially("xxx")
    host.become(status="offline")
    assert host.page.evaluate("said") == ["Gus: news", "1 Zeichen zu viel", "offline"]


def test_less_motion_where_it_is_asked_for(stage: Callable[..., Stage]) -> None:
    host = stage(reduced_motion="reduce")
    host.open_room()
    host.fill_room()
    host.at("invite").click()
    assert host.page.evaluate("document.getAnimations().length") == 0
    host.page.keyboard.press("Escape")
    host.page.evaluate("staged.end('burned')")
    expect(host.at("ended")).to_be_visible(timeout=500)
    host.page.emulate_media(reduced_motion="no-preference")
    assert host.page.evaluate("document.getAnimations().length") > 0


def test_forced_colours(stage: Callable[..., Stage]) -> None:
    """What colour alone would show has an outline or is drawn otherwise: what is chosen, the switch, own reactions."""
    host = stage(forced_colors="active", viewport={"width": 1280, "height": 800})

    def looks(target: Locator) -> bytes:
        host.page.mouse.move(0, 0)
        host.page.evaluate("document.activeElement.blur()")
        return target.screenshot()

    chosen, other = host.at("ttl").locator("label").nth(1), host.at("ttl").locator("label").nth(2)
    before = looks(other)
    other.click()
    assert looks(other) != before
    assert looks(chosen) != looks(other)
    host.at("more").locator("summary").click()
    off = looks(host.at("burn-when-empty"))
    host.at("burn-when-empty").check()
    assert looks(host.at("burn-when-empty")) != off
    host.open_room()
    bell = looks(host.at("bell"))
    host.page.evaluate("bell.ariaPressed = 'true'")
    assert looks(host.at("bell")) != bell
    host.fill_room()
    own = host.page.locator(".reaction[aria-pressed=true]").first
    assert own.evaluate("(node) => getComputedStyle(node).outlineStyle") == "solid"
    bubble = host.page.locator(".bubble").first
    assert bubble.evaluate("(node) => getComputedStyle(node).borderTopWidth") == "1px"
