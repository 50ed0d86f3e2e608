"""A connection's life: opened, frames good and bad, the end; and what comes from the queue."""

import json

import pytest

from server.engine import GRACE, OPEN_PATIENCE
from server.jobs import Open, Reap, to_json
from server.ports import Gone, Rejected, Unavailable
from server.records import END_LAPSE
from tests.server.rig import Rig

QUERY = {"EIO": "4", "transport": "websocket"}


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/"])


class TestOpening:
    def test_the_open_packet_is_ordered_not_sent(self, rig: Rig) -> None:
        assert rig.engine.open("c", QUERY, {}) == 200
        assert rig.world.wire.posts == []
        (job,) = rig.world.queue.parsed()
        assert isinstance(job, Open)
        fields = json.loads(job.frame.removeprefix("0"))
        session = rig.world.connections.records["c"].connection.session
        assert fields == {
            "sid": session,
            "upgrades": [],
            "pingInterval": 120_000,
            "pingTimeout": 60_000,
            "maxPayload": 32_768,
        }

    @pytest.mark.parametrize(
        "query",
        [
            {},
            {"EIO": "4"},
            {"EIO": "2", "transport": "websocket"},
            {"EIO": "4", "transport": "carrier-pigeon"},
            {"EIO": "5"},
        ],
    )
    def test_what_is_not_engine_io_4_is_refused(self, rig: Rig, query: dict[str, str]) -> None:
        assert rig.engine.open("c", query, {}) == 400
        assert not rig.world.connections.records
        assert not rig.world.queue.jobs

    def test_a_habit_of_darts_client(self, rig: Rig) -> None:
        """It says polling when it opens a WebSocket."""
        assert rig.engine.open("c", {"EIO": "4", "transport": "polling"}, {}) == 200

    def test_a_session_to_upgrade_is_unknown(self, rig: Rig) -> None:
        assert rig.engine.open("c", {"EIO": "4", "transport": "websocket", "sid": "x"}, {}) == 400

    def test_410_is_waited_out_until_the_connection_exists(self, rig: Rig) -> None:
        rig.engine.open("c", QUERY, {})
        rig.world.wire.faults["c"] = [Gone("not yet"), Gone("not yet"), Unavailable("busy"), Gone("not yet")]
        rig.run_queue()
        assert [frame[0] for frame in rig.world.wire.frames("c")] == ["0"]
        assert rig.world.connections.load("c")

    def test_a_connection_that_never_came_is_forgotten(self, rig: Rig) -> None:
        rig.engine.open("c", QUERY, {})
        rig.world.wire.absent.add("c")
        started = rig.world.clock
        rig.run_queue()
        assert OPEN_PATIENCE <= rig.world.clock - started < OPEN_PATIENCE + 2_500
        assert not rig.world.connections.records

    def test_one_that_has_come_and_gone_holds_nobody_up(self, rig: Rig) -> None:
        """Its batch has the open packets of others, who wait."""
        rig.engine.open("c", QUERY, {})
        rig.world.wire.absent.add("c")
        rig.engine.closed("c", "transport close", rig.world.deadline)
        started = rig.world.clock
        rig.run_queue()
        assert rig.world.clock - started < 500

    def test_no_time_left_brings_the_job_back(self, rig: Rig) -> None:
        rig.engine.open("c", QUERY, {})
        rig.world.wire.absent.add("c")
        with pytest.raises(Unavailable):
            rig.engine.deliver(rig.world.queue.jobs[0][1], rig.world.clock + 3_000)
        assert rig.world.connections.load("c")


