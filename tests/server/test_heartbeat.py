"""The heartbeat: who is pinged when, and who is closed for its silence."""

import pytest

from server.outbox import Outbox
from tests.server.rig import Rig


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/"])


def test_pings_who_is_due(rig: Rig) -> None:
    client = rig.client("/")
    for minute in range(1, 9):
        rig.world.clock += 60_000
        rig.engine.beat(rig.world.deadline)
        pings = client.take()
        assert pings == (["2"] if minute % 2 == 0 else []), f"minute {minute}"
        if pings:
            client.send("3")


@pytest.mark.parametrize("jitter", [-20_000, 0, 20_000])
def test_a_schedule_that_is_not_punctual(rig: Rig, jitter: int) -> None:
    client = rig.client("/")
    rig.world.clock += 60_000 + jitter
    rig.engine.beat(rig.world.deadline)
    assert client.take() == []
    rig.world.clock += 60_000
    rig.engine.beat(rig.world.deadline)
    assert client.take() == ["2"]


def test_a_missed_pong_ends_the_connection(rig: Rig) -> None:
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
def test_nobody_is_closed_who_was_not_pinged(gap: int, timeout: float) -> None:
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


def test_a_pong_at_the_last_moment_counts(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_after_two_hours_a_session_that_polls_is_ended(rig: Rig) -> None:
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


def test_who_joins_no_namespace_is_closed(rig: Rig) -> None:
    client = rig.client()
    rig.world.clock += 44_000
    rig.engine.beat(rig.world.deadline)
    assert not rig.world.wire.closed
    rig.world.clock += 1_000
    rig.engine.beat(rig.world.deadline)
    assert rig.world.wire.closed == [client.id]


def test_a_short_interval() -> None:
    rig = Rig(namespaces=["/"], interval=2, timeout=1)
    client = rig.client("/")
    rig.world.clock += 1_000
    rig.engine.beat(rig.world.deadline)
    assert client.take() == []
    rig.world.clock += 1_000
    rig.engine.beat(rig.world.deadline)
    assert client.take() == ["2"]


def test_what_died_half_way_is_finished(rig: Rig) -> None:
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
