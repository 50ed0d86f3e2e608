"""The service's own numbers, on a clock that is turned."""

import asyncio

import pytest

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.settings import Settings
from gateway.template.specs import WebSocketRoute
from gateway.websocket.api import Accepted, Refused
from gateway.websocket.connections import ManagementError
from gateway.websocket.targets import FunctionTarget
from tests.gateway.websocket.cores import Functions, api, connected, until, upgrade

pytestmark = pytest.mark.anyio
SERVICE = Settings(connect_window=0)


async def test_ten_minutes_without_a_message_end_a_connection() -> None:
    functions, clock = Functions(default={"body": "answer"}), Clock()
    made = api(functions, SERVICE, clock)
    connection, channel = await connected(made)
    await clock.turn(590)
    made.receive(connection, "still here")
    await channel.next()
    await clock.turn(590)
    made.post("live", connection.id, b"to it")
    await clock.turn(599)
    assert channel.ended is None
    await clock.turn(2)
    assert channel.ended == (1001, "Going away")
    await until(lambda: functions.events[-1]["requestContext"]["eventType"] == "DISCONNECT")
    context = functions.events[-1]["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (1001, "Going away")


async def test_two_hours_end_a_connection_however_busy() -> None:
    functions, clock = Functions(), Clock()
    made = api(functions, SERVICE, clock)
    connection, channel = await connected(made)
    for _ in range(14):
        await clock.turn(500)
        made.post("live", connection.id, b"x")
    assert channel.ended is None
    await clock.turn(201)
    assert channel.ended == (1001, "Going away")
    await until(lambda: functions.events[-1]["requestContext"]["eventType"] == "DISCONNECT")
    assert functions.events[-1]["requestContext"]["disconnectStatusCode"] == 1001


@pytest.mark.parametrize("timeout", [None, 60.0])
async def test_an_integration_has_29_seconds_at_most(timeout: float | None) -> None:
    clock = Clock()
    route = WebSocketRoute("$default", FunctionTarget("default"), timeout=timeout)
    functions = Functions(default=...)
    made = api(functions, SERVICE, clock, routes={"$default": route})
    connection, channel = await connected(made)
    made.receive(connection, "x")
    await until(lambda: functions.held)
    await clock.turn(28.5)
    assert channel.sent == []
    await clock.turn(1)
    request_id = functions.events[0]["requestContext"]["requestId"]
    ids = f'"connectionId":"{connection.id}", "requestId":"{request_id}"'
    assert await channel.next() == f'{{"message": "Endpoint request timed out", {ids}}}'


async def test_a_connect_that_takes_longer_is_a_504() -> None:
    clock, functions = Clock(), Functions(connect=...)
    connecting = asyncio.create_task(api(functions, SERVICE, clock).connect(upgrade()))
    await until(lambda: functions.held)
    await clock.turn(28.5)
    assert not connecting.done()
    await clock.turn(1)
    result = await connecting
    assert isinstance(result, Refused)
    assert result.status == 504


async def test_a_connection_exists_for_nobody_before_connect_has_answered() -> None:
    functions = Functions(connect=...)
    made = api(functions, SERVICE)
    connecting = asyncio.create_task(made.connect(upgrade()))
    await until(lambda: functions.held)
    own = functions.events[0]["requestContext"]["connectionId"]
    for call in (made.get, made.delete):
        with pytest.raises(ManagementError) as gone:
            call("live", own)
        assert (gone.value.status, gone.value.error_type) == (410, "GoneException")
    functions.held[0].set_result(b'{"statusCode":200}')
    assert isinstance(await connecting, Accepted)


async def test_what_failed_is_not_tried_again() -> None:
    functions, clock = Functions(default=FunctionFailed("E", "m"), disconnect=FunctionFailed("E", "m")), Clock()
    made = api(functions, SERVICE, clock)
    connection, channel = await connected(made)
    made.receive(connection, "x")
    assert "Internal server error" in await channel.next()
    made.closed(connection, 1001, "")
    await until(lambda: len(functions.events) == 3)
    await clock.turn(3600)
    assert [event["requestContext"]["routeKey"] for event in functions.events] == [
        "$connect",
        "$default",
        "$disconnect",
    ]


async def test_disconnect_does_not_wait_for_messages() -> None:
    functions = Functions(default=...)
    made = api(functions, SERVICE)
    connection, _ = await connected(made)
    made.receive(connection, "x")
    await until(lambda: functions.held)
    made.closed(connection, 1001, "")
    await until(lambda: functions.events[-1]["requestContext"]["routeKey"] == "$disconnect")
    assert not functions.held[0].done()


async def test_a_connection_that_ended_is_gone_before_disconnect_runs() -> None:
    functions = Functions(disconnect=...)
    made = api(functions, SERVICE)
    connection, _ = await connected(made)
    made.closed(connection, 1005, "")
    with pytest.raises(ManagementError) as gone:
        made.post("live", connection.id, b"x")
    assert gone.value.status == 410
    assert [event["requestContext"]["routeKey"] for event in functions.events] == ["$connect"]
    await until(lambda: functions.held)


async def test_what_connect_says_beside_its_status_reaches_nobody() -> None:
    functions = Functions(connect={"statusCode": 200, "body": "welcome"}, default={"body": "answer"})
    made = api(functions, SERVICE)
    connection, channel = await connected(made)
    made.receive(connection, "x")
    assert await channel.next() == "answer"
    assert channel.sent == []
