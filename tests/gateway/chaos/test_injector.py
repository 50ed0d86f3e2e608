"""Faults as they are drawn, and as the cores meet them."""

import asyncio
from typing import Any

import pytest

from gateway.chaos.injector import Injector
from gateway.chaos.rules import (
    AnyRule,
    ColdStart,
    ConnectionsError,
    Crash,
    Delay,
    Disconnect,
    Duplicate,
    Reorder,
    Restart,
    Throttle,
)
from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.functions.runtime_api import Submit
from gateway.journal import Entry, Injected, Journal, Managed
from gateway.websocket.connections import ManagementError
from tests.gateway.websocket.cores import Functions, api, connected, until

pytestmark = pytest.mark.anyio


class Rig:
    """An injector, and what it wrote and cut."""

    def __init__(self, *rules: AnyRule, seed: int = 1) -> None:
        self.clock = Clock()
        self.journal = Journal()
        self.told: list[Injected] = []
        self.journal.subscribe(self._read)
        self.cuts: list[tuple[int, bool]] = []
        self.faults = Injector(seed, self.clock, self.journal, lambda *how: self.cuts.append(how))
        self.faults.add(rules)

    def _read(self, entry: Entry) -> None:
        if isinstance(entry, Injected):
            self.told.append(entry)

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(entry.kind, entry.target) for entry in self.told]


