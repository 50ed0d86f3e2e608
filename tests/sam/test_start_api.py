"""`sam local start-api`: the page, the rooms API and long polling."""

import json
import re
from typing import Any

import pytest
import socketio

from tests.chat.person import Invitation, Person
from tests.e2e.processes import ROOT, PythonClient, until
from tests.sam.machines import PATIENCE, Backend, Server, request

pytestmark = [pytest.mark.sam, pytest.mark.timeout(240)]


def test_the_page_and_everything_it_asks_for(start_api: Server) -> None:
    status, headers, page = request(f"{start_api.url}/")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert re.sub(rb'"/web/v-\w+/', b'"/web/', page) == (ROOT / "src" / "web" / "index.html").read_bytes()
    assets = re.findall(r'(?:src|href)="(/[^"]+\.\w+)"', page.decode())
    assert assets
    for path in [*assets, "/socket.io/socket.io.esm.min.js"]:
        status, _, body = request(start_api.url + path)
        assert status == 200, path
        assert len(body) > 100


def test_the_page_learns_where_its_socket_is(start_api: Server, backend: Backend) -> None:
    status, _, body = request(f"{start_api.url}/config.json")
    assert status == 200
    socket = json.loads(body)["socket"]
    assert socket["fallback"] == {"url": "", "path": "/socket.io/", "transports": ["polling"]}
    assert socket["url"] == f"ws://127.0.0.1:{backend.port}"
    assert socket["path"] == "/live/"


def test_a_rooms_life(start_api: Server, backend: Backend) -> None:
    """Made and burned in a container; whoever is in it learns of it from there, through the gateway's @connections."""
    room = Invitation(start_api.url)
    room.create(title="Tea", ttl=600)
    address = f"{start_api.url}/api/rooms/{room.room}"

    status, _, body = request(address)
    assert status == 200
    assert room.keys.open("title", json.loads(body)["title"]) == "Tea"
    assert request(address, "DELETE", Authorization="Bearer not-the-key")[0] == 403

    client = PythonClient(backend.url, "/live/")
    Person(client, room, "Pia").join()
    room.burn()
    until(lambda: ["burned", {}] in client.heard, "the room burns")
    until(lambda: client.heard[-1][0] == "disconnect", "and everybody is disconnected")
    assert request(address)[0] == 404


def test_what_is_wrong_is_said(start_api: Server) -> None:
    status, _, body = request(f"{start_api.url}/api/rooms", "POST", {"ttl": "long"})
    assert status == 400
    assert json.loads(body)["error"]["code"] == "bad_request"
    assert request(f"{start_api.url}/nowhere")[0] == 404


def test_two_people_poll(start_api: Server) -> None:
    """Both through the one container that start-api keeps."""
    room = Invitation(start_api.url)
    room.create(ttl=600)
    clients = [Polling(start_api.url) for _ in range(2)]
    pia, noah = (Person(client, room, name) for client, name in zip(clients, ("Pia", "Noah"), strict=True))
    for person in (pia, noah):
        person.join()
    assert pia.say("Tea?")["seq"] == 1
    assert noah.say("Yes.")["seq"] == 2
    for person in (pia, noah):
        until(lambda: len(person.heard) == 2, "both hear both", PATIENCE)  # noqa: B023
        assert sorted(person.heard) == [(1, "Tea?"), (2, "Yes.")]
    for client in clients:
        client.close()


class Polling:
    """python-socketio's client by long polling alone, and with patience."""

    def __init__(self, url: str) -> None:
        self.heard: list[list[Any]] = []
        self._client = socketio.Client(reconnection=False, request_timeout=30)
        self._client.on("*", lambda *event: self.heard.append(list(event)))
        self._client.connect(url, transports=["polling"], wait_timeout=PATIENCE)
        assert self._client.transport() == "polling"

    def call(self, event: str, data: Any, /) -> Any:
        return self._client.call(event, data, timeout=PATIENCE)

    def close(self) -> None:
        self._client.disconnect()
