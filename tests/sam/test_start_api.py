"""`sam local start-api`: the page, the rooms API and long polling."""

import json
import re

import pytest
import socketio

from tests.e2e.processes import ROOT, PythonClient, until
from tests.sam.machines import PATIENCE, Backend, Server, request

pytestmark = [pytest.mark.sam, pytest.mark.timeout(240)]


def test_the_page_and_everything_it_asks_for(start_api: Server) -> None:
    status, headers, page = request(f"{start_api.url}/")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert page == (ROOT / "src" / "web" / "index.html").read_bytes()
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
    status, _, body = request(f"{start_api.url}/api/rooms", "POST", {"title": "Tea", "ttl": 600})
    assert status == 201
    made = json.loads(body)
    address = f"{start_api.url}/api/rooms/{made['room']}"
    assert made["url"] == f"{start_api.url}/r/{made['room']}"

    status, _, body = request(address)
    assert (status, json.loads(body)["title"]) == (200, "Tea")
    assert request(address, "DELETE", Authorization="Bearer not-the-key")[0] == 403

    client = PythonClient(backend.url, "/live/")
    assert client.call("join", {"room": made["room"], "name": "Pia"})["ok"]
    assert request(address, "DELETE", Authorization=f"Bearer {made['owner_key']}")[0] == 204
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
    room = json.loads(request(f"{start_api.url}/api/rooms", "POST", {"ttl": 600})[2])["room"]
    heard: list[tuple[str, int, str]] = []
    people = []
    for name in ("Pia", "Noah"):
        client = socketio.Client(reconnection=False, request_timeout=30)
        client.on("message", lambda said, name=name: heard.append((name, said["seq"], said["text"])))
        client.connect(start_api.url, transports=["polling"], wait_timeout=PATIENCE)
        people.append(client)
        assert client.transport() == "polling"
        assert client.call("join", {"room": room, "name": name}, timeout=PATIENCE)["ok"]
    pia, noah = people
    assert pia.call("message", {"id": "p1", "text": "Tea?"}, timeout=PATIENCE)["seq"] == 1
    assert noah.call("message", {"id": "n1", "text": "Yes."}, timeout=PATIENCE)["seq"] == 2
    expected = {(name, seq, text) for name in ("Pia", "Noah") for seq, text in ((1, "Tea?"), (2, "Yes."))}
    until(lambda: set(heard) == expected, "both hear both", PATIENCE)
    assert len(heard) == 4
    for client in people:
        client.disconnect()
