"""The chat in browsers where `sam local start-api` is all there is: long polling alone."""

import json

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import SCREENSHOTS
from tests.e2e.conftest import browser as browser
from tests.e2e.people import BLOCKED, Guest
from tests.sam.machines import Server, request

pytestmark = [pytest.mark.sam, pytest.mark.browser, pytest.mark.timeout(240)]


def test_two_people_chat_by_polling_alone(start_api: Server, browser: Browser) -> None:
    _, _, body = request(f"{start_api.url}/api/rooms", "POST", {"title": "Without a WebSocket", "ttl": 600})
    room = json.loads(body)
    guests = []
    for name in ("Ann", "Bob"):
        context = browser.new_context(viewport={"width": 900, "height": 640})
        context.add_init_script(BLOCKED)
        guests.append(Guest(browser, f"{start_api.url}/r/{room['room']}", name, context))
    ann, bob = guests
    ann.say("Does this reach you?")
    bob.sees("Does this reach you?")
    bob.say("It does, by long polling.")
    ann.sees("It does, by long polling.")
    expect(ann.page.get_by_test_id("status")).to_have_text("online · long polling")
    assert ann.people() == {"Ann", "Bob"}
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    bob.page.screenshot(path=SCREENSHOTS / "sam-local.png")

    address = f"{start_api.url}/api/rooms/{room['room']}"
    assert request(address, "DELETE", Authorization=f"Bearer {room['owner_key']}")[0] == 204
    for guest in guests:
        expect(guest.page.get_by_test_id("ended")).to_be_visible(timeout=30_000)
    assert ann.complaints == bob.complaints == []
