"""What each event may cost in calls of AWS: the bill is made of these."""

import json
from typing import Any

import pytest

from tests.handlers.conftest import Lambda, sample

OTHERS = 3
QUERY = "EIO=4&transport=polling"


@pytest.fixture
def room(functions: Lambda) -> str:
    """A chat room with Ann in it, and three others."""
    body = json.dumps({"ttl": 600})
    event = sample("http-create-room")
    event["body"] = body
    room: str = json.loads(functions.invoke("http", event)["body"])["room"]
    for n in range(OTHERS):
        functions.connect(f"L0SM9cOFvHcCIh{n}=")
        join(functions, room, f"L0SM9cOFvHcCIh{n}=")
    functions.connect()
    join(functions, room)
    functions.deliver()
    functions.posts.clear()
    functions.calls.clear()
    return room


def join(functions: Lambda, room: str, connection_id: str = "L0SM9cOFvHcCIhw=") -> dict[str, Any]:
    answer = functions.frame(f'420["join",{{"room":"{room}","name":"Ann"}}]', connection_id)
    assert answer
    values: dict[str, Any] = json.loads(answer.removeprefix("430"))[0]
    assert values["ok"], values
    return values


def frame(text: str) -> dict[str, Any]:
    event = sample("message-connect")
    event["body"] = text
    return event


def test_connect(functions: Lambda) -> None:
    assert functions.counted("connect", sample("connect")) == {"PutItem": 1, "SendMessageBatch": 1}


def test_the_open_packet(functions: Lambda) -> None:
    functions.invoke("connect", sample("connect"))
    job = sample("deliver-open")
    assert functions.counted("deliver", job) == {"PostToConnection": 1}


def test_joining_a_namespace(functions: Lambda) -> None:
    """One read; three writes in two calls: the record, and both places in one batch."""
    functions.invoke("connect", sample("connect"))
    expected = {"GetItem": 1, "UpdateItem": 1, "BatchWriteItem": 1}
    assert functions.counted("message", sample("message-connect")) == expected


def test_pong(functions: Lambda) -> None:
    functions.connect()
    assert functions.counted("message", sample("message-pong")) == {"UpdateItem": 1}


def test_a_chat_message(functions: Lambda, room: str) -> None:
    """One read, one query a page, two writes; a post for each recipient, and none for the acknowledgement."""
    cost = functions.counted("message", frame('421["message",{"id":"m1","text":"hi"}]'))
    assert cost == {"GetItem": 1, "UpdateItem": 1, "PutItem": 1, "Query": 1, "PostToConnection": 1 + OTHERS}


def test_a_chat_message_said_again(functions: Lambda, room: str) -> None:
    functions.frame('421["message",{"id":"m1","text":"hi"}]')
    cost = functions.counted("message", frame('422["message",{"id":"m1","text":"hi"}]'))
    assert cost == {"GetItem": 1, "UpdateItem": 1, "PutItem": 1}


def test_typing(functions: Lambda, room: str) -> None:
    cost = functions.counted("message", sample("message-event"))
    assert cost == {"GetItem": 1, "Query": 1, "PostToConnection": OTHERS}


def test_an_event_with_an_acknowledgement_alone(functions: Lambda, room: str) -> None:
    cost = functions.counted("message", frame('421["message",{"id":"m1"}]'))
    assert cost == {"GetItem": 1}


def test_joining_a_room(functions: Lambda, room: str) -> None:
    """Head and history of the journal, the connection, the place; the members twice, for the answer and the emit."""
    functions.connect("L0SM9cOFvHcCIh9=")
    event = frame(f'420["join",{{"room":"{room}","name":"Bob"}}]')
    event["requestContext"]["connectionId"] = "L0SM9cOFvHcCIh9="
    cost = functions.counted("message", event)
    assert cost == {"GetItem": 2, "UpdateItem": 1, "BatchWriteItem": 1, "Query": 3, "PostToConnection": 1 + OTHERS}


def test_disconnect(functions: Lambda, room: str) -> None:
    """One call that reads the record and claims it; a batch for the places, one for the record; the leave notice."""
    cost = functions.counted("disconnect", sample("disconnect"))
    assert cost.pop("PostToConnection") == OTHERS
    assert cost.pop("Query") == 1
    assert cost == {"UpdateItem": 1, "BatchWriteItem": 2}


def test_a_silent_minute(functions: Lambda, room: str) -> None:
    """The heartbeat reads its four shards, whoever is connected, and when it ran before; and writes that it ran."""
    assert functions.counted("heartbeat", sample("heartbeat")) == {"Query": 4, "GetItem": 1, "PutItem": 1}


