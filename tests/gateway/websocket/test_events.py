"""Events field by field."""

import pytest

from gateway.http.events import (
    HttpContext,
    HttpRequest,
    HttpResponse,
    InvalidAnswer,
    http_event,
    http_response,
)
from gateway.settings import Settings
from gateway.websocket.events import Context, Upgrade, connect_event, disconnect_event, message_event, request_time

CONTEXT = Context(
    api_id="abcd123",
    stage="prod",
    domain_name="abcd123.execute-api.us-east-1.amazonaws.com",
    connection_id="AAAAAAAAAAAAAAA=",
    connected_at=1707502303419,
    source_ip="192.0.2.1",
    user_agent="Browser",
    stage_variables={},
)
BARE = Context("abcd123", "prod", "host", "AAAAAAAAAAAAAAA=", 1, "192.0.2.1", None, {"colour": "red"})
HTTP = HttpContext("abcd123", "123456789012", "abcd123.execute-api.us-east-1.amazonaws.com")


def test_the_connect_event() -> None:
    upgrade = Upgrade(
        stage="prod",
        headers=[
            ("Host", "abcd123.execute-api.us-east-1.amazonaws.com"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("sec-websocket-key", "key"),
            ("User-Agent", "Browser"),
        ],
        query="EIO=4&a=1&a=2",
        source_ip="192.0.2.1",
        port=443,
        scheme="https",
    )
    headers = {
        "Host": "abcd123.execute-api.us-east-1.amazonaws.com",
        "sec-websocket-key": "key",
        "User-Agent": "Browser",
        "X-Amzn-Trace-Id": "Root=1-0",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    assert connect_event(CONTEXT, upgrade, "ABCD1234=", "Root=1-0", 1707502303.42) == {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {"EIO": "4", "a": "2"},
        "multiValueQueryStringParameters": {"EIO": ["4"], "a": ["1", "2"]},
        "requestContext": {
            "routeKey": "$connect",
            "eventType": "CONNECT",
            "extendedRequestId": "ABCD1234=",
            "requestTime": "09/Feb/2024:18:11:43 +0000",
            "messageDirection": "IN",
            "stage": "prod",
            "connectedAt": 1707502303419,
            "requestTimeEpoch": 1707502303420,
            "identity": {"userAgent": "Browser", "sourceIp": "192.0.2.1"},
            "requestId": "ABCD1234=",
            "domainName": "abcd123.execute-api.us-east-1.amazonaws.com",
            "connectionId": "AAAAAAAAAAAAAAA=",
            "apiId": "abcd123",
        },
        "isBase64Encoded": False,
    }


def test_absent_fields_are_left_out_of_connect() -> None:
    event = connect_event(BARE, Upgrade("prod", [], "", "192.0.2.1", 80), "R=", "T", 1)
    assert "queryStringParameters" not in event
    assert "multiValueQueryStringParameters" not in event
    assert event["requestContext"]["identity"] == {"sourceIp": "192.0.2.1"}
    assert event["stageVariables"] == {"colour": "red"}


def test_a_proxys_word_on_the_client_is_kept() -> None:
    upgrade = Upgrade("prod", [("x-forwarded-for", "203.0.113.9")], "", "192.0.2.1", 80)
    event = connect_event(BARE, upgrade, "R=", "T", 1)
    assert event["headers"]["X-Forwarded-For"] == "203.0.113.9, 192.0.2.1"
    assert "x-forwarded-for" not in event["headers"]


def test_the_message_event() -> None:
    assert message_event(CONTEXT, "$default", "raw text", "R=", "M=", 1652722227.357) == {
        "requestContext": {
            "routeKey": "$default",
            "messageId": "M=",
            "eventType": "MESSAGE",
            "extendedRequestId": "R=",
            "requestTime": "16/May/2022:17:30:27 +0000",
            "messageDirection": "IN",
            "stage": "prod",
            "connectedAt": 1707502303419,
            "requestTimeEpoch": 1652722227357,
            "identity": {"userAgent": "Browser", "sourceIp": "192.0.2.1"},
            "requestId": "R=",
            "domainName": "abcd123.execute-api.us-east-1.amazonaws.com",
            "connectionId": "AAAAAAAAAAAAAAA=",
            "apiId": "abcd123",
        },
        "body": "raw text",
        "isBase64Encoded": False,
    }


def test_the_disconnect_event() -> None:
    reason = "Client-side close frame status not set"
    assert disconnect_event(CONTEXT, "host", 1005, reason, "R=", 1707503008.941) == {
        "headers": {"Host": "host", "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""},
        "multiValueHeaders": {"Host": ["host"], "x-api-key": [""], "X-Forwarded-For": [""], "x-restapi": [""]},
        "requestContext": {
            "routeKey": "$disconnect",
            "disconnectStatusCode": 1005,
            "disconnectReason": reason,
            "eventType": "DISCONNECT",
            "extendedRequestId": "R=",
            "requestTime": "09/Feb/2024:18:23:28 +0000",
            "messageDirection": "IN",
            "stage": "prod",
            "connectedAt": 1707502303419,
            "requestTimeEpoch": 1707503008941,
            "identity": {"sourceIp": "192.0.2.1"},
            "requestId": "R=",
            "domainName": "abcd123.execute-api.us-east-1.amazonaws.com",
            "connectionId": "AAAAAAAAAAAAAAA=",
            "apiId": "abcd123",
        },
        "isBase64Encoded": False,
    }


def test_times() -> None:
    assert request_time(1707502303.9) == "09/Feb/2024:18:11:43 +0000"


def test_the_http_event() -> None:
    request = HttpRequest(
        "POST",
        "/rooms/blue",
        "a=1&a=2",
        [("Host", "h"), ("User-Agent", "u"), ("Content-Type", "application/json"), ("Cookie", "c=1; d=2")],
        b'{"x":1}',
        "192.0.2.1",
        443,
        "https",
    )
    route_key = "POST /rooms/{room}"
    assert http_event(HTTP, request, route_key, {"room": "blue"}, "R=", "T", 1707502303.42) == {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": "/rooms/blue",
        "rawQueryString": "a=1&a=2",
        "cookies": ["c=1", "d=2"],
        "headers": {
            "host": "h",
            "user-agent": "u",
            "content-type": "application/json",
            "x-amzn-trace-id": "T",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "queryStringParameters": {"a": "1,2"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcd123",
            "domainName": "abcd123.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abcd123",
            "http": {
                "method": "POST",
                "path": "/rooms/blue",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "u",
            },
            "requestId": "R=",
            "routeKey": route_key,
            "stage": "$default",
            "time": "09/Feb/2024:18:11:43 +0000",
            "timeEpoch": 1707502303420,
        },
        "pathParameters": {"room": "blue"},
        "body": '{"x":1}',
        "isBase64Encoded": False,
    }


def test_absent_fields_are_left_out_of_an_http_event() -> None:
    event = http_event(HTTP, HttpRequest("GET", "/", "", [], b"", "192.0.2.1"), "$default", {}, "R=", "T", 1)
    assert not {"cookies", "queryStringParameters", "pathParameters", "body"} & set(event)


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/plain;charset=UTF-8", b"x", ("x", False)),
        ("application/problem+json", b"{}", ("{}", False)),
        ("application/octet-stream", b"x", ("eA==", True)),
        ("application/x-www-form-urlencoded", b"a=1", ("YT0x", True)),
        ("text/plain", b"\xff", ("/w==", True)),
    ],
)
def test_bodies(content_type: str, body: bytes, expected: tuple[str, bool]) -> None:
    request = HttpRequest("POST", "/", "", [("content-type", content_type)], body, "192.0.2.1")
    event = http_event(HTTP, request, "$default", {}, "R=", "T", 1)
    assert (event["body"], event["isBase64Encoded"]) == expected


@pytest.mark.parametrize("answer", ["text", {"a": 1}, [1], None, 5])
def test_an_answer_without_a_status_is_json(answer: object) -> None:
    response = http_response(answer, "R=", Settings())
    assert response.status == 200
    assert ("content-type", "application/json") in response.headers
    if answer == "text":
        assert response.body == b"text"


def test_a_full_answer() -> None:
    answer = {
        "statusCode": "404",
        "headers": {"X-A": True, "Content-Length": "99"},
        "cookies": ["a=1", "b=2"],
        "body": "eA==",
        "isBase64Encoded": True,
    }
    assert http_response(answer, "R=", Settings()) == HttpResponse(
        404,
        [
            ("x-a", "true"),
            ("content-type", "text/plain;charset=utf-8"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("apigw-requestid", "R="),
        ],
        b"x",
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "x"},
        {"statusCode": None},
        {"statusCode": 99},
        {"statusCode": 200, "headers": {"a": ["b"]}},
        {"statusCode": 200, "headers": "a"},
        {"statusCode": 200, "body": "!", "isBase64Encoded": True},
    ],
)
def test_what_is_no_answer(answer: object) -> None:
    with pytest.raises(InvalidAnswer):
        http_response(answer, "R=", Settings())
