"""People chat: a Python client, a Node client and the page in Chromium, all in one room."""

import json
import secrets
import urllib.request
from functools import partial

import pytest
from playwright.sync_api import Browser, expect

from chat.seals import random_id
from tests.chat.person import Invitation, Person
from tests.e2e.people import BLOCKED, Guest
from tests.e2e.processes import Gateway, NodeClient, PythonClient, until

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(240)]


@pytest.fixture(params=["one_origin", "own_address", pytest.param("fresh", marks=pytest.mark.slow)])
def gateway(request: pytest.FixtureRequest) -> Gateway:
    gateway: Gateway = request.getfixturevalue(request.param)
    return gateway


def path_of(gateway: Gateway) -> str:
    """Return the path that the page is told: the single origin's, or the API's own stage."""
    with urllib.request.urlopen(f"{gateway.url}/config.json") as answer:
        path: str = json.loads(answer.read())["socket"]["path"]
    return path


def room_in(gateway: Gateway, title: str = "") -> Invitation:
    """Create a room; returns what its guests need."""
    invitation = Invitation(gateway.url)
    assert invitation.create(title=title)["room"] == invitation.room
    return invitation


def test_three_kinds_of_clients_in_one_room(gateway: Gateway, browser: Browser) -> None:
    room, path = room_in(gateway, "Tea at four"), path_of(gateway)
    assert path == ("/socket.io/" if gateway.single_origin else "/live/")
    python = PythonClient(gateway.url, path)
    pia = Person(python, room, "Pia")
    assert pia.names(pia.join()["members"]) == {"Pia"}

    with NodeClient(gateway.url, {"path": path, "transports": ["websocket"]}) as node:
        noah = Person(node, room, "Noah")
        assert noah.names(noah.join()["members"]) == {"Pia", "Noah"}
        until(partial(pia.knows, noah), "Pia sees Noah join")

        wanda = Guest(browser, str(room.link), "Wanda")
        until(lambda: wanda.people() == {"Pia", "Noah", "Wanda"}, "all three in the page's list")
        for person in (pia, noah):
            until(partial(has_met, person, "Wanda"), "everybody sees Wanda join")

        assert pia.say("Kettle is on.")["seq"] == 1
        wanda.sees("Kettle is on.")
        assert noah.say("Two minutes.")["seq"] == 2
        wanda.sees("Two minutes.")
        wanda.say("I bring <b>cake</b> & milk")
        wanda.sees("I bring <b>cake</b> & milk")
        expected = [(1, "Kettle is on."), (2, "Two minutes."), (3, "I bring <b>cake</b> & milk")]
        for person in (pia, noah):
            until(lambda: sorted(person.heard) == expected, "three messages")  # noqa: B023

        node.close()
        until(partial(pia.misses, noah), "Pia sees Noah leave")
        until(lambda: "Noah" not in wanda.people(), "the page sees Noah leave")
    wanda.page.close()
    until(lambda: len(pia.events("left")) == 2, "Pia sees Wanda leave")

    room.burn()
    until(lambda: ["burned", {}] in python.heard, "the room burns")
    until(lambda: python.heard[-1][0] == "disconnect", "and everybody is disconnected")
    assert wanda.complaints == []


def has_met(person: Person, name: str) -> bool:
    return name in person.names(person.events("joined"))