class TestPolling:
    @pytest.fixture
    def poller(self, functions: Lambda, monkeypatch: pytest.MonkeyPatch) -> str:
        """A client that polls and has joined `/`; its session id."""
        monkeypatch.setenv("POLL_HOLD", "0.3")
        session: str = json.loads(functions.http("GET", "/socket.io/", QUERY)[1][1:])["sid"]
        assert functions.http("POST", "/socket.io/", f"{QUERY}&sid={session}", "40") == (200, "ok")
        assert functions.http("GET", "/socket.io/", f"{QUERY}&sid={session}")[1].startswith("40")
        functions.calls.clear()
        return session

    def test_handshake(self, functions: Lambda) -> None:
        functions.http("GET", "/socket.io/", QUERY)
        assert functions.calls == {"PutItem": 1}

    def test_a_poll_that_finds_packets(self, functions: Lambda, poller: str) -> None:
        """The first write tells what waits and marks whose poll it is; the last takes what the answer carries."""
        functions.http("POST", "/socket.io/", f"{QUERY}&sid={poller}", '421["leave"]')
        functions.calls.clear()
        assert functions.http("GET", "/socket.io/", f"{QUERY}&sid={poller}") == (200, '431[{"ok":true}]')
        assert functions.calls == {"UpdateItem": 2}

    def test_a_poll_that_finds_nothing(self, functions: Lambda, poller: str) -> None:
        """The same, and a read for each look: 5 in the first 0.3 s here, at most 33 in 25 s (see test_polling)."""
        assert functions.http("GET", "/socket.io/", f"{QUERY}&sid={poller}") == (200, "6")
        reads = functions.calls.pop("GetItem")
        assert 3 <= reads <= 5
        assert functions.calls == {"UpdateItem": 2}

    def test_a_request_with_an_event_and_its_acknowledgement(self, functions: Lambda, poller: str) -> None:
        """One read, and one write to the box, however many packets are in the request."""
        body = '421["leave"]' + "\x1e" + '422["leave"]'
        functions.http("POST", "/socket.io/", f"{QUERY}&sid={poller}", body)
        assert functions.calls == {"GetItem": 1, "UpdateItem": 1}

    def test_a_pong(self, functions: Lambda, poller: str) -> None:
        functions.http("POST", "/socket.io/", f"{QUERY}&sid={poller}", "3")
        assert functions.calls == {"GetItem": 1, "UpdateItem": 1}

    def test_the_upgrade(self, functions: Lambda, poller: str) -> None:
        connect = sample("connect")
        connect["queryStringParameters"]["sid"] = poller
        assert functions.counted("connect", connect) == {"GetItem": 1, "PutItem": 1}
        assert functions.counted("message", frame("2probe")) == {"GetItem": 1, "UpdateItem": 1}
        # The move, what moves along, and the two places that every socket is in.
        assert functions.counted("message", frame("5")) == {"GetItem": 1, "UpdateItem": 2 + 2}
        assert functions.counted("message", frame('421["leave"]')) == {"GetItem": 1}


class TestRecovery:
    """The same where clients may come back to their sockets: the events that are kept cost a write."""

    @pytest.fixture
    def recovering(self, functions: Lambda, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
        monkeypatch.setenv("RECOVERY_WINDOW", "120")
        room: str = request.getfixturevalue("room")
        return room

    def test_joining_a_namespace(self, functions: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RECOVERY_WINDOW", "120")
        functions.invoke("connect", sample("connect"))
        expected = {"GetItem": 1, "UpdateItem": 1, "BatchWriteItem": 1}
        assert functions.counted("message", sample("message-connect")) == expected

    def test_a_chat_message(self, functions: Lambda, recovering: str) -> None:
        """No more than without: history and recovery are one write."""
        cost = functions.counted("message", frame('421["message",{"id":"m1","text":"hi"}]'))
        assert cost == {"GetItem": 1, "UpdateItem": 1, "PutItem": 1, "Query": 1, "PostToConnection": 1 + OTHERS}
        assert all('"message"' in text and text.endswith('"]') for _, text in functions.posts), "with its offset"

    def test_typing(self, functions: Lambda, recovering: str) -> None:
        """It is volatile, and not kept."""
        cost = functions.counted("message", sample("message-event"))
        assert cost == {"GetItem": 1, "Query": 1, "PostToConnection": OTHERS}

    def test_an_event_to_a_room(self, functions: Lambda, recovering: str) -> None:
        """The leave notice is kept."""
        cost = functions.counted("message", frame('421["leave",{}]'))
        assert cost == {"GetItem": 1, "Query": 1, "UpdateItem": 1, "BatchWriteItem": 2, "PostToConnection": OTHERS}

    def test_disconnect(self, functions: Lambda, recovering: str) -> None:
        """What is kept of a socket goes with the batch that frees its places."""
        cost = functions.counted("disconnect", sample("disconnect"))
        assert cost.pop("PostToConnection") == OTHERS
        assert cost == {"UpdateItem": 1, "Query": 1, "BatchWriteItem": 3}

    def test_coming_back(self, functions: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
        """The socket, the box, its places twice; a look at each room's events and at its journal."""
        monkeypatch.setenv("RECOVERY_WINDOW", "120")
        functions.invoke("connect", sample("connect"))
        answer = functions.frame("40")
        assert answer
        pid = json.loads(answer[2:])["pid"]
        functions.invoke("disconnect", sample("disconnect"))
        functions.invoke("connect", sample("connect", connectionId="L0SM9cOFvHcCIh9="))
        event = frame(f"40{json.dumps({'pid': pid})}")
        event["requestContext"]["connectionId"] = "L0SM9cOFvHcCIh9="
        cost = functions.counted("message", event)
        # The namespace's room of all has no journal, and the socket's own room is looked up for one.
        assert cost == {
            "GetItem": 1,
            "PutItem": 1,
            "BatchWriteItem": 1,
            "Query": 3,
            "UpdateItem": 1 + 1 + 1 + 2,
            "PostToConnection": 1,
        }
