"""The chat in browsers where `sam local start-api` is all there is: long polling alone."""

import pytest
from playwright.sync_api import Browser, expect

from tests.chat.person import Invitation
from tests.e2e.conftest import SCREENSHOTS
from tests.e2e.conftest import browser as browser
from tests.e2e.conftest import chromium as chromium
from tests.e2e.people import BLOCKED, Guest
from tests.sam.machines import Server

pytestmark = [pytest.mark.sam, pytest.mark.browser, pytest.mark.timeout(240)]


def test_two_people_chat_by_polling_alone(start_api: Server, browser: Browser) -> None:
    room = Invitation(start_api.url)
    room.create(title="Without a WebSocket", ttl=600)
    guests = []
    for name in ("Ann", "Bob"):
        context = browser.new_context(viewport={"width": 900, "height": 640})
        context.add_init_script(BLOCKED)
        guests.append(Guest(browser, str(room.link), name, context))
    ann, bob = guests
    ann.say("Does this reach you?")
    bob.sees("Does this reach you?")
    bob.say("It does, by long polling.")
    ann.sees("It does, by long polling.")
    expect(ann.page.get_by_test_id("status")).to_contain_text("long polling")
    assert ann.people() == {"Ann", "Bob"}
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    bob.page.screenshot(path=SCREENSHOTS / "sam-local.png")

    # Later a poll may still be on its way when its client closes the session: any server refuses it.
    assert ann.complaints == bob.complaints == []
    room.burn()
    for guest in guests:
        expect(guest.page.get_by_test_id("ended")).to_be_visible(timeout=30_000)
