"""A connection's life: opened, frames good and bad, the heartbeat, the queue, the end."""

import json

import pytest

from server.engine import GRACE, OPEN_PATIENCE
from server.jobs import Open, Post, Reap, to_json
from server.outbox import INLINE_LIMIT, PAUSES, SHARDS, Outbox
from server.ports import Gone, Rejected, Unavailable
from server.records import Connection
from tests.server.rig import Client, Rig

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


class TestHeartbeat:
    def test_pings_who_is_due(self, rig: Rig) -> None:
        client = rig.client("/")
        for minute in range(1, 9):
            rig.world.clock += 60_000
            rig.engine.beat(rig.world.deadline)
            pings = client.take()
            assert pings == (["2"] if minute % 2 == 0 else []), f"minute {minute}"
            if pings:
                client.send("3")

    @pytest.mark.parametrize("jitter", [-20_000, 0, 20_000])
    def test_a_schedule_that_is_not_punctual(self, rig: Rig, jitter: int) -> None:
        client = rig.client("/")
        rig.world.clock += 60_000 + jitter
        rig.engine.beat(rig.world.deadline)
        assert client.take() == []
        rig.world.clock += 60_000
        rig.engine.beat(rig.world.deadline)
        assert client.take() == ["2"]

    def test_a_missed_pong_ends_the_connection(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client = rig.client("/")
        for _ in range(3):
            assert not heard
            rig.world.clock += 60_000
            rig.engine.beat(rig.world.deadline)
        assert heard == ["ping timeout"]
        assert client.take() == ["2"]
        assert rig.world.wire.closed == [client.id]
        assert not rig.world.connections.records

    @pytest.mark.parametrize("timeout", [1, 20, 30, 60])
    @pytest.mark.parametrize("gap", [60_000, 91_000, 150_000, 400_000])
    def test_nobody_is_closed_who_was_not_pinged(self, gap: int, timeout: float) -> None:
        """Runs that come late, or not at all, are no fault of the client."""
        rig = Rig(timeout=timeout)
        client = rig.client("/")
        for step in (60_000, 60_000, gap, 60_000, gap, gap):
            rig.world.clock += step
            rig.engine.beat(rig.world.deadline)
            if "2" in client.take():
                rig.world.clock += 100
                client.send("3")
        assert not rig.world.wire.closed

    def test_a_pong_at_the_last_moment_counts(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        client = rig.client("/")
        for _ in range(2):
            rig.world.clock += 60_000
            rig.engine.beat(rig.world.deadline)
        flush = Outbox.flush

        def meanwhile(outbox: Outbox, caller: str | None = None) -> str | None:
            rig.world.connections.touch(client.id, rig.world.clock)
            return flush(outbox, caller)

        rig.world.clock += 60_000
        monkeypatch.setattr(Outbox, "flush", meanwhile)
        rig.engine.beat(rig.world.deadline)
        assert not rig.world.wire.closed
        assert rig.world.connections.load(client.id)

    def test_after_two_hours_a_session_that_polls_is_ended(self, rig: Rig) -> None:
        """API Gateway does that to a WebSocket; what the table holds of a connection lasts no longer."""
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        rig.client("/")
        for _ in range(120):
            assert not heard
            rig.world.clock += 60_000
            for name in list(rig.world.connections.records):
                rig.world.connections.touch(name, rig.world.clock)
            rig.engine.beat(rig.world.deadline)
        assert heard == ["transport close"]

    def test_who_joins_no_namespace_is_closed(self, rig: Rig) -> None:
        client = rig.client()
        rig.world.clock += 44_000
        rig.engine.beat(rig.world.deadline)
        assert not rig.world.wire.closed
        rig.world.clock += 1_000
        rig.engine.beat(rig.world.deadline)
        assert rig.world.wire.closed == [client.id]

    def test_a_short_interval(self) -> None:
        rig = Rig(namespaces=["/"], interval=2, timeout=1)
        client = rig.client("/")
        rig.world.clock += 1_000
        rig.engine.beat(rig.world.deadline)
        assert client.take() == []
        rig.world.clock += 1_000
        rig.engine.beat(rig.world.deadline)
        assert client.take() == ["2"]

    def test_what_died_half_way_is_finished(self, rig: Rig) -> None:
        """A close was claimed and never done: the heartbeat takes it over."""
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client = rig.client("/")
        rig.world.connections.claim(client.id, at=rig.world.clock, born_before=rig.world.clock)
        for _ in range(4):
            rig.world.clock += 60_001
            rig.engine.beat(rig.world.deadline)
        assert heard == ["ping timeout"]
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
        assert not rig.world.connections.records

    def test_two_connects_at_once_make_one_socket(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two frames, one record, read by both before either wrote."""
        client = rig.client()
        reads = [Connection(client.id, "session", rig.world.clock) for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(rig.world.connections, "load", lambda _: reads.pop())
            client.send("40")
            (answer,) = client.take()
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


class TestOutbox:
    def crowd(self, rig: Rig, size: int) -> list[Client]:
        clients = [rig.client("/") for _ in range(size)]
        for client in clients:
            rig.sio.enter_room(client.sid, "room")
        return clients

    def test_the_last_frame_for_the_caller_rides_the_response(self, rig: Rig) -> None:
        @rig.sio.event
        def ask(sid: str) -> str:
            rig.sio.emit("one", to=sid)
            rig.sio.emit("two", to=sid)
            return "answer"

        client = rig.client("/")
        answer = rig.engine.receive(client.id, '421["ask"]', rig.world.deadline)
        assert client.take() == ['42["one"]', '42["two"]']
        assert answer == '431["answer"]'

    def test_no_answer_overtakes_a_frame_that_could_not_be_sent(self, rig: Rig) -> None:
        @rig.sio.event
        def ask(sid: str) -> str:
            rig.sio.emit("one", to=sid)
            return "answer"

        client = rig.client("/")
        rig.world.wire.faults[client.id] = [Unavailable("429")] * (len(PAUSES) + 1)
        assert rig.engine.receive(client.id, '421["ask"]', rig.world.deadline) is None
        assert client.take() == []
        rig.run_queue()
        assert client.take() == ['42["one"]', '431["answer"]']

    def test_the_busy_are_tried_again(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.world.wire.faults[client.id] = [Unavailable("429")] * len(PAUSES)
        rig.sio.emit("e")
        assert client.take() == ['42["e"]']
        assert not rig.world.queue.jobs

    def test_who_stays_busy_is_left_to_the_queue_and_then_closed(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client, other = rig.client("/"), rig.client("/")
        rig.world.wire.faults[client.id] = [Unavailable("429")] * 1_000
        rig.sio.emit("e")
        assert other.take() == ['42["e"]'], "one busy recipient holds nobody up"
        (job,) = rig.world.queue.parsed()
        assert job == Post((client.id,), ('42["e"]',))
        rig.run_queue()
        assert heard == ["transport error"]
        assert rig.world.wire.closed == [client.id]

    def test_a_refused_frame_does_not_stop_the_next(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        client = rig.client("/")
        rig.world.wire.faults[client.id] = [Rejected("413")]
        with rig.sio.batch():
            rig.sio.emit("one")
            rig.sio.emit("two")
        assert client.take() == ['42["two"]']
        assert "is lost" in caplog.text

    @pytest.mark.parametrize("size", [INLINE_LIMIT, INLINE_LIMIT + 1])
    def test_a_large_room_goes_to_the_queue(self, rig: Rig, size: int) -> None:
        clients = self.crowd(rig, size)
        rig.sio.emit("e", room="room")
        groups = {group for group, _ in rig.world.queue.jobs}
        assert len(groups) == (0 if size == INLINE_LIMIT else SHARDS)
        rig.run_queue()
        assert all(client.take() == ['42["e"]'] for client in clients)

    def test_order_holds_across_the_queue(self, rig: Rig) -> None:
        """What a handler sends to one of a large room waits behind what it sent to the room."""
        clients = self.crowd(rig, INLINE_LIMIT + 1)

        @rig.sio.event
        def say(sid: str) -> str:
            rig.sio.emit("before", to=sid)
            rig.sio.emit("room", room="room")
            rig.sio.emit("after", to=sid)
            return "ack"

        first = clients[0]
        first.emit("say", id=1)
        assert first.take() == ['42["before"]']
        rig.run_queue()
        assert first.take() == ['42["room"]', '42["after"]', '431["ack"]']

    def test_what_outlives_the_invocation_goes_to_the_queue(self, rig: Rig) -> None:
        rig.sio.on("say", lambda sid: rig.sio.emit("e", skip_sid=sid))
        client, other = rig.client("/"), rig.client("/")
        rig.engine.receive(client.id, '42["say"]', rig.world.clock + 1_000)
        assert other.take() == []
        rig.run_queue()
        assert other.take() == ['42["e"]']

    def test_a_job_that_comes_too_late_in_an_invocation_is_put_back(self, rig: Rig) -> None:
        with pytest.raises(Unavailable):
            rig.engine.deliver(to_json(Post(("c",), ("42",))), rig.world.clock + 5_000)
        assert not rig.world.wire.posts

    def test_a_queue_that_fails_is_logged_not_raised(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        self.crowd(rig, INLINE_LIMIT + 1)
        rig.world.queue.fault = Unavailable("down")
        rig.sio.emit("e", room="room")
        assert "jobs, which are lost" in caplog.text


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"job":"Unknown"}', '{"job":"Open"}', '{"job":"Post","to":1}']
)
def test_what_is_no_job(rig: Rig, text: str) -> None:
    with pytest.raises(ValueError):
        rig.engine.deliver(text, rig.world.deadline)