def recording(order: list[str]) -> Submit:
    def submit(function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        order.append(payload.decode())
        result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if payload == b"fail":
            result.set_exception(RuntimeError("failed"))
        else:
            result.set_result(function.encode() + payload)
        return result

    return submit


# ---- which and how often


@pytest.mark.parametrize(
    ("rule", "struck"),
    [
        (Throttle(), "xxxxxx"),
        (Throttle(rate=0), "......"),
        (Throttle(times=2), "xx...."),
        (Throttle(skip=1, times=2), ".xx..."),
        (Throttle(function="F*"), "xxxxxx"),
        (Throttle(function="f"), "......"),
    ],
)
async def test_rates_and_counts(rule: Throttle, struck: str) -> None:
    rig = Rig(rule)
    submit = rig.faults.submitting(recording([]))
    drawn = ""
    for _ in struck:
        try:
            await submit("Fn", b"", "test")
            drawn += "."
        except FunctionFailed as failure:
            drawn += "x" if failure.error_type == "TooManyRequestsException" else "?"
    assert drawn == struck
    assert rig.kinds == [("throttle", "Fn")] * struck.count("x")


async def test_each_rule_draws_for_itself() -> None:
    """The same seed and the same order of events strike the same, whatever other rules there are."""

    def drawn(seed: int, *others: AnyRule) -> list[bool]:
        rig = Rig(Duplicate(rate=0.5), *others, seed=seed)
        return [rig.faults.again("M") for _ in range(64)]

    assert drawn(1) == drawn(1)
    assert drawn(1) == drawn(1, Duplicate(rate=0.0), Duplicate(mapping="other"))
    assert drawn(1) != drawn(2)
    assert 16 < sum(drawn(1)) < 48


async def test_rules_end() -> None:
    rig = Rig(Restart(at=50))
    end = rig.faults.add([Duplicate(mapping="a"), Restart(at=60)])
    assert rig.faults.again("a")
    end()
    assert not rig.faults.again("a")
    assert rig.faults.rules == [Restart(at=50)]
    rig.faults.clear()
    await rig.clock.turn(100)
    assert rig.cuts == []


# ---- invocations


async def held(seed: int, **options: Any) -> list[str]:
    order: list[str] = []
    rig = Rig(Delay(within=60), seed=seed)
    submit = rig.faults.submitting(recording(order), **options)
    results = [submit("Fn", str(number).encode(), "test") for number in range(20)]
    await rig.clock.turn(60)
    assert await asyncio.gather(*results) == [f"Fn{number}".encode() for number in range(20)]
    return order


async def test_invocations_overtake_each_other_in_the_same_way_for_the_same_seed() -> None:
    first, again, other = await held(1), await held(1), await held(2)
    assert first == again == await held(1, http=True)
    assert first != other
    assert first != sorted(first, key=int)


async def test_those_of_an_http_api_may_be_spared() -> None:
    submit = Rig(Delay(within=60, http=False)).faults.submitting(recording([]), http=True)
    assert submit("Fn", b"", "test").done()


async def test_failures_are_passed_on() -> None:
    with pytest.raises(RuntimeError, match="failed"):
        await Rig(Delay(within=0.01)).faults.submitting(recording([]))("Fn", b"fail", "test")


async def test_giving_up_does_not_stop_the_function() -> None:
    order: list[str] = []
    rig = Rig(Delay(within=10))
    submit = rig.faults.submitting(recording(order))
    for payload in (b"x", b"fail"):
        submit("Fn", payload, "test").cancel()
    await rig.clock.turn(10)
    assert sorted(order) == ["fail", "x"]


async def test_a_crash_before_the_work_starts_nothing() -> None:
    order: list[str] = []
    submit = Rig(Crash(when="before", times=1)).faults.submitting(recording(order))
    with pytest.raises(FunctionFailed) as failed:
        await submit("Fn", b"1", "test")
    assert failed.value.error_type == "ServiceException"
    await submit("Fn", b"2", "test")
    assert order == ["2"]


def managed(invocation: str) -> Managed:
    return Managed(0, invocation, "POST", "c", 200, 1)


async def test_a_crash_after_calls() -> None:
    rig = Rig(Crash(when="during", calls=2))
    killed: list[str] = []
    for name in ("a", "b"):
        rig.faults.begun("Fn", name, lambda name=name: killed.append(name))  # type: ignore[misc]
    for invocation in ("a", "b", "", "a"):
        assert killed == []
        rig.journal.write(managed(invocation))
    assert killed == ["a"]
    rig.faults.ended("a")
    # The other one is over before its second call.
    rig.faults.ended("b")
    rig.journal.write(managed("b"))
    await asyncio.sleep(0)
    assert killed == ["a"]
    assert rig.kinds == [("crash", "Fn")]


async def test_a_crash_at_a_moment() -> None:
    rig = Rig(Crash(when="during", within=10, times=2))
    killed: list[str] = []
    rig.faults.begun("Fn", "quick", lambda: killed.append("quick"))
    rig.faults.begun("Fn", "slow", lambda: killed.append("slow"))
    rig.faults.begun("Fn", "spared", lambda: killed.append("spared"))
    rig.faults.ended("quick")
    await rig.clock.turn(10)
    assert killed == ["slow"]
    assert len(rig.told) == 1


async def test_a_crash_after_the_work() -> None:
    rig = Rig(Crash(when="after", function="Fn"))
    for function, lost in (("Fn", True), ("Other", False)):
        rig.faults.begun(function, function, lambda: None)
        assert rig.faults.answered(function) is lost
        rig.faults.ended(function)
    assert rig.kinds == [("crash", "Fn")]


async def test_cold_starts() -> None:
    rig = Rig(ColdStart(function="Fn", extra=2, times=1))
    assert [rig.faults.cold_start(name) for name in ("Other", "Fn", "Fn")] == [None, 2, None]


# ---- frames


async def test_frames_overtake_each_other() -> None:
    rig = Rig(Reorder(route="say", within=1))
    drawn = [rig.faults.frame("c", "say", ordered=False) for _ in range(20)]
    assert drawn != sorted(drawn)
    assert 0 <= min(drawn) < max(drawn) <= 1
    assert rig.faults.frame("c", "other", ordered=False) == 0
    assert len(rig.told) == 20


async def test_frames_of_a_connection_keep_their_order_where_a_queue_does() -> None:
    rig = Rig(Reorder(within=60, rate=0.5))
    order: list[tuple[str, int]] = []

    async def hand_over(connection: str, number: int) -> None:
        await rig.clock.sleep(rig.faults.frame(connection, "$default", ordered=True))
        order.append((connection, number))

    tasks = [asyncio.create_task(hand_over(name, number)) for number in range(20) for name in "ab"]
    await rig.clock.turn(61)
    await asyncio.gather(*tasks)
    for name in "ab":
        assert [number for connection, number in order if connection == name] == list(range(20))
    assert order != [(name, number) for number in range(20) for name in "ab"]
    assert rig.faults.frame("a", "$default", ordered=True) >= 0


# ---- @connections


@pytest.mark.parametrize(
    ("status", "name"), [(410, "GoneException"), (429, "LimitExceededException"), (503, "ServiceUnavailableException")]
)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_errors_of_connections(status: Any, name: str, when: Any) -> None:
    rig = Rig(ConnectionsError(method="POST", when=when, status=status, times=1))
    done: list[str] = []
    for method in ("GET", "POST", "POST"):
        try:
            async with rig.faults.call(method, "c"):
                done.append(method)
        except ManagementError as error:
            done.append(f"{error.status} {error.error_type}")
    failed = f"{status} {name}"
    assert done == (["GET", failed, "POST"] if when == "before" else ["GET", "POST", failed, "POST"])
    assert rig.kinds == [("connections", "c")]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_call_that_hangs(when: Any) -> None:
    rig = Rig(ConnectionsError(when=when, hang=30))
    seen: list[str] = []

    async def call() -> None:
        async with rig.faults.call("POST", "c"):
            seen.append("done")
        seen.append("answered")

    task = asyncio.create_task(call())
    await rig.clock.turn(29)
    assert seen == ([] if when == "before" else ["done"])
    await rig.clock.turn(1)
    await task
    assert seen == ["done", "answered"]


async def test_what_the_call_itself_fails_with_comes_first() -> None:
    rig = Rig(ConnectionsError(when="after", status=500))
    with pytest.raises(ManagementError) as raised:
        async with rig.faults.call("POST", "c"):
            raise ManagementError(413, "PayloadTooLargeException")
    assert raised.value.status == 413


# ---- ends


@pytest.mark.parametrize(("rule", "late"), [(Disconnect(), None), (Disconnect(late=5), 5), (Disconnect(rate=0), 0)])
async def test_disconnects(rule: Disconnect, late: float | None) -> None:
    assert Rig(rule).faults.disconnecting("c") == late


async def test_a_restart_at_its_time() -> None:
    rig = Rig(Restart(at=10), Restart(at=20, code=1001, disconnect=True))
    await rig.clock.turn(9)
    assert rig.cuts == []
    await rig.clock.turn(11)
    assert rig.cuts == [(1006, False), (1001, True)]


# ---- in a WebSocket API


async def test_an_api_meets_them() -> None:
    functions = Functions(default=lambda event: {"statusCode": 200, "body": event["body"]})
    rig = Rig()
    made = api(functions, clock=rig.clock, faults=rig.faults)
    one, channel = await connected(made)
    two, other = await connected(made)

    end = rig.faults.add([Reorder(within=10)])
    for number in range(6):
        made.receive(one, str(number))
    await rig.clock.turn(10)
    await until(lambda: len(channel.sent) == 6)
    assert channel.sent != sorted(channel.sent)
    end()

    end = rig.faults.add([Disconnect(late=10, times=1), Disconnect(times=1)])
    made.closed(one, 1000, "")
    made.closed(two, 1000, "")
    await rig.clock.turn(9)
    assert [event for event in functions.events if event["requestContext"]["eventType"] == "DISCONNECT"] == []
    await rig.clock.turn(2)
    ends = [context for event in functions.events if (context := event["requestContext"])["eventType"] == "DISCONNECT"]
    assert [context["connectionId"] for context in ends] == [one.id]
    end()
    assert other.ended is None


@pytest.mark.parametrize("disconnect", [False, True])
async def test_a_cut_of_an_api(disconnect: bool) -> None:
    functions = Functions()
    made = api(functions)
    connection, channel = await connected(made)
    made.cut(1006, disconnect)
    assert channel.ended == (1006, "Connection Closed Abnormally")
    assert connection.channel is None
    assert len(made.connections) == 0
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(functions.events) == 1 + disconnect
