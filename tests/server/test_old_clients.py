"""Clients of Socket.IO 1 and 2, which speak Engine.IO 3, beside the others."""

import json
from typing import Any

import pytest

from protocol import engineio3
from server.exceptions import ConnectionRefusedError
from server.polling import EngineError, Polling
from server.recovery import Recovery
from tests.server.rig import Client, Poller, Rig

WEBSOCKET = {"EIO": "3", "transport": "websocket"}
POLLING = {"EIO": "3", "transport": "polling"}


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/", "/chat"])


def old_client(rig: Rig, query: str = "", *, name: str = "old=") -> Client:
    """Connect one by WebSocket; the first frames that it gets are left for the test."""
    environ = {"QUERY_STRING": f"EIO=3&transport=websocket{query}"}
    assert rig.engine.open(name, WEBSOCKET, environ) == 200
    rig.run_queue()
    client = Client(rig, name)
    client.sids["/"] = rig.world.connections.records[name].connection.session
    return client


class OldPoller:
    """One that polls."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.polling = rig, Polling(rig.sio)
        opened = self.ask("GET", POLLING)
        length, _, packet = opened.partition(":")
        assert int(length) == len(packet)
        self.session: str = json.loads(packet[1:])["sid"]

    def ask(self, method: str, query: dict[str, str], body: bytes = b"") -> str:
        return self.polling.answer(method, query, body, {"QUERY_STRING": ""}, self.rig.world.deadline)

    def poll(self) -> str:
        return self.ask("GET", {**POLLING, "sid": self.session})

    def post(self, body: str | bytes) -> str:
        return self.ask("POST", {**POLLING, "sid": self.session}, body.encode() if isinstance(body, str) else body)


class TestConnecting:
    def test_it_is_let_in_unasked(self, rig: Rig) -> None:
        calls: list[Any] = []
        rig.sio.on("connect", lambda sid, environ, auth: calls.append((sid, auth)))
        client = old_client(rig, "&token=t%20t")
        opened, connected = client.take()
        handshake = json.loads(opened.removeprefix("0"))
        assert handshake["sid"] == client.sid
        assert handshake["pingInterval"] == 120_000
        assert connected == "40"
        assert calls == [(client.sid, {"EIO": "3", "transport": "websocket", "token": "t t"})]

    def test_the_open_packet_comes_first(self, rig: Rig) -> None:
        rig.sio.on("connect", lambda sid, environ: rig.sio.emit("welcome", to=sid))
        opened, welcome, connected = old_client(rig).take()
        assert (opened[0], welcome, connected) == ("0", '42["welcome"]', "40")

    def test_who_asks_all_the_same(self, rig: Rig) -> None:
        client = old_client(rig)
        client.take()
        client.send("40")
        assert client.take() == ["40"]
        assert len(rig.sio.members(None)) == 1

    def test_ids_are_what_its_client_makes_of_them(self, rig: Rig) -> None:
        client = old_client(rig)
        client.take()
        client.send("40/chat,")
        assert client.take() == ["40/chat,"]
        assert [each.sid for each in rig.sio.members(None, "/chat")] == [f"/chat#{client.sid}"]
        assert rig.sio.rooms(f"/chat#{client.sid}", namespace="/chat") == [f"/chat#{client.sid}"]

    def test_a_namespaces_query(self, rig: Rig) -> None:
        calls: list[Any] = []
        rig.sio.on("connect", lambda sid, environ, auth: calls.append(auth), "/chat")
        client = old_client(rig)
        client.take()
        client.send("40/chat?token=t&empty=,")
        assert client.take() == ["40/chat,"]
        assert calls == [{"token": "t", "empty": ""}]

    def test_it_may_leave_and_come_back(self, rig: Rig) -> None:
        client = old_client(rig)
        client.send("40/chat,")
        client.send("41/chat,")
        rig.sio.emit("e", namespace="/chat")
        client.take()
        client.send("40/chat,")
        rig.sio.emit("e", namespace="/chat")
        assert client.take() == ["40/chat,", '42/chat,["e"]']

    @pytest.mark.parametrize(
        ("refusal", "error"),
        [
            (ConnectionRefusedError(), '"Connection rejected by server"'),
            (ConnectionRefusedError("no"), '"no"'),
            (ConnectionRefusedError("no", {"why": 1}), '{"why":1}'),
            (ConnectionRefusedError("no", "data"), '"data"'),
            (ConnectionRefusedError("no", 1, 2), '"[1, 2]"'),
            (KeyError("bug"), '"Connection rejected by server"'),
        ],
        ids=repr,
    )
    def test_what_a_refusal_looks_like(self, rig: Rig, refusal: Exception, error: str) -> None:
        """The data alone or the message, as in Node; its client knows no more of an ERROR packet."""

        def refuse(sid: str, environ: dict[str, Any]) -> None:
            raise refusal

        rig.sio.on("connect", refuse)
        rig.sio.on("connect", refuse, "/chat")
        client = old_client(rig)
        assert client.take()[1:] == [f"44{error}"]
        client.send("40/chat,")
        assert client.take() == [f"44/chat,{error}"]
        assert not rig.world.rooms.items

    def test_an_unknown_namespace(self, rig: Rig) -> None:
        client = old_client(rig)
        client.take()
        client.send("40/nowhere?a=b,")
        assert client.take() == ['44/nowhere,{"message":"Invalid namespace"}']

    def test_who_hangs_up_at_once(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.on("connect", lambda sid, environ: heard.append("connect"))
        assert rig.engine.open("old=", WEBSOCKET, {}) == 200
        rig.engine.closed("old=", "transport close", rig.world.deadline)
        rig.run_queue()
        assert not heard
        assert not rig.world.rooms.items


class TestPackets:
    def test_events_and_acknowledgements(self, rig: Rig) -> None:
        rig.sio.on("add", lambda sid, *args: (sid, *args))
        client = old_client(rig)
        client.take()
        client.emit("add", 1, {"two": 2}, id=7)
        assert client.take() == [f'437["{client.sid}",1,{{"two":2}}]']

    def test_binary_both_ways(self, rig: Rig) -> None:
        rig.sio.on("reverse", lambda sid, data: data[::-1])
        client = old_client(rig)
        client.take()
        for n, frame in enumerate(['451-3["reverse",{"_placeholder":true,"num":0}]', "b4AAE="], 1):
            assert rig.engine.receive(client.id, frame, rig.world.deadline, n) is None
        assert client.take() == ['461-3[{"_placeholder":true,"num":0}]', "b4AQA="]

    @pytest.mark.parametrize("frame", ["bAAE=", "b3AAE=", "b", "b4#", "3"])
    def test_what_it_would_not_send(self, rig: Rig, frame: str) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client = old_client(rig)
        client.send(frame)
        assert heard == ["transport error"]
        assert rig.world.wire.closed == [client.id]

    def test_a_question(self, rig: Rig) -> None:
        answers: list[Any] = []
        rig.sio.callback(answered := lambda *args: answers.append(args))
        client = old_client(rig)
        client.take()
        rig.sio.emit("question", b"\0", to=client.sid, callback=answered)
        header, attachment = client.take()
        assert attachment == "b4AA=="
        number = header.removeprefix("451-").partition("[")[0]
        client.send(f'43{number}["yes"]')
        assert answers == [("yes",)]

    def test_call(self, rig: Rig) -> None:
        client = old_client(rig)
        client.take()

        def meanwhile() -> None:
            rig.world.on_sleep = None
            header, attachment = client.take()
            assert attachment == "b4AA=="
            client.send(f"43{header.removeprefix('451-').partition('[')[0]}[5]")

        rig.world.on_sleep = meanwhile
        assert rig.sio.call("question", b"\0", to=client.sid) == 5


class TestBesideOthers:
    def test_each_gets_its_own_form(self) -> None:
        """One emit to a room: an offset for those that know it, and the old form of binary data for the old."""
        rig = Rig(namespaces=["/"])
        rig.sio.bind(rig.world.ports, Recovery(rig.world.ports, 60, 300))
        old, knows = old_client(rig), rig.client("/")
        assert rig.engine.open("plain=", {"EIO": "4", "transport": "websocket", "t": "1.5"}, {}) == 200
        rig.run_queue()
        plain = Client(rig, "plain=")
        plain.take()
        plain.join("/")
        polls = OldPoller(rig)
        old.take()
        polls.poll()
        for sid in (old.sid, knows.sid, plain.sid, polls.session):
            rig.sio.enter_room(sid, "room")
        rig.sio.emit("text", "last", room="room")
        assert old.take() == plain.take() == ['42["text","last"]']
        assert polls.poll() == '17:42["text","last"]'
        (frame,) = knows.take()
        *event, offset = json.loads(frame[2:])
        assert event == ["text", "last"]
        assert offset in rig.world.packets.items["/", "room"]
        rig.sio.emit("data", b"\0\1", room="room")
        header = '451-["data",{"_placeholder":true,"num":0}]'
        assert old.take() == [header, "b4AAE="]
        assert plain.take() == [header, "bAAE="]
        first, second = knows.take()
        assert first.startswith(header[:-1] + ',"')
        assert second == "bAAE="
        assert polls.poll() == engineio3.payload([header, "b4AAE="])

    def test_no_socket_comes_back(self) -> None:
        """Recovery is of clients that show a pid, and these have none."""
        rig = Rig(namespaces=["/"], recovery=60)
        client = old_client(rig)
        rig.sio.enter_room(client.sid, "room")
        rig.engine.closed(client.id, "transport close", rig.world.deadline)
        assert not rig.world.connections.parked
        assert not rig.world.rooms.items


class TestHeartbeat:
    def minute(self, rig: Rig) -> None:
        rig.world.clock += 60_000
        rig.engine.beat(rig.world.deadline)

    def test_its_pings_are_answered(self, rig: Rig) -> None:
        client = old_client(rig)
        client.take()
        for _ in range(10):
            self.minute(rig)
            assert client.take() == [], "and it is not pinged"
            client.send("2")
            assert client.take() == ["3"]
        client.send("2data")
        assert client.take() == ["3data"]
        assert not rig.world.wire.closed

    def test_one_that_pings_as_late_as_it_may(self, rig: Rig) -> None:
        client = old_client(rig)
        for _ in range(4):
            self.minute(rig)
            self.minute(rig)
            client.send("2")
        assert not rig.world.wire.closed

    def test_a_silent_one_is_closed(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client = old_client(rig)
        client.take()
        for _ in range(3):
            self.minute(rig)
            assert not heard
        self.minute(rig)
        assert heard == ["ping timeout"]
        assert client.take() == []
        assert rig.world.wire.closed == [client.id]
        assert not rig.world.connections.records


class TestPolling:
    def test_handshake_and_packets(self, rig: Rig) -> None:
        rig.sio.on("echo", lambda sid, *args: args)
        client = OldPoller(rig)
        assert client.poll() == "2:40"
        assert client.post('17:420["echo","é😀"]') == "ok"
        assert client.poll() == '10:430["é😀"]'
        assert client.post("1:2") == "ok"
        assert client.poll() == "1:3"

    def test_binary(self, rig: Rig) -> None:
        rig.sio.on("reverse", lambda sid, data: data[::-1])
        client = OldPoller(rig)
        client.poll()
        header = '451-3["reverse",{"_placeholder":true,"num":0}]'
        assert client.post(f"{len(header)}:{header}6:b4AAE=") == "ok"
        assert client.poll() == '36:461-3[{"_placeholder":true,"num":0}]6:b4AQA='
        # What a browser posts where a packet is binary.
        digits = bytes(int(digit) for digit in str(len(header)))
        body = b"\0" + digits + b"\xff" + header.encode() + b"\1\3\xff\4\0\2"
        assert client.post(body) == "ok"
        assert client.poll() == '36:461-3[{"_placeholder":true,"num":0}]6:b4AgA='

    def test_versions_are_not_mixed(self, rig: Rig) -> None:
        old, new = OldPoller(rig), Poller(rig, "/")
        for client, version in ((old, "4"), (new, "3")):
            query = {"EIO": version, "transport": "polling", "sid": client.session}
            with pytest.raises(EngineError):
                client.ask("POST", query, b"2:40")
        assert old.poll() == "2:40"
        websocket = {"EIO": "4", "transport": "websocket", "sid": old.session}
        assert rig.engine.open("ws=", websocket, {}) == 400

    def test_the_upgrade(self, rig: Rig) -> None:
        rig.sio.on("whoami", lambda sid: (sid, sorted(rig.sio.rooms(sid))))
        polls = OldPoller(rig)
        polls.poll()
        rig.sio.enter_room(polls.session, "room")
        rig.sio.emit("waits", b"\0", room="room")
        assert rig.engine.open("ws=", {**WEBSOCKET, "sid": polls.session}, {}) == 200
        assert not rig.world.queue.jobs, "its packets have come"
        client = Client(rig, "ws=")
        client.send("2probe")
        assert client.take() == ["3probe"]
        client.send("5")
        assert client.take() == ['451-["waits",{"_placeholder":true,"num":0}]', "b4AA=="]
        rig.sio.emit("now", b"\0", room="room")
        assert client.take() == ['451-["now",{"_placeholder":true,"num":0}]', "b4AA=="]
        client.send("2")
        client.emit("whoami", id=1)
        rooms = json.dumps(sorted([polls.session, "room"]), separators=(",", ":"))
        assert client.take() == ["3", f'431["{polls.session}",{rooms}]']
