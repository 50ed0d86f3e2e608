"""People chat: a Python client, a Node client and the page in Chromium, all in one room."""

import json
import urllib.request
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import SCREENSHOTS
from tests.e2e.people import BLOCKED, Guest, has_heard, heard_of, names
from tests.e2e.processes import Gateway, NodeClient, PythonClient, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def request(gateway: Gateway, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(
        gateway.url + path, data, {"content-type": "application/json"} | headers, method=method
    )
    with urllib.request.urlopen(asked) as answer:
        text = answer.read()
        return answer.status, json.loads(text) if text else None


@pytest.fixture(params=["one_origin", "own_address", "fresh"])
def gateway(request: pytest.FixtureRequest) -> Gateway:
    gateway: Gateway = request.getfixturevalue(request.param)
    return gateway


def path_of(gateway: Gateway) -> str:
    """Return the path that the page is told: the single origin's, or the API's own stage."""
    path: str = request(gateway, "GET", "/config.json")[1]["socket"]["path"]
    return path


def test_three_kinds_of_clients_in_one_room(gateway: Gateway, browser: Browser) -> None:
    status, room = request(gateway, "POST", "/api/rooms", {"title": "Tea at four", "ttl": 3600})
    assert status == 201
    path = path_of(gateway)
    assert path == ("/socket.io/" if gateway.single_origin else "/live/")

    python = PythonClient(gateway.url, path)
    answer = python.call("join", {"room": room["room"], "name": "Pia"})
    assert answer["ok"]
    assert names(answer["members"]) == {"Pia"}

    with NodeClient(gateway.url, {"path": path, "transports": ["websocket"]}) as node:
        answer = node.call("join", {"room": room["room"], "name": "Noah"})
        assert names(answer["members"]) == {"Pia", "Noah"}
        until(lambda: [event for event in python.heard if event[0] == "joined"], "Pia sees Noah join")

        guest = Guest(browser, f"{gateway.url}/r/{room['room']}", "Wanda")
        until(lambda: guest.people() == {"Pia", "Noah", "Wanda"}, "all three in the page's list")
        for client in (python, node):
            until(partial(heard_of, client, "joined", "Wanda"), "everybody sees Wanda join")

        assert python.call("message", {"id": "p1", "text": "Kettle is on."})["seq"] == 1
        guest.sees("Kettle is on.")
        assert node.call("message", {"id": "n1", "text": "Two minutes."})["seq"] == 2
        guest.sees("Two minutes.")
        guest.say("I bring <b>cake</b> & milk")
        guest.sees("I bring <b>cake</b> & milk")
        expected = [
            (1, "Pia", "Kettle is on."),
            (2, "Noah", "Two minutes."),
            (3, "Wanda", "I bring <b>cake</b> & milk"),
        ]
        for client in (python, node):
            until(partial(has_heard, client, "message", 3), "three messages")
            got = [(e[1]["seq"], e[1]["from"]["name"], e[1]["text"]) for e in client.heard if e[0] == "message"]
            assert sorted(got) == expected

        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        guest.page.screenshot(path=SCREENSHOTS / "chat.png")

        node.close()
        until(partial(heard_of, python, "left", "Noah"), "Pia sees Noah leave")
        until(lambda: "Noah" not in guest.people(), "the page sees Noah leave")
    guest.page.close()
    until(partial(heard_of, python, "left", "Wanda"), "Pia sees Wanda leave")
    left = [event[1]["name"] for event in python.heard if event[0] == "left"]
    assert sorted(left) == ["Noah", "Wanda"], "each left once"

    status, _ = request(gateway, "DELETE", f"/api/rooms/{room['room']}", Authorization=f"Bearer {room['owner_key']}")
    assert status == 204
    until(lambda: ["burned", {}] in python.heard, "the room burns")
    until(lambda: python.heard[-1][0] == "disconnect", "and everybody is disconnected")
    assert guest.complaints == []


def test_the_page_alone(one_origin: Gateway, browser: Browser) -> None:
    """Create a room, share its link, talk, burn it."""
    page = browser.new_context(viewport={"width": 375, "height": 667}).new_page()
    page.goto(one_origin.url)
    page.get_by_test_id("title").fill("Quick one")
    page.get_by_test_id("create").click()
    page.get_by_test_id("name").fill("Ann")
    page.get_by_test_id("enter").click()
    expect(page.get_by_test_id("status")).to_have_attribute("data-state", "online")
    link = page.url
    assert "/r/" in link

    bob = Guest(browser, link, "Bob")
    page.get_by_test_id("composer").fill("hello Bob")
    page.get_by_test_id("send").click()
    bob.sees("hello Bob")
    expect(page.get_by_test_id("message").last).to_have_attribute("data-state", "sent")
    late = Guest(browser, link, "Cleo")
    late.sees("hello Bob")

    page.screenshot(path=SCREENSHOTS / "phone.png")
    page.get_by_test_id("burn").click()
    page.get_by_test_id("burn-confirm").click()
    for each in (page, bob.page, late.page):
        expect(each.get_by_test_id("ended")).to_be_visible(timeout=20_000)
    assert bob.complaints == []
    assert late.complaints == []

    nobody = browser.new_context().new_page()
    nobody.goto(link)
    expect(nobody.get_by_test_id("ended")).to_be_visible()


@pytest.mark.parametrize("gateway", ["one_origin", "own_address"], indirect=True)
def test_the_page_where_no_websocket_passes(gateway: Gateway, browser: Browser) -> None:
    """It falls back to long polling, at its own origin, and says so."""
    room = request(gateway, "POST", "/api/rooms", {})[1]["room"]
    python = PythonClient(gateway.url, path_of(gateway))
    python.call("join", {"room": room, "name": "Pia"})
    context = browser.new_context()
    context.add_init_script(BLOCKED)
    guest = Guest(browser, f"{gateway.url}/r/{room}", "Wanda", context)
    expect(guest.page.get_by_test_id("status")).to_have_text("online · long polling")
    python.call("message", {"id": "1", "text": "hello by whatever way"})
    guest.sees("hello by whatever way")
    guest.say("and back")
    until(partial(has_heard, python, "message", 2), "the answer")
    guest.page.get_by_test_id("leave").click()
    until(partial(heard_of, python, "left", "Wanda"), "Pia sees Wanda leave")
    python.close()


def test_the_open_packet_comes_first_whatever_connect_takes(one_origin: Gateway) -> None:
    """The function of $connect cannot post (410); somebody else does, as soon as the connection exists."""
    from websockets.sync.client import connect

    for _ in range(5):
        with connect(one_origin.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket") as socket:
            assert str(socket.recv(10)).startswith('0{"sid":')


def test_the_heartbeat(browser: Browser) -> None:
    """A connected client stays; one that does not answer pings is gone for the others within the time."""
    from websockets.sync.client import connect

    with Gateway("PingInterval=2", "PingTimeout=2", "--every", "1") as gateway:
        room = request(gateway, "POST", "/api/rooms", {})[1]["room"]
        python = PythonClient(gateway.url, "/socket.io/")
        python.call("join", {"room": room, "name": "Pia"})
        with connect(gateway.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket") as silent:
            assert str(silent.recv(10)).startswith("0{")
            silent.send("40")
            assert str(silent.recv(10)).startswith('40{"sid"')
            silent.send(json.dumps(["join", {"room": room, "name": "Sly"}]).join(["421", ""]))
            frames = [str(silent.recv(10)) for _ in range(2)]
            assert "2" in frames, "a ping came"
            until(lambda: [e for e in python.heard if e[0] == "left"], "Sly is gone for the others")
        assert python.client.connected
        assert python.call("message", {"id": "1", "text": "still here"})["ok"]
        python.close()
