"""A WebSocket API through real sockets, processes and boto3."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.gateway.conftest import SESSION, Started

UNKNOWN = "AAAAAAAAAAAAAAA="


def ask(socket: ClientConnection, message: str, timeout: float = 10) -> str:
    socket.send(message)
    answer = socket.recv(timeout)
    assert isinstance(answer, str)
    return answer


def connection_id(socket: ClientConnection) -> str:
    return str(json.loads(ask(socket, '{"action":"show"}'))["requestContext"]["connectionId"])


def closed_with(socket: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(10)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def refused(started: Started, address: str) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused, started.connect(address):
        pass
    response = refused.value.response
    return response.status_code, (response.body or b"").decode()


# ---- connecting


@pytest.mark.parametrize("status", [301, 400, 401, 403, 501])
def test_a_refused_connect_passes_its_status_on(started: Started, status: int) -> None:
    assert refused(started, f"?answer={status}")[0] == status


@pytest.mark.parametrize("answer", ["raise", "none", "99"])
def test_a_connect_without_an_answer_is_a_502(started: Started, answer: str) -> None:
    assert refused(started, f"?answer={answer}")[0] == 502


def test_any_2xx_connects(started: Started) -> None:
    with started.connect("?answer=204") as socket:
        assert ask(socket, "hello") == "hello"


@pytest.mark.parametrize("path", ["/extra", "x", "/extra/"])
def test_only_the_stage_is_an_address(started: Started, path: str) -> None:
    assert refused(started, path) == (403, '{"message":"Forbidden"}')


def test_the_stage_with_a_slash_and_the_one_origin_are_addresses(started: Started) -> None:
    with started.connect("/?a=b") as socket:
        assert ask(socket, "hello") == "hello"
    for path in ("/socket.io/?EIO=4&transport=websocket", "/socket.io"):
        with connect(started.url.replace("http", "ws", 1) + path, proxy=None) as socket:
            assert ask(socket, "hello") == "hello"


def test_a_plain_get_of_a_stage_is_a_426(started: Started) -> None:
    connection = HTTPConnection(started.url.removeprefix("http://"))
    for path in ("/test", "/test/", "/test?a=b"):
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 426
        response.read()
    connection.close()


def test_connect_negotiates_the_subprotocol_and_nothing_else(started: Started) -> None:
    with started.connect(subprotocols=["one", "two"]) as socket:
        assert socket.subprotocol == "one"
        assert socket.response is not None
        assert "X-Dropped" not in socket.response.headers
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


def test_connect_cannot_post_to_its_own_connection(started: Started) -> None:
    # 410 and 3, as the function adds: a status that nothing else gives.
    assert refused(started, "?answer=post")[0] == 413


def test_the_connect_event(started: Started) -> None:
    headers = {"X-MiXed-Case": "kept", "Origin": "https://example.com", "User-Agent": "tests"}
    with started.connect("?EIO=4&a=1&a=2&e=", additional_headers=headers, user_agent_header=None) as socket:
        wanted = connection_id(socket)
    (event,) = started.wait_for("connect", 1, connectionId=wanted)
    assert set(event) == {
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "requestContext",
        "stageVariables",
        "isBase64Encoded",
    }
    assert event["headers"]["X-MiXed-Case"] == "kept"
    assert event["multiValueHeaders"]["Origin"] == ["https://example.com"]
    assert not {"connection", "upgrade"} & {name.lower() for name in event["headers"]}
    assert event["queryStringParameters"] == {"EIO": "4", "a": "2", "e": ""}
    assert event["multiValueQueryStringParameters"]["a"] == ["1", "2"]
    assert event["requestContext"]["identity"] == {"userAgent": "tests", "sourceIp": "127.0.0.1"}


# ---- messages


def test_messages_run_at_the_same_time_and_may_overtake_each_other(started: Started) -> None:
    with started.connect() as socket:
        socket.send('{"action":"slow","seconds":0.8}')
        assert ask(socket, "fast") == "fast"
        assert socket.recv(10) == "slow ends"


@pytest.mark.parametrize("action", ["fail", "die", "leave"])
def test_a_failed_function_is_an_error_frame(started: Started, action: str) -> None:
    with started.connect() as socket:
        own = connection_id(socket)
        answer = ask(socket, json.dumps({"action": action}))
        wanted = rf'{{"message": "Internal server error", "connectionId":"{own}", "requestId":"[\w-]{{15}}="}}'
        assert re.fullmatch(wanted, answer)
        assert ask(socket, "still open") == "still open"


def test_a_slow_integration_is_an_error_frame(started: Started) -> None:
    with started.connect() as socket:
        own = connection_id(socket)
        answer = ask(socket, '{"action":"slow","seconds":1.5}')
        assert answer.startswith(f'{{"message": "Endpoint request timed out", "connectionId":"{own}", "requestId":"')


def test_a_function_that_runs_out_of_time_is_killed(started: Started) -> None:
    with started.connect() as socket:
        ask(socket, '{"action":"slow","seconds":30}')
        deadline = time.monotonic() + 10
        while "Task timed out after 2.00 seconds" not in started.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert ask(socket, '{"action":"slow","seconds":0}') == "slow ends"


def test_output_carries_function_and_request(started: Started) -> None:
    with started.connect() as socket:
        assert ask(socket, '{"action":"slow","seconds":0}') == "slow ends"
        ask(socket, '{"action":"fail"}')
    log = started.log.read_text()
    assert re.search(r"^SlowFunction [0-9a-f]{8} \| slow begins$", log, re.MULTILINE)
    assert re.search(r"^FailFunction [0-9a-f]{8} \| ERROR RuntimeError: failed on purpose$", log, re.MULTILINE)
    assert 'raise RuntimeError("failed on purpose")' in log


def test_an_answer_is_silent_without_both_halves_of_a_route_response(started: Started) -> None:
    with started.connect() as socket:
        socket.send('{"action":"silent"}')
        socket.send('{"action":"half"}')
        with pytest.raises(TimeoutError):
            socket.recv(0.5)


def test_fragments_are_one_message(started: Started) -> None:
    with started.connect() as socket:
        socket.send(iter(["one ", "two ", "three"]))
        assert socket.recv(10) == "one two three"


# ---- limits


def test_binary_closes_with_1003(started: Started) -> None:
    with started.connect() as socket:
        own = connection_id(socket)
        socket.send(b"\x00")
        assert closed_with(socket) == 1003
    (event,) = started.wait_for("disconnect", 1, connectionId=own)
    assert event["requestContext"]["disconnectStatusCode"] == 1003


def test_a_frame_over_32_kib_closes_with_1009(started: Started) -> None:
    with started.connect() as socket:
        own = connection_id(socket)
        assert ask(socket, "x" * 32768) == "x" * 32768
        socket.send("x" * 32769)
        assert closed_with(socket) == 1009
    (event,) = started.wait_for("disconnect", 1, connectionId=own)
    assert event["requestContext"]["disconnectStatusCode"] == 1009


def test_a_message_over_128_kib_closes_with_1009(started: Started) -> None:
    with started.connect() as socket:
        socket.send(iter(["x" * 32768] * 4))
        assert len(socket.recv(10)) == 131072
        socket.send(iter(["x" * 32768] * 4 + ["y"]))
        assert closed_with(socket) == 1009


# ---- ends


def test_the_disconnect_event(started: Started) -> None:
    with started.connect() as socket:
        own = connection_id(socket)
        socket.close(4001, "mine")
    (event,) = started.wait_for("disconnect", 1, connectionId=own)
    host = started.url.removeprefix("http://")
    assert event["headers"] == {"Host": host, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
    context = event["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (4001, "mine")
    assert context["identity"] == {"sourceIp": "127.0.0.1"}
    assert "messageId" not in context


def test_a_close_without_a_code_is_1005(started: Started) -> None:
    with started.connect() as socket:
        own = connection_id(socket)
        with socket.send_context():
            socket.protocol.send_close()
        assert closed_with(socket) == 1005
    (event,) = started.wait_for("disconnect", 1, connectionId=own)
    context = event["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (
        1005,
        "Client-side close frame status not set",
    )


def test_a_lost_connection_is_1006(started: Started) -> None:
    with started.connect() as socket:
        own = connection_id(socket)
        socket.socket.shutdown(2)
    (event,) = started.wait_for("disconnect", 1, connectionId=own)
    assert event["requestContext"]["disconnectStatusCode"] == 1006


def test_a_ping_is_answered_without_a_function(started: Started) -> None:
    with started.connect() as socket:
        assert socket.ping().wait(5)


# ---- @connections


def test_posts_keep_their_order_and_the_answer_comes_last(started: Started) -> None:
    with started.connect() as socket:
        socket.send('{"action":"post","count":20}')
        assert [socket.recv(10) for _ in range(21)] == [*map(str, range(20)), "posted"]


def test_the_management_api_with_boto3(started: Started) -> None:
    management = started.management()
    with started.connect(user_agent_header="tests") as socket:
        own = connection_id(socket)
        management.post_to_connection(ConnectionId=own, Data=b"hello")
        assert socket.recv(10) == "hello"
        answer = management.get_connection(ConnectionId=own)
        assert answer["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "tests"}
        assert answer["ConnectedAt"] <= answer["LastActiveAt"]
        with pytest.raises(management.exceptions.PayloadTooLargeException):
            management.post_to_connection(ConnectionId=own, Data=b"x" * 131073)
        management.post_to_connection(ConnectionId=own, Data=b"x" * 131072)
        assert len(socket.recv(10)) == 131072
        deleted = management.delete_connection(ConnectionId=own)
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert closed_with(socket) == 1000
    with pytest.raises(management.exceptions.GoneException):
        management.post_to_connection(ConnectionId=own, Data=b"too late")
    (event,) = started.wait_for("disconnect", 1, connectionId=own)
    context = event["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (1000, "Connection Closed Normally")


def test_a_function_can_close_its_caller(started: Started) -> None:
    with started.connect() as socket:
        socket.send('{"action":"drop"}')
        assert closed_with(socket) == 1000


@pytest.mark.parametrize("method", ["post_to_connection", "get_connection", "delete_connection"])
def test_an_unknown_connection_is_gone(started: Started, method: str) -> None:
    management = started.management()
    arguments = {"ConnectionId": UNKNOWN, **({"Data": b"x"} if method.startswith("post") else {})}
    with pytest.raises(management.exceptions.GoneException) as gone:
        getattr(management, method)(**arguments)
    assert gone.value.response["ResponseMetadata"]["HTTPStatusCode"] == 410


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/test/@connections/nonsense", 400, "Invalid connectionId: nonsense"),
        ("/test/%40connections/AAAAAAAAAAAAAAA%3D", 410, ""),
        ("/test/@connections/AAAAAAAAAAAAAAA=", 410, ""),
        ("/elsewhere/@connections/AAAAAAAAAAAAAAA=", 403, "Forbidden"),
    ],
)
def test_addresses_of_the_management_api(started: Started, path: str, status: int, body: str) -> None:
    connection = HTTPConnection(started.url.removeprefix("http://"))
    request = AWSRequest("POST", f"{started.url}{path}", data=b"x")
    SigV4Auth(SESSION.get_credentials(), "execute-api", SESSION.region_name).add_auth(request)
    connection.request("POST", path, b"x", dict(request.headers.items()))
    response = connection.getresponse()
    assert response.status == status
    assert body in response.read().decode()
    connection.close()


def test_asking_for_the_head_of_a_connection_ends_none(started: Started) -> None:
    with started.connect() as socket:
        path = f"/test/@connections/{connection_id(socket)}"
        request = AWSRequest("HEAD", f"{started.url}{path}")
        SigV4Auth(SESSION.get_credentials(), "execute-api", SESSION.region_name).add_auth(request)
        connection = HTTPConnection(started.url.removeprefix("http://"))
        connection.request("HEAD", path, headers=dict(request.headers.items()))
        connection.getresponse().close()
        connection.close()
        assert connection_id(socket)


def post_many(management: Any, connection_id: str, count: int) -> None:
    for _ in range(count):
        management.post_to_connection(ConnectionId=connection_id, Data=b"x" * 131072)


def test_a_client_that_does_not_read_fills_its_buffer_and_holds_up_nobody(started: Started) -> None:
    management = started.management()
    # The library reads on its own; with a queue of one message it stops reading TCP.
    with started.connect(max_queue=1) as socket, started.connect() as other:
        own = connection_id(socket)
        with pytest.raises(management.exceptions.LimitExceededException):
            post_many(management, own, 400)
        assert ask(other, "hello") == "hello"
        socket.socket.shutdown(2)


def test_workers_are_reused_and_more_are_started_under_load(started: Started) -> None:
    with started.connect() as socket:
        first = json.loads(ask(socket, '{"action":"count"}'))
        second = json.loads(ask(socket, '{"action":"count"}'))
        assert second["pid"] == first["pid"]
        assert second["count"] == first["count"] + 1
        # Two that sleep at the same time need two processes; the second may have to start in the first round.
        took: list[float] = []
        for _ in range(3):
            began = time.monotonic()
            for _ in range(2):
                socket.send('{"action":"slow","seconds":0.9}')
            assert "slow ends" in [socket.recv(10) for _ in range(2)]
            took.append(time.monotonic() - began)
        assert min(took) < 1.8


def test_many_clients_at_once(started: Started) -> None:
    def talk(number: int) -> str:
        with started.connect() as socket:
            return ask(socket, f"hello {number}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(talk, range(24))) == [f"hello {number}" for number in range(24)]
