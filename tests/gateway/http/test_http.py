"""An HTTP API through real sockets and processes."""

from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Started


def get(started: Started, path: str, **options: Any) -> httpx.Response:
    return httpx.get(started.url + path, trust_env=False, timeout=10, **options)


def test_a_route_with_parameters(started: Started) -> None:
    event = get(started, "/rooms/blue?a=1&a=2&b=").json()
    assert event["routeKey"] == "GET /rooms/{room}"
    assert event["pathParameters"] == {"room": "blue"}
    assert event["rawQueryString"] == "a=1&a=2&b="
    assert event["queryStringParameters"] == {"a": "1,2", "b": ""}
    assert event["requestContext"]["http"]["method"] == "GET"
    assert event["requestContext"]["stage"] == "$default"
    assert "body" not in event


def test_a_greedy_route_and_the_default(started: Started) -> None:
    event = get(started, "/files/a/b.txt").json()
    assert event["routeKey"] == "ANY /files/{path+}"
    assert event["pathParameters"] == {"path": "a/b.txt"}
    event = get(started, "/elsewhere").json()
    assert event["routeKey"] == "$default"
    assert "pathParameters" not in event


def test_headers_cookies_and_bodies(started: Started) -> None:
    headers = [("X-Twice", "1"), ("X-Twice", "2"), ("Cookie", "a=1; b=2"), ("Content-Type", "text/plain")]
    event = httpx.post(started.url + "/elsewhere", headers=headers, content="héllo", trust_env=False).json()
    assert event["headers"]["x-twice"] == "1,2"
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]
    assert (event["body"], event["isBase64Encoded"]) == ("héllo", False)
    event = httpx.post(started.url + "/elsewhere", content=b"\x00\xff", trust_env=False).json()
    assert (event["body"], event["isBase64Encoded"]) == ("AP8=", True)


def test_answers(started: Started) -> None:
    response = get(started, "/shorthand")
    assert (response.status_code, response.text) == (200, '{"plain":true}')
    assert response.headers["content-type"] == "application/json"
    response = get(started, "/cookies")
    assert (response.status_code, response.text) == (201, "set")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2; Path=/"]
    assert response.headers["x-number"] == "5"
    response = get(started, "/binary")
    assert (response.content, response.headers["content-type"]) == (b"\x89PNG", "image/png")


@pytest.mark.parametrize("path", ["/fail", "/invalid"])
def test_what_fails_is_a_500(started: Started, path: str) -> None:
    response = get(started, path)
    assert (response.status_code, response.text) == (500, '{"message":"Internal Server Error"}')


def test_a_body_over_10_mb_is_refused(started: Started) -> None:
    response = httpx.post(started.url + "/elsewhere", content=b"x" * (10 * 1024 * 1024 + 1), trust_env=False)
    assert response.status_code == 413


def test_polling_of_the_one_origin_is_the_http_apis(started: Started) -> None:
    event = get(started, "/socket.io/?EIO=4&transport=polling").json()
    assert event["rawPath"] == "/socket.io/"
    assert event["rawQueryString"] == "EIO=4&transport=polling"
