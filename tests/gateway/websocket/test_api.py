"""The core of a WebSocket API, without sockets or processes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.functions.failures import NOT_RUN, FunctionFailed
from gateway.template.specs import WebSocketRoute
from gateway.websocket.api import Accepted, Refused
from gateway.websocket.connections import ManagementError, iso_time
from gateway.websocket.mapping import Template
from gateway.websocket.sender import SendFailed
from gateway.websocket.targets import QueueTarget, RequestTemplates
from tests.gateway.websocket.cores import SETTINGS, Channel, Functions, api, connected, until, upgrade

pytestmark = pytest.mark.anyio


# ---- connecting


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"statusCode": 400}, 400),
        ({"statusCode": "403"}, 403),
        ({"statusCode": True}, 502),
        ({"statusCode": 1000}, 502),
        ({}, 502),
        (None, 502),
        ("ok", 502),
        (FunctionFailed("E", "m"), 502),
        (FunctionFailed(NOT_RUN, "m"), 500),
        (..., 504),
    ],
)
async def test_connect_refuses(answer: Any, status: int) -> None:
    result = await api(Functions(connect=answer)).connect(upgrade())
    assert isinstance(result, Refused)
    assert result.status == status


@pytest.mark.parametrize("answer", [{"statusCode": 200}, {"statusCode": 299}, {"statusCode": "200", "headers": None}])
async def test_connect_accepts(answer: Any) -> None:
    assert isinstance(await api(Functions(connect=answer)).connect(upgrade()), Accepted)


async def test_connect_names_the_subprotocol() -> None:
    answer = {"statusCode": 200, "headers": {"sec-websocket-protocol": "chat", "X-Other": "dropped"}}
    result = await api(Functions(connect=answer)).connect(upgrade())
    assert isinstance(result, Accepted)
    assert result.subprotocol == "chat"


async def test_without_a_connect_route_everybody_connects() -> None:
    functions = Functions()
    result = await api(functions, routes={}).connect(upgrade())
    assert isinstance(result, Accepted)
    assert functions.events == []


async def test_an_unknown_stage_is_forbidden_without_a_function() -> None:
    functions = Functions()
    result = await api(functions).connect(upgrade(stage="other"))
    assert result == Refused(403, '{"message":"Forbidden"}')
    assert functions.events == []


async def test_the_connection_exists_only_some_time_after_connect_returned() -> None:
    functions = Functions()
    made = api(functions, replace(SETTINGS, connect_window=0.03, connect_window_jitter=0))
    connecting = asyncio.create_task(made.connect(upgrade()))
    await until(lambda: functions.events)
    own = functions.events[0]["requestContext"]["connectionId"]
    with pytest.raises(ManagementError) as gone:
        made.post("live", own, b"x")
    assert gone.value.status == 410
    began = asyncio.get_running_loop().time()
    result = await connecting
    assert isinstance(result, Accepted)
    assert asyncio.get_running_loop().time() - began > 0.02
    channel = Channel()
    made.opened(result, channel)
    made.post("live", own, b"x")
    assert channel.sent == ["x"]


# ---- messages


async def test_an_answer_reaches_the_client() -> None:
    made = api(Functions(default=lambda event: {"body": event["body"].upper()}))
    connection, channel = await connected(made)
    made.receive(connection, "hello")
    assert await channel.next() == "HELLO"


@pytest.mark.parametrize("answer", [None, "text", {"statusCode": 500}, {"body": ""}, {"body": 5}, {"body": None}])
async def test_what_has_no_body_is_silent(answer: Any) -> None:
    functions = Functions(default=answer)
    made = api(functions)
    connection, channel = await connected(made)
    made.receive(connection, "hello")
    functions.answers["default"] = {"body": "later"}
    made.receive(connection, "hello")
    assert await channel.next() == "later"


async def test_error_frames_to_the_letter() -> None:
    functions = Functions(default=FunctionFailed("E", "m"))
    made = api(functions)
    connection, channel = await connected(made)

    made.receive(connection, "x")
    frame = await channel.next()
    request_id = functions.events[-1]["requestContext"]["requestId"]
    ids = f'"connectionId":"{connection.id}", "requestId":"{request_id}"'
    assert frame == f'{{"message": "Internal server error", {ids}}}'

    functions.answers["default"] = ...
    made.receive(connection, "x")
    frame = await channel.next()
    request_id = functions.events[-1]["requestContext"]["requestId"]
    ids = f'"connectionId":"{connection.id}", "requestId":"{request_id}"'
    assert frame == f'{{"message": "Endpoint request timed out", {ids}}}'
    assert connection in made.connections.all()


async def test_no_route_is_an_error_frame() -> None:
    made = api(Functions(), routes={})
    connection, channel = await connected(made)
    made.receive(connection, "x")
    start = f'{{"message": "Forbidden", "connectionId":"{connection.id}", "requestId":"'
    assert (await channel.next()).startswith(start)


async def test_frames_are_handled_at_the_same_time() -> None:
    functions = Functions(default=...)
    made = api(functions)
    connection, channel = await connected(made)
    for text in ("first", "second"):
        made.receive(connection, text)
    await until(lambda: len(functions.held) == 2)
    functions.held[1].set_result(b'{"body":"second"}')
    assert await channel.next() == "second"
    functions.held[0].set_result(b'{"body":"first"}')
    assert await channel.next() == "first"


# ---- routes that reach a queue

TEXT = (
    "Action=SendMessage&MessageGroupId=$context.connectionId&MessageDeduplicationId=$context.messageId"
    "&MessageBody=$util.urlEncode($input.body)$context.eventType"
)


def queued(
    text: str = TEXT, *, mapped_only: bool = False, selection: str = "\\$default", template: str = "$default"
) -> dict[str, WebSocketRoute]:
    templates = {template: Template(text)}
    requests = RequestTemplates(selection, templates, mapped_only, SETTINGS)
    target = QueueTarget("Integration", "frames.fifo", requests, "", SETTINGS)
    return {key: WebSocketRoute(key, target, responds=True) for key in ("$connect", "$default", "$disconnect")}


async def test_every_event_of_a_connection_may_go_to_a_queue() -> None:
    functions = Functions()
    made = api(functions, routes=queued())
    connection, channel = await connected(made)
    for text in ("one & two", "three"):
        made.receive(connection, text)
    made.closed(connection, 1001, "")
    await until(lambda: len(functions.sent) == 4)
    assert {queue for queue, _ in functions.sent} == {"frames.fifo"}
    assert [arguments["MessageBody"] for _, arguments in functions.sent] == [
        "CONNECT",
        "one & twoMESSAGE",
        "threeMESSAGE",
        "DISCONNECT",
    ]
    assert {arguments["MessageGroupId"] for _, arguments in functions.sent} == {connection.id}
    assert len({arguments["MessageDeduplicationId"] for _, arguments in functions.sent[1:3]}) == 2
    assert channel.sent == []


async def test_frames_reach_the_queue_in_their_order_and_not_one_by_one() -> None:
    functions = Functions()
    made = api(functions, routes=queued())
    connection, _ = await connected(made)
    for number in range(50):
        made.receive(connection, f"never {number}")
    await until(lambda: len(functions.sent) == 51)
    assert [arguments["MessageBody"] for _, arguments in functions.sent[1:]] == [
        f"never {number}MESSAGE" for number in range(50)
    ]


async def test_a_queue_that_takes_no_message_is_an_error_frame_and_a_note() -> None:
    functions = Functions()
    made = api(functions, routes=queued())
    connection, channel = await connected(made)
    functions.refusal = SendFailed("AccessDenied")
    made.receive(connection, "x")
    assert (await channel.next()).startswith('{"message": "Internal server error", "connectionId":"')
    assert functions.notes == ["Integration: AccessDenied"]
    functions.refusal = None
    made.receive(connection, "never")
    assert (await channel.next()).startswith('{"message": "Endpoint request timed out", "connectionId":"')


async def test_a_queue_that_takes_no_connect_refuses_it() -> None:
    functions = Functions()
    functions.refusal = SendFailed("AccessDenied")
    result = await api(functions, routes=queued()).connect(upgrade())
    assert isinstance(result, Refused)
    assert result.status == 500
    functions.refusal = None
    result = await api(functions, routes=queued("Action=SendMessage&MessageBody=never")).connect(upgrade())
    assert isinstance(result, Refused)
    assert result.status == 504


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("Action=SendMessage&MessageBody=$!input.path('$.text')", "MissingParameter: MessageBody"),
        ("Action=DeleteQueue&MessageBody=x", "InvalidAction: DeleteQueue"),
        ("Action=SendMessage&MessageBody=$util.base64Decode($input.body)", "$util.base64Decode: "),
    ],
)
async def test_what_is_no_message_is_not_sent(text: str, note: str) -> None:
    functions = Functions()
    routes = queued(text)
    made = api(functions, routes={"$default": routes["$default"]})
    connection, channel = await connected(made)
    made.receive(connection, "no base64")
    assert "Internal server error" in await channel.next()
    assert functions.notes[0].startswith(f"Integration: {note}")
    assert functions.sent == []


async def test_a_body_that_no_template_takes() -> None:
    functions = Functions()
    form = "Action=SendMessage&MessageBody=by+hand"
    taking = queued(selection="$request.body.kind", template="frame")
    made = api(functions, routes={"$default": taking["$default"]})
    connection, channel = await connected(made)
    made.receive(connection, form)
    await until(lambda: functions.sent)
    assert functions.sent == [("frames.fifo", {"MessageBody": "by hand"})]

    refusing = queued(selection="$request.body.kind", mapped_only=True, template="frame")
    made = api(functions, routes={"$default": refusing["$default"]})
    connection, channel = await connected(made)
    made.receive(connection, form)
    assert (await channel.next()).startswith('{"message": "Unsupported Media Type"')
    result = await api(functions, routes=refusing).connect(upgrade())
    assert isinstance(result, Refused)
    assert result.status == 415
    assert len(functions.sent) == 1


async def test_the_default_template_takes_what_no_other_does() -> None:
    functions = Functions()
    made = api(functions, routes={"$default": queued(selection="$request.body.kind", mapped_only=True)["$default"]})
    connection, _ = await connected(made)
    made.receive(connection, '{"kind":"other"}')
    await until(lambda: functions.sent)
    assert functions.sent[0][1]["MessageBody"].startswith('{"kind":"other"}')


# ---- @connections


async def test_posts_keep_their_order() -> None:
    made = api(Functions())
    connection, channel = await connected(made)
    for number in range(50):
        made.post("live", connection.id, str(number).encode())
    assert channel.sent == [str(number) for number in range(50)]


async def test_posts_are_text() -> None:
    made = api(Functions())
    connection, channel = await connected(made)
    made.post("live", connection.id, b"\xff")
    assert channel.sent == ["\ufffd"]


@pytest.mark.parametrize(
    ("stage", "connection_id", "status", "name"),
    [
        ("live", "x", 400, "BadRequestException"),
        ("live", "AAAAAAAAAAAAAAA=", 410, "GoneException"),
    ],
)
async def test_unknown_connections(stage: str, connection_id: str, status: int, name: str) -> None:
    made = api(Functions())
    calls: list[Callable[[], Any]] = [
        lambda: made.post(stage, connection_id, b"x"),
        lambda: made.get(stage, connection_id),
        lambda: made.delete(stage, connection_id),
    ]
    for call in calls:
        with pytest.raises(ManagementError) as error:
            call()
        assert (error.value.status, error.value.error_type) == (status, name)


async def test_a_post_that_is_too_long_and_a_client_that_does_not_read() -> None:
    made = api(Functions())
    connection, channel = await connected(made)
    with pytest.raises(ManagementError) as error:
        made.post("live", connection.id, b"x" * 131_073)
    assert error.value.status == 413
    channel.buffered = 199_999
    made.post("live", connection.id, b"x")
    channel.buffered = 200_000
    with pytest.raises(ManagementError) as error:
        made.post("live", connection.id, b"x")
    assert (error.value.status, error.value.error_type) == (429, "LimitExceededException")


async def test_get_describes() -> None:
    made = api(Functions())
    connection, _ = await connected(made)
    answer = made.get("live", connection.id)
    assert set(answer) == {"connectedAt", "identity", "lastActiveAt"}
    assert answer["identity"] == {"sourceIp": "192.0.2.1"}
    assert iso_time(1707502303.4191) == "2024-02-09T18:11:43.419Z"


# ---- ends


async def ended(functions: Functions) -> tuple[int, str]:
    await until(lambda: functions.events and functions.events[-1]["requestContext"]["eventType"] == "DISCONNECT")
    context = functions.events[-1]["requestContext"]
    return context["disconnectStatusCode"], context["disconnectReason"]


async def test_delete_closes_with_1000() -> None:
    functions = Functions()
    made = api(functions)
    connection, channel = await connected(made)
    made.delete("live", connection.id)
    assert channel.ended == (1000, "Connection Closed Normally")
    assert await ended(functions) == (1000, "Connection Closed Normally")
    with pytest.raises(ManagementError):
        made.post("live", connection.id, b"x")
    # The client's answer to the close frame is not a second end.
    made.closed(connection, 1000, "")
    assert len([event for event in functions.events if "disconnectReason" in event["requestContext"]]) == 1


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1005, "", (1005, "Client-side close frame status not set")),
        (1001, "", (1001, "Going away")),
        (4000, "mine", (4000, "mine")),
        (4000, "", (4000, "")),
    ],
)
async def test_the_clients_own_close(code: int, reason: str, expected: tuple[int, str]) -> None:
    functions = Functions()
    made = api(functions)
    connection, _ = await connected(made)
    made.closed(connection, code, reason)
    assert await ended(functions) == expected


async def test_stopping_closes_with_1001_and_runs_nothing() -> None:
    functions = Functions()
    made = api(functions)
    _, channel = await connected(made)
    made.close()
    await asyncio.sleep(0)
    assert channel.ended == (1001, "Going away")
    assert len(functions.events) == 1


async def test_an_answer_after_the_end_is_dropped() -> None:
    functions = Functions(default=...)
    made = api(functions)
    connection, channel = await connected(made)
    made.receive(connection, "x")
    await until(lambda: functions.held)
    made.closed(connection, 1001, "")
    functions.held[0].set_result(b'{"body":"late"}')
    await ended(functions)
    assert channel.sent == []
