"""What each event may cost in calls of AWS: the bill is made of these."""

import importlib
import json
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.chat.person import Invitation, Person
from tests.handlers.conftest import APPLICATION, Lambda, Socket, sample

OTHERS = 3
QUERY = "EIO=4&transport=polling"


@pytest.fixture
def invitation() -> Invitation:
    return Invitation()


@pytest.fixture
def ann(functions: Lambda, invitation: Invitation) -> Person:
    """Ann, who is in a chat room with three others."""
    event = sample("http-create-room")
    event["body"] = json.dumps(invitation.body(ttl=600))
    assert functions.invoke("http", event)["statusCode"] == 201
    for n in range(OTHERS):
        Person(Socket(functions, f"L0SM9cOFvHcCIh{n}="), invitation, f"{n}").join()
    ann = Person(Socket(functions, "L0SM9cOFvHcCIhw="), invitation, "Ann")
    ann.join()
    functions.deliver()
    functions.posts.clear()
    functions.calls.clear()
    return ann


def said(ann: Person, id: int = 1) -> dict[str, Any]:
    """Return the frame that says something in her room; the same at each call, but for the packet's id."""
    return frame(
        f"42{id}" + json.dumps(["message", {"id": "m1", "body": ann.keys.seal("message", "hi", ann.id, "m1")}])
    )


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
    """Three writes in two calls, the record and both places in one batch; a read before and one after: is it open?"""
    functions.invoke("connect", sample("connect"))
    expected = {"GetItem": 1, "BatchGetItem": 1, "UpdateItem": 1, "BatchWriteItem": 1}
    assert functions.counted("message", sample("message-connect")) == expected


def test_pong(functions: Lambda) -> None:
    functions.connect()
    assert functions.counted("message", sample("message-pong")) == {"UpdateItem": 1}


def test_a_chat_message(functions: Lambda, ann: Person) -> None:
    """One read, one query a page, two writes, and one for what its author may still say; a post for each recipient.

    None for the acknowledgement. Where frames come through a queue the session rides a write: see test_frames.
    """
    cost = functions.counted("message", said(ann))
    assert cost == {"GetItem": 1, "UpdateItem": 2, "PutItem": 1, "Query": 1, "PostToConnection": 1 + OTHERS}


def test_a_chat_message_said_again(functions: Lambda, ann: Person) -> None:
    functions.invoke("message", said(ann))
    assert functions.counted("message", said(ann, 2)) == {"GetItem": 1, "UpdateItem": 2, "PutItem": 1}


def test_typing(functions: Lambda, ann: Person) -> None:
    cost = functions.counted("message", sample("message-event"))
    assert cost == {"GetItem": 1, "Query": 1, "PostToConnection": OTHERS}


def test_an_event_with_an_acknowledgement_alone(functions: Lambda, ann: Person) -> None:
    assert functions.counted("message", frame('421["message",{"id":"m1"}]')) == {"GetItem": 1}


def test_joining_a_room(functions: Lambda, ann: Person, invitation: Invitation) -> None:
    """Reads: the connection and the room, each before and after one is in it; its history, the members twice.

    Writes: the count of the address, the connection, the place.
    """
    socket = Socket(functions, "L0SM9cOFvHcCIh9=")
    functions.calls.clear()
    Person(socket, invitation, "Bob").join()
    cost = dict(functions.calls)
    reads = {"GetItem": 3, "BatchGetItem": 1, "Query": 3}
    assert cost == {**reads, "UpdateItem": 2, "BatchWriteItem": 1, "PostToConnection": 1 + OTHERS}


def test_what_is_done_with_a_message(functions: Lambda, ann: Person) -> None:
    """Two reads (the connection, the message) and two writes (the message, the rate), and the room is told."""
    ann.say("teh", "m")
    told = {"Query": 1, "PostToConnection": 1 + OTHERS}
    acts: list[Callable[[], Any]] = [
        lambda: ann.edit("m", "the", 1),
        lambda: ann.react("m", "👍"),
        lambda: ann.ask("delete", id="m", rev=2),
    ]
    for act in acts:
        assert asked(functions, act) == {"GetItem": 2, "UpdateItem": 2, **told}
    assert asked(functions, lambda: ann.ask("history")) == {"GetItem": 1, "Query": 1}


