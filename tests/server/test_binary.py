"""Binary events over WebSocket: a header in one frame, its attachments in frames after it, in order or not."""

import json
from typing import Any

import pytest

from server.assembly import MAX_PENDING, Assembly
from server.engine import UNORDERED
from tests.server.rig import Rig

HOLE = '{"_placeholder":true,"num":%d}'


def header(event: str, count: int, *, id: str = "", namespace: str = "") -> str:
    holes = ",".join(HOLE % n for n in range(count))
    return f'45{count}-{namespace}{id}["{event}",{holes}]'


class Line:
    """A client whose frames come through a queue, in their order: each has a number."""

    def __init__(self, rig: Rig, *namespaces: str) -> None:
        self.rig, self.client = rig, rig.client(*namespaces)
        self.number = 100

    def send(self, *frames: str) -> None:
        for frame in frames:
            self.number += 1
            self.again(frame)

    def again(self, frame: str, number: int = 0) -> None:
        """Deliver a frame, the last one again if no number is given."""
        answer = self.rig.engine.receive(self.client.id, frame, self.rig.world.deadline, number or self.number)
        assert answer is None, "nothing rides a response that nobody waits for"

    def take(self) -> list[str]:
        return self.client.take()


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/", "/other"])


@pytest.fixture
def seen(rig: Rig) -> list[Any]:
    """What the handlers heard; each event is answered with its arguments."""
    seen: list[Any] = []

    def hear(event: str, sid: str, *args: Any) -> Any:
        seen.append((event, *args))
        return args

    rig.sio.on("*", hear)
    rig.sio.on("*", hear, "/other")
    return seen


