"""What service integrations send, without an AWS."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.settings import Settings
from gateway.websocket.sender import Arguments, Sender, SendFailed

pytestmark = pytest.mark.anyio


class Outlet:
    """A queue that takes a request when it is told to."""

    def __init__(self) -> None:
        self.requests: list[tuple[list[str], asyncio.Future[list[str | None]]]] = []

    async def send(self, messages: Sequence[Arguments]) -> list[str | None]:
        answer: asyncio.Future[list[str | None]] = asyncio.get_running_loop().create_future()
        self.requests.append(([message["MessageBody"] for message in messages], answer))
        return await answer

    async def take(self, number: int) -> list[str]:
        """Let the request of this number succeed, and return its bodies."""
        async with asyncio.timeout(1):
            while len(self.requests) <= number:
                await asyncio.sleep(0)
        bodies, answer = self.requests[number]
        answer.set_result([None] * len(bodies))
        return bodies


def sending(outlet: Outlet, **changes: Any) -> Sender:
    return Sender({"q": outlet}, replace(Settings(), **changes))


def message(body: object) -> Arguments:
    return {"MessageBody": str(body)}


async def test_a_lane_keeps_its_order_and_sends_what_has_come_together() -> None:
    outlet = Outlet()
    sender = sending(outlet)
    first = sender.send("q", "lane", message(0))
    await asyncio.sleep(0)
    rest = [sender.send("q", "lane", message(number)) for number in range(1, 13)]
    assert await outlet.take(0) == ["0"]
    assert not rest[0].done()
    assert await outlet.take(1) == [str(number) for number in range(1, 11)]
    assert await outlet.take(2) == ["11", "12"]
    await asyncio.gather(first, *rest)


async def test_lanes_do_not_wait_for_each_other() -> None:
    outlet = Outlet()
    sender = sending(outlet)
    sender.send("q", "held", message("held"))
    await asyncio.sleep(0)
    result = sender.send("q", "free", message("free"))
    assert await outlet.take(1) == ["free"]
    await result
    await sender.close()


async def test_without_an_order_every_message_goes_at_once() -> None:
    outlet = Outlet()
    sender = sending(outlet, ordered_sends=False)
    results = [sender.send("q", "lane", message(number)) for number in range(3)]
    for number in (2, 0, 1):
        assert await outlet.take(number) == [str(number)]
    await asyncio.gather(*results)


async def test_a_request_has_an_end() -> None:
    outlet = Outlet()
    sender = sending(outlet)
    results = [sender.send("q", "lane", message(letter * 100_000)) for letter in "abc"]
    assert [body[0] for body in await outlet.take(0)] == ["a", "b"]
    assert [body[0] for body in await outlet.take(1)] == ["c"]
    await asyncio.gather(*results)


async def test_each_message_has_its_own_reason() -> None:
    outlet = Outlet()
    sender = sending(outlet)
    results = [sender.send("q", "lane", message(number)) for number in range(2)]
    await asyncio.sleep(0)
    outlet.requests[0][1].set_result([None, "too large"])
    await results[0]
    with pytest.raises(SendFailed, match="too large"):
        await results[1]


async def test_after_a_request_that_failed_the_next_is_sent() -> None:
    outlet = Outlet()
    sender = sending(outlet)
    failed = sender.send("q", "lane", message(0))
    await asyncio.sleep(0)
    later = sender.send("q", "lane", message(1))
    outlet.requests[0][1].set_exception(OSError("no route"))
    with pytest.raises(SendFailed, match="no route"):
        await failed
    assert await outlet.take(1) == ["1"]
    await later


async def test_what_nobody_waits_for_is_not_sent_but_what_is_on_its_way_stays_before_the_next() -> None:
    outlet = Outlet()
    sender = sending(outlet)
    sent = sender.send("q", "lane", message(0))
    await asyncio.sleep(0)
    waiting = sender.send("q", "lane", message(1))
    later = sender.send("q", "lane", message(2))
    sent.cancel()
    waiting.cancel()
    await asyncio.sleep(0)
    assert len(outlet.requests) == 1
    assert await outlet.take(0) == ["0"]
    assert await outlet.take(1) == ["2"]
    await later


async def test_a_queue_that_is_not_there() -> None:
    with pytest.raises(SendFailed, match="no queue other"):
        await sending(Outlet()).send("other", "lane", message(0))