def test_seen(functions: Lambda, ann: Person) -> None:
    """Who is in the room is looked up before it is told, so that it goes to nobody else."""
    assert asked(functions, lambda: ann.ask("seen", seq=1, to=[])) == {"GetItem": 1, "Query": 2}


def test_files(functions: Lambda, ann: Person) -> None:
    """A chunk: the connection, whether it is somebody else's, the room's end; the chunk, the rate. Four in one read."""
    chunk = {"GetItem": 2, "BatchGetItem": 1, "PutItem": 1, "UpdateItem": 1}
    for index in range(4):
        asking = partial(ann.ask, "upload", file="f" * 16, index=index, count=4, data="x" * 29_000)
        assert asked(functions, asking) == chunk
    fetching = partial(ann.ask, "fetch", file="f" * 16, index=0, count=4)
    assert asked(functions, fetching) == {"GetItem": 1, "BatchGetItem": 1}


def test_what_the_owner_does(functions: Lambda, ann: Person, invitation: Invitation) -> None:
    """Reads: the connection, the room; who is in it, for the lock and to be told. One write."""
    olga = Person(Socket(functions, "L0SM9cOFvHcCIh9="), invitation, "Olga", owns=True)
    olga.join()
    cost = {"GetItem": 2, "UpdateItem": 1, "Query": 2, "PostToConnection": 2 + OTHERS}
    assert asked(functions, lambda: olga.ask("lock", locked=True)) == cost


def asked(functions: Lambda, act: Callable[[], Any]) -> dict[str, int]:
    """Return the calls that something costs."""
    functions.calls.clear()
    act()
    return dict(functions.calls)


def test_disconnect(functions: Lambda, ann: Person) -> None:
    """One call that reads the record and claims it; a batch for the places, one for the record; the leave notice."""
    cost = functions.counted("disconnect", sample("disconnect"))
    assert cost.pop("PostToConnection") == OTHERS
    assert cost.pop("Query") == 1
    assert cost == {"UpdateItem": 1, "BatchWriteItem": 2}


def test_a_silent_minute(functions: Lambda, ann: Person) -> None:
    """The heartbeat reads its four shards, whoever is connected, the agenda, and its last runs; and writes them."""
    assert functions.counted("heartbeat", sample("heartbeat")) == {"Query": 4 + 1, "GetItem": 1, "PutItem": 1}


