"""What each event may cost in calls of AWS: the bill is made of these."""

import json
from typing import Any

import pytest

from tests.handlers.conftest import Lambda, sample

OTHERS = 3


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
    """The heartbeat reads its four shards, whoever is connected, and writes nothing."""
    assert functions.counted("heartbeat", sample("heartbeat")) == {"Query": 4}
