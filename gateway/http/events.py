"""Events and answers of an HTTP API, payload format 2.0. Pure: values in, values out.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from gateway.settings import Settings
from gateway.websocket.events import Headers, request_time

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TEXT_TYPES = ("application/json", "application/javascript", "application/xml")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request: `path` decoded, `query` raw, headers in the order sent."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    source_ip: str
    port: int = 80
    scheme: str = "http"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpContext:
    """What an event says of the API: `domain_name` is the host that it is served at."""

    api_id: str
    account_id: str
    domain_name: str


class InvalidAnswer(Exception):
    """A function returned what is no HTTP answer."""


def http_event(
    context: HttpContext,
    request: HttpRequest,
    route_key: str,
    path_parameters: dict[str, str],
    request_id: str,
    trace_id: str,
    now: float,
) -> dict[str, Any]:
    """Return the event of a request; `now` in seconds since 1970. [R] `rawPath` is decoded, for all its name."""
    headers, cookies = _headers(request, trace_id)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": request.path,
        "rawQueryString": request.query,
    }
    if cookies:
        event["cookies"] = cookies
    event["headers"] = headers
    query: dict[str, str] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    if query:
        event["queryStringParameters"] = query
    event["requestContext"] = {
        "accountId": context.account_id,
        "apiId": context.api_id,
        "domainName": context.domain_name,
        "domainPrefix": context.domain_name.split(".", 1)[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": route_key,
        "stage": "$default",
        "time": request_time(now),
        "timeEpoch": int(now * 1000),
    }
    if path_parameters:
        event["pathParameters"] = path_parameters
    body, encoded = _body(request.body, headers.get("content-type", ""))
    if body is not None:
        event["body"] = body
    event["isBase64Encoded"] = encoded
    return event


def http_response(answer: Any, request_id: str, settings: Settings) -> HttpResponse:
    """Return the HTTP answer to what a function returned. Raises InvalidAnswer.

    Without a statusCode the whole value is the body of a 200 in JSON.
    """
    headers: Headers = [("apigw-requestid", request_id)]
    if not isinstance(answer, dict) or "statusCode" not in answer:
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
        return HttpResponse(200, [("content-type", "application/json"), *headers], text.encode())
    try:
        status = int(answer["statusCode"])
        given = [_header(name, value) for name, value in (answer.get("headers") or {}).items()]
        # Format 2.0 has no multiValueHeaders; cookies are the one header that comes several times.
        cookies = [_header("set-cookie", cookie) for cookie in answer.get("cookies") or []]
        body = _answer_body(answer)
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidAnswer(str(error)) from None
    if not 200 <= status <= 599:
        raise InvalidAnswer(f"statusCode {status}")
    if not any(name == "content-type" for name, _ in given) and body:
        given.append(("content-type", settings.http_default_content_type))
    given = [
        (name, value) for name, value in given if name not in ("content-length", "transfer-encoding", "connection")
    ]
    return HttpResponse(status, [*given, *cookies, *headers], body)


def error_response(status: int, message: str) -> HttpResponse:
    """Return an answer of the API's own."""
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    return HttpResponse(status, [("content-type", "application/json")], body)


def _headers(request: HttpRequest, trace_id: str) -> tuple[dict[str, str], list[str]]:
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in request.headers:
        lower = name.lower()
        if lower == "cookie":
            cookies += [part.strip() for part in value.split(";") if part.strip()]
        elif lower not in ("connection", "transfer-encoding"):
            headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
    forwarded = headers.get("x-forwarded-for")
    headers["x-amzn-trace-id"] = trace_id
    headers["x-forwarded-for"] = f"{forwarded}, {request.source_ip}" if forwarded else request.source_ip
    headers["x-forwarded-port"] = str(request.port)
    headers["x-forwarded-proto"] = request.scheme
    return headers, cookies


def _body(body: bytes, content_type: str) -> tuple[str | None, bool]:
    if not body:
        return None, False
    kind = content_type.split(";", 1)[0].strip().lower()
    # [R] Form data is among what is encoded. [?] A body without a type is taken for text where it is UTF-8.
    if not kind or kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith(("+json", "+xml")):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def _answer_body(answer: dict[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        body = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()


def _header(name: Any, value: Any) -> tuple[str, str]:
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"a header cannot be called {name!r}")
    if not isinstance(value, str | int | float) or _CONTROL.search(str(value)):
        raise ValueError(f"the header {name} cannot be {value!r}")
    return name.lower(), str(value)
