"""Functions that are called later: the heartbeat hands them to the queue, and from there they are called."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from server.agenda import BATCH
from server.emitter import PATIENCE
from server.ports import Rejected, Unavailable
from tests.server.rig import Rig

heard: list[Any] = []
faults: list[Exception] = []


def remind(*args: Any, **kwargs: Any) -> None:
    heard.append((args, kwargs))
    if faults:
        raise faults.pop(0)


class Clock:
    def strike(self) -> None:
        heard.append("strike")


async def remind_slowly(what: str) -> None:
    heard.append(what)


@pytest.fixture
def rig() -> Iterator[Rig]:
    heard.clear()
    faults.clear()
    yield Rig(namespaces=["/"])
    assert not faults


def now(rig: Rig) -> int:
    return rig.world.clock // 1000


def minute(rig: Rig) -> None:
    """Let a minute pass, with its heartbeat and what comes of it."""
    rig.world.clock += 60_000
    rig.engine.beat(rig.world.deadline)
    rig.run_queue()


class TestWhen:
    def test_not_before_its_time(self, rig: Rig) -> None:
        rig.sio.at(now(rig) + 150, remind, "Ann", [1.5, None], where="room")
        minute(rig)
        minute(rig)
        assert not heard
        minute(rig)
        assert heard == [(("Ann", [1.5, None]), {"where": "room"})]
        minute(rig)
        assert len(heard) == 1
        assert not rig.world.agenda.items

    @pytest.mark.parametrize("when", [0, 1.5])
    def test_what_is_past_is_due_at_once(self, rig: Rig, when: float) -> None:
        rig.sio.at(when, remind)
        minute(rig)
        assert len(heard) == 1

    def test_a_fraction_is_not_too_early(self, rig: Rig) -> None:
        rig.sio.at(now(rig) + 60.5, remind)
        minute(rig)
        assert not heard
        minute(rig)
        assert heard

    @pytest.mark.parametrize("when", [-1, float("nan"), float("inf"), 1_700_000_000_000])
    def test_a_time_that_is_none(self, rig: Rig, when: float) -> None:
        with pytest.raises(ValueError, match="Unix seconds"):
            rig.sio.at(when, remind)


class TestWhat:
    def test_functions_that_another_process_finds(self, rig: Rig) -> None:
        rig.sio.callback(registered := lambda: heard.append("registered"))
        registered_name = registered.__name__
        for function in (remind, partial(remind, "first", key=1), f"{__name__}:remind", registered, registered_name):
            rig.sio.at(0, function)
        rig.sio.at(0, partial(remind, "first", key=1), "second", other=2)
        rig.sio.at(0, remind_slowly, "tea")
        clock = Clock()
        rig.sio.callback(clock.strike)
        rig.sio.at(0, clock.strike)
        minute(rig)
        assert heard == [
            ((), {}),
            (("first",), {"key": 1}),
            ((), {}),
            "registered",
            "registered",
            (("first", "second"), {"key": 1, "other": 2}),
            "tea",
            "strike",
        ]

    @pytest.mark.parametrize("function", [lambda: None, object()])
    def test_functions_that_cannot_be_found(self, rig: Rig, function: Any) -> None:
        with pytest.raises(ValueError, match="cannot be found"):
            rig.sio.at(0, function)

    @pytest.mark.parametrize("argument", [object(), {1}, "x" * 70_000])
    def test_arguments_that_cannot_be_kept(self, rig: Rig, argument: Any) -> None:
        with pytest.raises(ValueError, match="JSON"):
            rig.sio.at(0, remind, argument)
        assert not rig.world.agenda.items

    def test_it_has_a_turn_of_its_own(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.enter_room(client.sid, "room")

        def tell(text: str) -> None:
            rig.sio.emit("news", text, room="room")
            rig.sio.sockets_leave("room")
            rig.sio.emit("news", "unheard", room="room")

        rig.sio.callback(tell)
        rig.sio.at(0, tell, "tea")
        minute(rig)
        assert [frame for frame in client.take() if frame != "2"] == ['42["news","tea"]']

    def test_from_a_handler(self, rig: Rig) -> None:
        @rig.sio.event
        def order(sid: str, what: str) -> None:
            rig.sio.at(now(rig) + 60, remind, what)

        rig.client("/").emit("order", "tea")
        minute(rig)
        assert heard == [(("tea",), {})]


class TestFailures:
    def test_a_function_that_fails_is_called_again(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        faults[:] = [RuntimeError("on purpose"), Unavailable("throttled")]
        rig.sio.at(0, remind, "Ann")
        rig.sio.at(0, remind, "Bob")
        for _ in range(3):
            minute(rig)
        assert sorted(args[0] for args, _ in heard) == ["Ann", "Ann", "Bob", "Bob"]
        assert caplog.text.count("failed, and is called again") == 2
        assert not rig.world.agenda.items

    def test_but_not_for_ever(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        rig.sio.at(now(rig) + 60, "nowhere:nothing")
        minute(rig)
        assert rig.world.agenda.items
        rig.world.clock += PATIENCE * 1000
        minute(rig)
        assert not rig.world.agenda.items
        assert "given up" in caplog.text

    def test_what_is_called_long_after_its_time_has_its_tries(self, rig: Rig) -> None:
        """Noted for a time that was past already."""
        faults[:] = [RuntimeError("on purpose")]
        rig.sio.at(0, remind)
        minute(rig)
        minute(rig)
        assert len(heard) == 2

    def test_what_it_sent_before_it_failed_is_sent(self, rig: Rig) -> None:
        client = rig.client("/")

        def fail() -> None:
            rig.sio.emit("news")
            raise RuntimeError("on purpose")

        rig.sio.callback(fail)
        rig.sio.at(0, fail)
        minute(rig)
        assert '42["news"]' in client.take()

    @pytest.mark.parametrize("fault", ["put", "remove"])
    def test_what_is_not_safe_in_the_queue_stays(self, rig: Rig, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
        rig.sio.at(0, remind)
        port: Any = rig.world.queue if fault == "put" else rig.world.agenda

        def failing(*_: Any) -> None:
            raise Unavailable("on purpose")

        with monkeypatch.context() as patch:
            patch.setattr(port, fault, failing)
            minute(rig)
        assert rig.world.agenda.items
        minute(rig)
        assert len(heard) == (1 if fault == "put" else 2)
        assert not rig.world.agenda.items

    def test_one_that_the_queue_refuses_does_not_stop_others(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        rig.sio.at(1, remind, "poison")
        for n in range(2 * BATCH):
            rig.sio.at(2, remind, n)
        put = rig.world.queue.put

        def refusing(jobs: Any) -> None:
            put([job for job in jobs if "poison" not in job[1]])
            if any("poison" in body for _, body in jobs):
                raise Rejected("on purpose")

        monkeypatch.setattr(rig.world.queue, "put", refusing)
        minute(rig)
        assert sorted(args[0] for args, _ in heard) == list(range(2 * BATCH))
        assert len(rig.world.agenda.items) == BATCH

    def test_the_heartbeat_goes_on(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(at: int) -> Any:
            raise Unavailable("on purpose")

        monkeypatch.setattr(rig.world.agenda, "due", failing)
        client = rig.client()
        minute(rig)
        assert rig.world.wire.closed == [client.id], "it joined no namespace"

    def test_what_the_time_does_not_suffice_for_waits(self, rig: Rig) -> None:
        for n in range(2 * BATCH):
            rig.sio.at(0, remind, n)
        put = rig.world.queue.put

        def slowly(jobs: Any) -> None:
            put(jobs)
            rig.world.clock += 28_000

        rig.world.queue.put = slowly  # type: ignore[method-assign]
        minute(rig)
        assert len(heard) == BATCH
        minute(rig)
        assert len(heard) == 2 * BATCH

    def test_a_job_whose_retry_cannot_be_noted_stays_in_the_queue(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults[:] = [RuntimeError("on purpose")] * 2
        rig.sio.at(0, remind)
        tries = iter([Unavailable("throttled"), None])
        add = rig.world.agenda.add

        def adding(job: str, when: int) -> None:
            if error := next(tries):
                raise error
            add(job, when)

        monkeypatch.setattr(rig.world.agenda, "add", adding)
        minute(rig)
        assert len(heard) == 2
        minute(rig)
        assert len(heard) == 3