def test_all_that_clients_do(one_origin: Gateway) -> None:
    """What the contract has, between Socket.IO's own client and Python's."""
    room = room_in(one_origin)
    python = PythonClient(one_origin.url, path_of(one_origin))
    olga = Person(python, room, "Olga", owns=True)
    assert olga.join()["is_owner"]
    with NodeClient(one_origin.url, {"transports": ["polling"]}) as node:
        noah = Person(node, room, "Noah")
        noah.join()
        sent = noah.say("teh tea")
        noah.edit(sent["id"], "the tea", 1)
        olga.react(sent["id"], "🫖")
        until(lambda: olga.events("changed") and noah.events("reacted"), "both hear of both")
        assert olga.events("changed")[0]["rev"] == 1

        file, content = random_id(), secrets.token_bytes(60_000)
        for index in range(3):
            part = content[index * 22_000 : (index + 1) * 22_000]
            data = noah.keys.seal_bytes("chunk", part, noah.id, file, index, 3)
            noah.ask("upload", file=file, index=index, count=3, data=data)
        chunks = olga.ask("fetch", file=file, index=0, count=3)["chunks"]
        opened = [olga.keys.open_bytes("chunk", chunk, noah.id, file, n, 3) for n, chunk in enumerate(chunks)]
        assert b"".join(opened) == content

        noah.ask("typing", typing=True)
        noah.ask("seen", seq=1, to=[python.client.get_sid("/")])
        until(lambda: olga.events("typing") and olga.events("seen"), "the volatile ones")

        (entry,) = olga.ask("history")["history"]
        assert (olga.read(entry), entry["rev"], entry["reactions"].keys()) == ("the tea", 1, {olga.id})
        olga.ask("delete", id=sent["id"], rev=2, file=file)
        assert noah.refused("fetch", file=file, index=0, count=3) == "no_such_file"

        olga.ask("lock", locked=True)
        until(lambda: noah.events("room") == [{"locked": True}], "the lock")
        olga.ask("remove", person=noah.id)
        until(lambda: node.heard[-1][0] == "disconnect", "Noah is out")
        assert noah.events("removed") == [{"person": noah.id}]
    with NodeClient(one_origin.url, {"transports": ["websocket"]}) as node:
        back = Person(node, room, "Noah", me=noah.me)
        assert back.refused("join", **back.joining()) == "removed"
        new = Person(node, room, "New")
        assert new.refused("join", **new.joining()) == "locked"
    python.close()


def test_the_page_where_no_websocket_passes(own_address: Gateway, browser: Browser) -> None:
    """It falls back to long polling, at its own origin, and says so."""
    room = room_in(own_address)
    python = PythonClient(own_address.url, path_of(own_address))
    pia = Person(python, room, "Pia")
    pia.join()
    context = browser.new_context()
    context.add_init_script(BLOCKED)
    wanda = Guest(browser, str(room.link), "Wanda", context)
    expect(wanda.at("status")).to_contain_text("long polling")
    pia.say("hello by whatever way")
    wanda.sees("hello by whatever way")
    wanda.say("and back")
    until(lambda: len(pia.heard) == 2, "the answer")
    python.close()


def test_the_open_packet_comes_first_whatever_connect_takes(one_origin: Gateway) -> None:
    """The function of $connect cannot post (410); somebody else does, as soon as the connection exists."""
    from websockets.sync.client import connect

    for _ in range(5):
        with connect(one_origin.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket") as socket:
            assert str(socket.recv(10)).startswith('0{"sid":')


def test_the_heartbeat() -> None:
    """A connected client stays; one that does not answer pings is gone for the others within the time."""
    from websockets.sync.client import connect

    with Gateway("PingInterval=2", "PingTimeout=2", "--every", "1") as gateway:
        room = room_in(gateway)
        python = PythonClient(gateway.url, "/socket.io/")
        pia = Person(python, room, "Pia")
        pia.join()
        sly = Person(python, room, "Sly")  # for what is to be sent
        with connect(gateway.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket") as silent:
            assert str(silent.recv(10)).startswith("0{")
            silent.send("40")
            assert str(silent.recv(10)).startswith('40{"sid"')
            silent.send(f"421{json.dumps(['join', sly.joining()])}")
            frames = [str(silent.recv(10)) for _ in range(2)]
            assert "2" in frames, "a ping came"
            until(partial(pia.misses, sly), "Sly is gone for the others")
        assert python.client.connected
        assert pia.say("still here")["seq"] == 1
        python.close()