class TestInOrder:
    def test_an_event(self, rig: Rig, seen: list[Any]) -> None:
        line = Line(rig, "/")
        line.send(header("file", 2, id="7"), "bAAE=")
        assert (seen, line.take()) == ([], [])
        line.send("b//4=")
        assert seen == [("file", b"\x00\x01", b"\xff\xfe")]
        assert line.take() == [f"462-7[{HOLE % 0},{HOLE % 1}]", "bAAE=", "b//4="]
        assert rig.world.connections.records[line.client.id].connection.pending == ()

    def test_what_comes_behind_it_waits(self, rig: Rig, seen: list[Any]) -> None:
        line = Line(rig, "/")
        line.send(header("file", 1), '42["text",1]', '42["text",2]')
        assert seen == []
        line.send("bAAE=")
        assert seen == [("file", b"\x00\x01"), ("text", 1), ("text", 2)]

    def test_headers_before_attachments(self, rig: Rig, seen: list[Any]) -> None:
        """As the browser's client sends them where it has to encode binary data itself."""
        line = Line(rig, "/")
        line.send(header("one", 1), header("two", 2), '42["three"]', "bAQ==", "bAg==")
        assert seen == [("one", b"\1")]
        line.send("bAw==")
        assert seen == [("one", b"\1"), ("two", b"\2", b"\3"), ("three",)]

    def test_several_namespaces(self, rig: Rig, seen: list[Any]) -> None:
        line = Line(rig, "/", "/other")
        line.send(header("there", 1, namespace="/other,"), header("here", 1), "bAQ==", "bAg==")
        assert seen == [("there", b"\1"), ("here", b"\2")]

    def test_a_goodbye_waits_too(self, rig: Rig, seen: list[Any]) -> None:
        rig.sio.on("disconnect", lambda sid, reason: seen.append(reason))
        line = Line(rig, "/")
        line.send(header("file", 1), "41")
        assert seen == []
        line.send("bAAE=")
        assert seen == [("file", b"\x00\x01"), "client disconnect"]

    def test_the_heartbeat_does_not(self, rig: Rig, seen: list[Any]) -> None:
        line = Line(rig, "/")
        line.send(header("file", 1))
        rig.world.clock += 1_000
        line.send("3", "bAAE=")
        assert seen == [("file", b"\x00\x01")]
        assert rig.world.connections.records[line.client.id].seen == rig.world.clock

    @pytest.mark.parametrize(
        "frames",
        [
            ["bAAE="],
            [header("file", 1), "bAAE=", "bAAE="],
            ['451-["file",{}]'],
            ['4511-["file"]'],
            [header("e", 1), "b#"],
        ],
        ids=["no event", "one too many", "no place", "too many", "not base64"],
    )
    def test_what_is_none(self, rig: Rig, seen: list[Any], frames: list[str]) -> None:
        rig.sio.on("disconnect", lambda sid, reason: seen.append(reason))
        line = Line(rig, "/")
        line.send(*frames)
        assert seen[-1] == "transport error"
        assert rig.world.wire.closed == [line.client.id]
        assert not rig.world.connections.records

    def test_more_than_may_wait(self, rig: Rig, seen: list[Any]) -> None:
        rig.sio.on("disconnect", lambda sid, reason: seen.append(reason))
        line = Line(rig, "/")
        line.send(header("file", 10))
        frame = "b" + "A" * 30_000
        for _ in range(MAX_PENDING // len(frame)):
            line.send(frame)
            assert not seen
        line.send(frame)
        assert seen == ["transport error"]

    def test_who_leaves_in_the_middle(self, rig: Rig, seen: list[Any]) -> None:
        rig.sio.on("disconnect", lambda sid, reason: seen.append(reason))
        line = Line(rig, "/")
        line.send(header("file", 1))
        rig.engine.closed(line.client.id, "transport close", rig.world.deadline)
        assert seen == ["transport close"]
        assert not rig.world.connections.records


class TestAgain:
    """The queue delivers what an invocation did not finish once more."""

    def test_an_event(self, rig: Rig, seen: list[Any]) -> None:
        line = Line(rig, "/")
        line.send('421["text",1]')
        line.again('421["text",1]')
        line.send('421["text",2]')
        assert seen == [("text", 1), ("text", 2)]

    def test_one_that_was_not_handled_to_its_end(self, rig: Rig, seen: list[Any]) -> None:
        line = Line(rig, "/")
        line.send('421["text",1]')
        rig.world.connections.records[line.client.id].connection.handled = line.number - 1
        line.again('421["text",1]')
        assert seen == [("text", 1), ("text", 1)], "twice rather than never"

    def test_an_older_one(self, rig: Rig, seen: list[Any]) -> None:
        line = Line(rig, "/")
        line.send('42["text",1]', '42["text",2]')
        line.again('42["text",1]', line.number - 1)
        assert seen == [("text", 1), ("text", 2)]

    @pytest.mark.parametrize("doubled", range(4))
    def test_a_frame_of_a_binary_event(self, rig: Rig, seen: list[Any], doubled: int) -> None:
        """A header that was taken twice would wait for attachments forever, and all events behind it."""
        line = Line(rig, "/")
        for n, frame in enumerate([header("file", 2), "bAQ==", "bAg==", '42["text"]']):
            line.send(frame)
            if n == doubled:
                line.again(frame)
        assert seen == [("file", b"\1", b"\2"), ("text",)]
        assert not rig.world.wire.closed

    def test_an_event_behind_a_binary_one(self, rig: Rig, seen: list[Any]) -> None:
        line = Line(rig, "/")
        line.send(header("file", 1), '42["text",1]')
        line.again('42["text",1]')
        line.send("bAQ==")
        assert seen == [("file", b"\1"), ("text", 1)]

    def test_a_connect(self, rig: Rig) -> None:
        line = Line(rig)
        line.send("40")
        (connected,) = line.take()
        line.again("40")
        assert line.take() == [connected], "the same socket"
        assert len(rig.sio.members(None)) == 1

    def test_a_goodbye(self, rig: Rig, seen: list[Any]) -> None:
        rig.sio.on("disconnect", lambda sid, reason: seen.append(reason))
        line = Line(rig, "/", "/other")
        line.send("41")
        line.again("41")
        assert seen == ["client disconnect"]
        assert not rig.world.wire.closed


class TestWithoutOrder:
    """Each frame by itself: an attachment might be put into somebody else's event."""

    def refusal(self, namespace: str = "") -> str:
        return f"44{namespace}{json.dumps({'message': UNORDERED}, separators=(',', ':'))}"

    def test_it_is_refused(self, rig: Rig, seen: list[Any]) -> None:
        """CONNECT_ERROR is the only packet that tells a client why; its socket is gone with it."""
        rig.sio.on("disconnect", lambda sid, reason: seen.append(reason))
        client = rig.client("/", "/other")
        for frame in (header("file", 1), "bAAE="):
            client.send(frame)
        assert client.take() == [self.refusal()]
        assert seen == ["client disconnect"]
        assert not rig.world.wire.closed
        client.emit("text", id=1, namespace="/other")
        assert client.take() == ["43/other,1[]"], "the other namespace is not concerned"

    def test_attachments_that_overtake(self, rig: Rig, seen: list[Any]) -> None:
        client = rig.client("/", "/other")
        for frame in ("bAAE=", header("file", 1, namespace="/other,")):
            client.send(frame)
        assert client.take() == [self.refusal("/other,")]
        assert not rig.world.wire.closed

    def test_it_may_come_back(self, rig: Rig, seen: list[Any]) -> None:
        client = rig.client("/")
        client.send(header("file", 1))
        client.take()
        client.join("/")
        client.emit("text", 1)
        assert seen == [("text", 1)]

    def test_what_the_server_sends_is_not_concerned(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.emit("file", b"\0")
        assert client.take() == [header("file", 1), "bAA=="]


def test_what_waits_is_carried_on() -> None:
    """From one invocation to the next, at any point."""
    parts: list[str | bytes] = [header("a", 1)[1:], '2["b"]', header("c", 2)[1:], b"1", b"2", b"3"]
    frames: tuple[str, ...] = ()
    done = []
    for part in parts:
        assembly = Assembly(frames)
        done += [packet.data for packet in assembly.feed(part)]
        frames = assembly.frames
    assert done == [["a", b"1"], ["b"], ["c", b"2", b"3"]]
    assert frames == ()