class TestCalls:
    """What the server's own calls cost a handler, beside the read of the connection."""

    @pytest.fixture
    def calls(self, functions: Lambda, monkeypatch: pytest.MonkeyPatch) -> Lambda:
        """An application of one call an event, whose client is connected, and a journal with three entries."""
        monkeypatch.setenv("APP", f"{APPLICATION}:sio")
        functions.connect()
        functions.frame('42["create",3]')
        return functions

    def cost(self, calls: Lambda, event: str, *args: Any) -> tuple[dict[str, int], Any]:
        """Return what an event costs beside the read of the connection, and its acknowledgement."""
        calls.calls.clear()
        answer = calls.frame(f"420{json.dumps([event, *args])}")
        calls.calls.subtract({"GetItem": 1})
        assert answer
        return dict(+calls.calls), (json.loads(answer.removeprefix("430")) or [None])[0]

    def test_the_journal(self, calls: Lambda) -> None:
        assert self.cost(calls, "change", 1) == ({"GetItem": 1, "UpdateItem": 1}, {"n": 1})
        assert self.cost(calls, "change", 1) == ({"GetItem": 1}, {"n": 1}), "nothing changes"
        assert self.cost(calls, "rewrite", 1) == ({"GetItem": 1, "UpdateItem": 1}, {"n": 1})
        assert self.cost(calls, "rewrite", 1) == ({"GetItem": 1}, {"n": 1})

    def test_values(self, calls: Lambda) -> None:
        """The journal's end is read: a value ends with it."""
        names = [f"file/{n}" for n in range(4)]
        for name in names:
            assert self.cost(calls, "store", name)[0] == {"GetItem": 1, "PutItem": 1}
        assert self.cost(calls, "load", *names) == ({"BatchGetItem": 1}, 4)
        assert self.cost(calls, "discard", *names)[0] == {"BatchWriteItem": 1}
        assert self.cost(calls, "load", *names) == ({"BatchGetItem": 1}, 0)

    def test_the_end_of_a_room(self, calls: Lambda) -> None:
        """The head, and a query of each partition with a batch for 25 items; again without any."""
        calls.frame('42["create",33]')
        for n in range(20):
            calls.frame(f'42["store","{n}"]')
        shards = {zlib.crc32(f"{n}".encode()) % 4 for n in range(20)}
        deletes = {"DeleteItem": 1, "Query": 5, "BatchWriteItem": 2 + len(shards)}
        assert self.cost(calls, "delete")[0] == deletes
        assert self.cost(calls, "delete")[0] == {"DeleteItem": 1, "Query": 5}

    def test_limits(self, calls: Lambda) -> None:
        assert self.cost(calls, "allow", 1) == ({"UpdateItem": 1}, 0)
        cost, wait = self.cost(calls, "allow", 1)
        assert cost == {"UpdateItem": 1}
        assert 0 < wait <= 3_600
        assert self.cost(calls, "allow", 0) == ({}, 0)

    def test_functions_called_later(self, calls: Lambda, caplog: pytest.LogCaptureFixture) -> None:
        """One write to note it; the heartbeat puts up to ten into the queue, and strikes them out."""
        for name in ("tea", "fails"):
            assert self.cost(calls, "at", name)[0] == {"BatchWriteItem": 1}
        silent = {"Query": 4 + 1, "GetItem": 1, "PutItem": 1}
        due = {**silent, "SendMessageBatch": 1, "BatchWriteItem": 1}
        assert calls.counted("heartbeat", sample("heartbeat")) == due
        application = importlib.import_module(APPLICATION)
        assert application.called == []
        calls.calls.clear()
        calls.deliver()
        assert sorted(application.called) == [("fails",), ("tea",)]
        assert calls.calls["BatchWriteItem"] == 1, "the one that failed is noted again"
        assert "failed, and is called again" in caplog.text
        assert calls.counted("heartbeat", sample("heartbeat")) == due
        calls.deliver()
        assert application.called.count(("fails",)) == 2

    def test_a_session(self, calls: Lambda) -> None:
        assert self.cost(calls, "save", 1)[0] == {"UpdateItem": 1}
        assert self.cost(calls, "saved") == ({}, {"n": 1})


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
    def recovering(self, functions: Lambda, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Person:
        monkeypatch.setenv("RECOVERY_WINDOW", "120")
        monkeypatch.setattr("server.recovery.SETTLED", 60_000)  # on a slow machine an event is late, which is written
        ann: Person = request.getfixturevalue("ann")
        return ann

    def test_joining_a_namespace(self, functions: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RECOVERY_WINDOW", "120")
        functions.invoke("connect", sample("connect"))
        expected = {"GetItem": 1, "BatchGetItem": 1, "UpdateItem": 1, "BatchWriteItem": 1}
        assert functions.counted("message", sample("message-connect")) == expected

    def test_a_chat_message(self, functions: Lambda, recovering: Person) -> None:
        """No more than without: history and recovery are one write."""
        cost = functions.counted("message", said(recovering))
        assert cost == {"GetItem": 1, "UpdateItem": 2, "PutItem": 1, "Query": 1, "PostToConnection": 1 + OTHERS}
        assert all('"message"' in text and text.endswith('"]') for _, text in functions.posts), "with its offset"

    def test_typing(self, functions: Lambda, recovering: Person) -> None:
        """It is volatile, and not kept."""
        cost = functions.counted("message", sample("message-event"))
        assert cost == {"GetItem": 1, "Query": 1, "PostToConnection": OTHERS}

    def test_an_event_to_a_room(self, functions: Lambda, recovering: Person) -> None:
        """The leave notice is kept."""
        cost = functions.counted("message", frame('421["leave",{}]'))
        assert cost == {"GetItem": 1, "Query": 1, "UpdateItem": 1, "BatchWriteItem": 2, "PostToConnection": OTHERS}

    def test_disconnect(self, functions: Lambda, recovering: Person) -> None:
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
