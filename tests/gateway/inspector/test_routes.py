"""The inspector's addresses: what they tell and do, and who is let in."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from gateway.inspector.routes import _stranger
from tests.gateway.conftest import Started, gateway


@pytest.fixture
def http(inspected: Started) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{inspected.url}/_gateway/", trust_env=False, timeout=20) as client:
        yield client


def follow(http: httpx.Client, enough: Callable[[dict[int, Any], dict[str, Any]], Any]) -> Any:
    """Read the stream until `enough(rows, connections)` returns something, and return that."""
    rows: dict[int, Any] = {}
    clients: dict[str, Any] = {}
    with http.stream("GET", "events") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                update = json.loads(line.removeprefix("data: "))
                rows |= {row["number"]: row for row in update["rows"]}
                clients |= {client["id"]: client for client in update["clients"]}
                if found := enough(rows, clients):
                    return found
    raise AssertionError("the stream has ended")


def frame(http: httpx.Client, text: str) -> dict[str, Any]:
    """Return the row of a text from a client, once its invocation is over."""

    def found(rows: dict[int, Any], _: object) -> Any:
        return next((row for row in rows.values() if row["text"] == text and row["duration"] is not None), None)

    row: dict[str, Any] = follow(http, found)
    return row


def connection_of(http: httpx.Client, client: ClientConnection, name: str) -> str:
    client.send(f"I am {name}")
    return str(frame(http, f"I am {name}")["connection"])


def test_the_page_asks_nobody_else(http: httpx.Client) -> None:
    page = http.get("")
    assert page.status_code == 200
    assert "Gateway inspector" in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert "//" not in page.text.replace("<!doctype html>", "")
    assert http.get("inspector.js").headers["content-type"].startswith("text/javascript")
    assert http.get("../_gateway").status_code in (200, 307)


def test_a_frame_with_its_calls_and_its_posts(inspected: Started, http: httpx.Client) -> None:
    with inspected.connect() as client:
        client.send("post write 2")
        assert [client.recv(10), client.recv(10)] == ["posted", "post write 2"]
        client.send("write 2")
        client.recv(10)
        row = frame(http, "write 2")

        def called(rows: dict[int, Any], _: object) -> Any:
            trace = http.get(f"traces/{row['number']}").json()
            # The calls are told by another process, soon after.
            return trace if len(trace["runs"][0]["calls"]) >= 2 else None

        trace = follow(http, called)
        assert [call["operation"] for call in trace["runs"][0]["calls"]] == ["PutItem", "PutItem"]
        assert [sent["text"] for sent in trace["sent"]] == ["write 2"]
        posted = http.get(f"traces/{frame(http, 'post write 2')['number']}").json()
        assert [sent["text"] for sent in posted["sent"]] == ["posted", "post write 2"]
        assert [post["status"] for post in posted["runs"][0]["posts"]] == [200]
    assert http.get("traces/999999999").status_code == 404


def test_a_failure_has_its_stack(inspected: Started, http: httpx.Client) -> None:
    with inspected.connect() as client:
        client.send("fail it")
        assert "Internal server error" in str(client.recv(10))
        row = frame(http, "fail it")
    assert (row["error"], row["complains"]) == ("ValueError", True)
    (run,) = http.get(f"traces/{row['number']}").json()["runs"]
    assert run["message"] == "failed on purpose"
    lines = [line["text"] for log in run["logs"] for line in log["lines"]]
    assert lines[0] == "this fails"
    assert any("main.py" in line for line in lines)


def test_send_close_and_break(inspected: Started, http: httpx.Client) -> None:
    with inspected.connect() as client:
        identity = connection_of(http, client, "the first")
        client.recv(10)
        assert http.post(f"connections/{identity}/send", json={"text": "by hand"}).status_code == 200
        assert client.recv(10) == "by hand"
        assert http.post(f"connections/{identity}/send", json={}).status_code == 400
        assert http.post(f"connections/{identity}/close", json={}).status_code == 200
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
        assert http.post(f"connections/{identity}/close", json={}).status_code == 410
    with inspected.connect() as client:
        identity = connection_of(http, client, "the second")
        client.recv(10)
        assert http.post(f"connections/{identity}/break", json={}).status_code == 200
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
        assert closed.value.rcvd is None
        assert follow(http, lambda _, clients: clients.get(identity, {}).get("code")) == 1006


def test_an_invocation_by_hand(http: httpx.Client) -> None:
    assert http.post("functions/Fn", json={"event": {"body": "me"}}).json() == {
        "answer": {"statusCode": 200, "body": "me"}
    }
    failed = http.post("functions/Fn", json={"event": {"body": "fail"}}).json()
    assert (failed["error"], failed["message"]) == ("ValueError", "failed on purpose")
    assert any("main.py" in line for line in failed["trace"])
    assert http.post("functions/Nobody", json={"event": {}}).status_code == 404


def test_items_of_a_table(inspected: Started, http: httpx.Client) -> None:
    with inspected.connect() as client:
        client.send("write 250")
        client.recv(20)
    first = http.get("tables/things").json()
    assert len(first["items"]) == 100
    assert first["items"][0]["set"] == ["x", "y"]
    assert first["items"][0]["data"] == {"base64": "MQ=="}
    found = [item["sk"] for item in first["items"]]
    while first["next"]:
        first = http.get("tables/things", params={"start": json.dumps(first["next"])}).json()
        found += [item["sk"] for item in first["items"]]
    assert sorted(found) == list(range(250))
    newest = http.get("tables/things", params={"key": "a"}).json()["items"]
    assert [item["sk"] for item in newest[:2]] == [249, 247]
    assert http.get("tables/nothing").status_code == 404
    stack = http.get("stack").json()
    assert stack["tables"] == [{"name": "things", "logical_id": "Table", "keys": ["pk", "sk"], "ttl": None}]


def test_queues_and_dead_letters(http: httpx.Client) -> None:
    found = http.get("queues").json()
    assert [(queue["name"], queue["dead_letters_of"]) for queue in found] == [("jobs", []), ("dead", ["jobs"])]
    assert http.get("queues/jobs").status_code == 404
    assert http.get("queues/dead").json() == []


def test_the_bill(inspected: Started, http: httpx.Client) -> None:
    with inspected.connect() as client:
        client.send("what does it cost?")
        client.recv(10)
    bill = http.get("bill").json()
    assert bill["messages"] >= 2
    assert "What this would cost on AWS" in bill["text"]


def test_only_the_page_itself_may_act(http: httpx.Client) -> None:
    event: dict[str, Any] = {"event": {}}
    for headers in (
        {"Origin": "http://example.com"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "example.com"},
    ):
        assert http.post("functions/Fn", json=event, headers=headers).status_code == 403
        assert http.get("events", headers={"Sec-Fetch-Dest": "empty", **headers}).status_code == 403
    # What a form of another site can send without asking first.
    assert (
        http.post("functions/Fn", content=json.dumps(event), headers={"Content-Type": "text/plain"}).status_code == 415
    )
    origin = {"Origin": str(http.base_url.copy_with(path="/")).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert http.post("functions/Fn", json=event, headers=origin).status_code == 200
    assert http.post("functions/Fn", content="[", headers={"Content-Type": "application/json"}).status_code == 400


@pytest.mark.parametrize(
    ("client", "server", "host", "let_in"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1:3000", True),
        ("127.0.0.1", "127.0.0.1", "localhost:3000", True),
        ("::1", "::1", "[::1]:3000", True),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", "localhost:3000", True),
        ("192.0.2.5", "192.0.2.5", "192.0.2.5:3000", True),
        ("192.0.2.6", "192.0.2.5", "192.0.2.5:3000", False),
        ("127.0.0.1", "127.0.0.1", "rebound.example:3000", False),
        ("127.0.0.1", "127.0.0.1", "localhost.example", False),
        ("127.0.0.1", "127.0.0.1", "", False),
    ],
)
def test_who_is_on_this_machine(client: str, server: str, host: str, let_in: bool) -> None:
    scope = {
        "method": "GET",
        "scheme": "http",
        "client": (client, 5),
        "server": (server, 3000),
        "headers": [(b"host", host.encode())],
    }
    assert (not _stranger(scope)) == let_in


@pytest.fixture
def other(inspected: Started, tmp_path: Any) -> Iterator[Started]:
    """The same stack again, for what would be in the way of others."""
    template = str(inspected.log.parent / "template.yaml")
    with gateway(tmp_path / "log", template, "--no-inspector", "--no-reload") as running:
        yield running


def test_without_an_inspector_its_address_is_the_stacks(other: Started) -> None:
    assert not [line for line in other.lines if "Inspector" in line]
    assert httpx.get(f"{other.url}/_gateway/", trust_env=False).text == "page"


def test_time_can_be_turned(http: httpx.Client) -> None:
    before = http.post("clock", json={"seconds": 1}).json()["now"]
    assert http.post("clock", json={"seconds": 3600}).json()["now"] >= before + 3600
    for seconds in (0, -1, "1", True, 1e12):
        assert http.post("clock", json={"seconds": seconds}).status_code == 400