class TestFrames:
    @pytest.mark.parametrize(
        "frame",
        ["", "9", "4", "4x", "42", "42[]", "42{}", '42["connect"]', "0{}", "2", "2probe", "b#", "\x1e"],
    )
    def test_what_is_not_of_the_protocol_ends_the_connection(
        self, rig: Rig, frame: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client = rig.client("/")
        client.send(frame)
        assert heard == ["transport error"]
        assert rig.world.wire.closed == [client.id]
        assert not rig.world.connections.records
        assert not rig.world.rooms.items
        assert "broke the protocol" in caplog.text

    @pytest.mark.parametrize("frame", ["5", "6", "3anything"])
    def test_what_means_nothing_is_passed_over(self, rig: Rig, frame: str) -> None:
        client = rig.client("/")
        client.send(frame)
        assert not rig.world.wire.closed

    def test_a_close_packet(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client = rig.client("/")
        client.send("1")
        assert heard == ["client disconnect"]
        assert rig.world.wire.closed == [client.id]

    @pytest.mark.parametrize("frame", ["40", "3", '42["e"]'])
    def test_frames_of_an_unknown_connection_close_it(self, rig: Rig, frame: str) -> None:
        """Its record is gone, so nothing can be right any more: the client comes back with a new one."""
        assert rig.engine.receive("stranger", frame, rig.world.deadline) is None
        assert rig.world.wire.closed == ["stranger"]

    def test_the_server_tells_no_one_apart_who_closes_while_a_frame_is_handled(self, rig: Rig) -> None:
        """`$disconnect` runs while a message still does: its changes are dropped, and nothing stays behind."""

        @rig.sio.event
        def enter(sid: str) -> None:
            rig.engine.closed(client.id, "transport close", rig.world.deadline)
            rig.sio.enter_room(sid, "room")
            rig.sio.save_session(sid, {"a": 1})

        client = rig.client("/")
        client.emit("enter")
        assert not rig.world.rooms.items
        assert not rig.world.connections.records


class TestEnding:
    def test_once_whoever_says_it(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client = rig.client("/")
        for _ in range(2):
            rig.engine.closed(client.id, "transport close", rig.world.deadline)
        assert heard == ["transport close"]

    def test_a_disconnect_packet_is_told_though_the_connection_ends_meanwhile(self, rig: Rig) -> None:
        """The frame took the right to end the socket, so it is the frame's handler that the others hear of it from."""
        client, other = rig.client("/"), rig.client("/")
        for each in (client, other):
            rig.sio.enter_room(each.sid, "room")

        @rig.sio.event
        def disconnect(sid: str, reason: str) -> None:
            rig.engine.closed(client.id, "transport close", rig.world.deadline)
            rig.sio.leave_room(sid, "room")
            rig.sio.emit("left", reason, room="room")

        client.send("41")
        assert other.take() == ['42["left","client disconnect"]']
        assert len(rig.sio.members("room")) == 1

    @pytest.mark.parametrize("frame_first", [True, False])
    def test_a_disconnect_packet_and_the_end_of_the_connection_at_once(self, rig: Rig, frame_first: bool) -> None:
        """A client that says goodbye and hangs up: two invocations, each of which may be first."""
        heard: list[str] = []
        client = rig.client("/")

        @rig.sio.event
        def disconnect(sid: str, reason: str) -> None:
            heard.append(reason)
            if len(heard) == 1:  # the other one begins while this one is at it
                if frame_first:
                    rig.engine.closed(client.id, "transport close", rig.world.deadline)
                else:
                    client.send("41")

        if frame_first:
            client.send("41")
        else:
            rig.engine.closed(client.id, "transport close", rig.world.deadline)
        assert heard == ["client disconnect" if frame_first else "transport close"]
        assert not rig.world.rooms.items
        if frame_first:  # its record waited for that, and the heartbeat finds nothing more to do
            rig.world.clock += END_LAPSE + 1
            rig.engine.closed(client.id, "ping timeout", rig.world.deadline)
        assert len(heard) == 1
        assert not rig.world.connections.records

    def test_two_connects_at_once_make_one_socket(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two frames, one record, read by both before either wrote."""
        client = rig.client()
        empty = rig.world.connections.load(client.id)
        client.send("40")
        (answer,) = client.take()
        with monkeypatch.context() as patch:
            patch.setattr(rig.world.connections, "load", lambda _: empty)
            client.send("40")
        assert client.take() == [], "the one that was second has nothing to say"
        sid = json.loads(answer[2:])["sid"]
        assert set(rig.world.rooms.items) == {("/", None), ("/", sid)}
        assert len(rig.sio.members(None)) == 1

    def test_a_place_that_is_reached_twice_is_reaped_once(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.world.clock += GRACE + 1
        rig.world.wire.absent.add(client.id)
        with rig.sio.batch():
            rig.sio.emit("one")
            rig.sio.emit("two")
        rig.run_queue()
        assert not rig.world.rooms.items

    def test_what_was_emitted_goes_out_though_a_write_fails(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        client, other = rig.client("/"), rig.client("/")

        def refuse(*_: object) -> bool:
            raise Rejected("too large")

        @rig.sio.event
        def say(sid: str) -> None:
            rig.sio.emit("said", skip_sid=sid)
            rig.sio.save_session(sid, {"a": 1})

        monkeypatch.setattr(rig.world.connections, "change", refuse)
        with pytest.raises(Rejected):
            client.emit("say")
        assert other.take() == ['42["said"]']

    def test_the_others_hear_of_it_and_the_one_who_left_is_not_posted_to(self, rig: Rig) -> None:
        rig.sio.on("disconnect", lambda sid, reason: rig.sio.emit("left", room="room"))
        a, b = rig.client("/"), rig.client("/")
        for client in (a, b):
            rig.sio.enter_room(client.sid, "room")
        rig.engine.closed(a.id, "transport close", rig.world.deadline)
        assert b.take() == ['42["left"]']
        assert a.take() == []

    def test_410_reaps(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        a, b = rig.client("/"), rig.client("/")
        rig.world.clock += GRACE + 1
        rig.world.wire.absent.add(a.id)
        rig.sio.emit("e")
        rig.run_queue()
        assert heard == ["transport close"]
        assert b.take() == ['42["e"]']
        assert set(rig.world.connections.records) == {b.id}

    def test_410_spares_the_young(self, rig: Rig) -> None:
        client = rig.client()
        rig.world.connections.records["c"] = rig.world.connections.records.pop(client.id)
        rig.world.connections.records["c"].connection.id = "c"
        rig.engine.deliver(to_json(Reap("c")), rig.world.deadline)
        assert "c" in rig.world.connections.records

    def test_410_of_a_place_without_a_connection_frees_the_place(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.enter_room(client.sid, "room")
        del rig.world.connections.records[client.id]
        rig.world.wire.absent.add(client.id)
        rig.sio.emit("e", room="room")
        rig.run_queue()
        assert ("/", "room") not in rig.world.rooms.items


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"job":"Unknown"}', '{"job":"Open"}', '{"job":"Post","to":1}']
)
def test_what_is_no_job(rig: Rig, text: str) -> None:
    with pytest.raises(ValueError):
        rig.engine.deliver(text, rig.world.deadline)
