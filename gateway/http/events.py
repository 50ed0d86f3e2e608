"""Events and answers of HTTP and REST APIs, payload formats 2.0 and 1.0. Pure: values in, values out.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import fnmatch
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from gateway.settings import Settings
from gateway.websocket.events import Headers, request_time

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
HOP_BY_HOP = ("content-length", "transfer-encoding", "connection", "keep-alive")
_FORWARDED = ("x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto")
_USUAL = {
    name.lower(): name
    for name in (
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Authorization",
        "Cache-Control",
        "Content-Type",
        "Cookie",
        "Host",
        "Origin",
        "Referer",
        "User-Agent",
    )
}
_IDENTITY = (
    "accessKey",
    "accountId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "sourceIp",
    "user",
    "userAgent",
    "userArn",
)
_TEXT_TYPES = ("application/json", "application/javascript", "application/xml")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request: `path` decoded, `raw_path` and `query` as they came, headers in the order sent."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    source_ip: str
    port: int = 80
    scheme: str = "http"
    raw_path: str = ""

    def header(self, name: str) -> str | None:
        """Return the first value of a header, its name in lower case; None where it is not there."""
        return next((value for given, value in self.headers if given.lower() == name), None)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpContext:
    """What an event says of the API: `domain_name` is the host that it is served at.

    `granted` is what an authorizer said of whoever asks, None without one, and `granted_by` its kind: lambda, jwt or
    iam. `identity` is what else is known of the caller.
    """

    api_id: str
    account_id: str
    domain_name: str
    stage: str = "$default"
    variables: Mapping[str, str] = field(default_factory=dict)
    granted: Mapping[str, Any] | None = None
    granted_by: str = "lambda"
    identity: Mapping[str, Any] = field(default_factory=dict)


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
        "stage": context.stage,
        "time": request_time(now),
        "timeEpoch": int(now * 1000),
    }
    if context.granted is not None:
        event["requestContext"]["authorizer"] = {context.granted_by: context.granted}
    if path_parameters:
        event["pathParameters"] = path_parameters
    if context.variables:
        event["stageVariables"] = dict(context.variables)
    body, encoded = _body(request.body, headers.get("content-type", ""))
    if body is not None:
        event["body"] = body
    event["isBase64Encoded"] = encoded
    return event


def proxy_event(
    context: HttpContext,
    request: HttpRequest,
    resource: str,
    path_parameters: dict[str, str],
    request_id: str,
    trace_id: str,
    now: float,
    binary_types: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the event of format 1.0, which REST APIs have alone; what is absent is null.

    `binary_types` are a REST API's, None for an HTTP API. `resource` is the route's path.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    """
    rest = binary_types is not None
    headers = _forwarded(request, trace_id)
    query = parse_qsl(request.query, keep_blank_values=True)
    names = {name.lower(): value for name, value in headers}
    kind = names.get("content-type", "")
    if binary_types is None:
        body, encoded = _body(request.body, kind)
    else:
        encoded = bool(request.body) and is_binary(kind, binary_types)
        text = base64.b64encode(request.body).decode() if encoded else request.body.decode("utf-8", "replace")
        body = text or None
    event: dict[str, Any] = {} if rest else {"version": "1.0"}
    # [R] An HTTP API's path begins with its stage, a REST API's does not.
    stage = "" if context.stage == "$default" else f"/{context.stage}"
    path = request.path.removeprefix(stage) or "/"
    return event | {
        "resource": resource,
        "path": path if rest else request.path,
        "httpMethod": request.method,
        "headers": dict(headers),
        "multiValueHeaders": _multi(headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _multi(query) or None,
        "pathParameters": path_parameters or None,
        "stageVariables": dict(context.variables) or None,
        "requestContext": {
            "accountId": context.account_id,
            "apiId": context.api_id,
            **({"authorizer": dict(context.granted)} if context.granted is not None and not context.identity else {}),
            "domainName": context.domain_name,
            "domainPrefix": context.domain_name.split(".", 1)[0],
            "extendedRequestId": request_id,
            "httpMethod": request.method,
            "identity": {
                **dict.fromkeys(_IDENTITY),
                "sourceIp": request.source_ip,
                "userAgent": names.get("user-agent"),
                **context.identity,
            },
            "path": request.path,
            "protocol": "HTTP/1.1",
            "requestId": request_id,
            "requestTime": request_time(now),
            "requestTimeEpoch": int(now * 1000),
            "resourceId": None,
            "resourcePath": resource,
            "stage": context.stage,
        },
        "body": body,
        "isBase64Encoded": encoded,
    }


def is_binary(content_type: str, binary_types: Iterable[str]) -> bool:
    """Tell whether a REST API takes a content type for binary; `*/*` and `image/*` are among what it can be told."""
    kind = content_type.split(";", 1)[0].strip().lower()
    return any(wanted == "*/*" or fnmatch.fnmatchcase(kind, wanted.lower()) for wanted in binary_types)


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
    return HttpResponse(status, [*_passed(given), *cookies, *headers], body)


def proxy_response(
    answer: Any, request_id: str, settings: Settings, accept: str, binary_types: Sequence[str] | None
) -> HttpResponse:
    """Return the HTTP answer to what a function returned in format 1.0. Raises InvalidAnswer.

    [D] A REST API makes bytes of base64 only where the first type of the request's Accept header is a binary one.
    """
    if not isinstance(answer, dict) or "statusCode" not in answer:
        raise InvalidAnswer("it has no statusCode")
    try:
        status = int(answer["statusCode"])
        given = [_header(name, value) for name, value in (answer.get("headers") or {}).items()]
        for name, values in (answer.get("multiValueHeaders") or {}).items():
            # [D] Of a name in both, the several values count.
            given = [entry for entry in given if entry[0] != name.lower() or entry[1] in map(str, values)]
            given += [header for header in (_header(name, value) for value in values) if header not in given]
        wanted = binary_types is None or is_binary(accept.split(",", 1)[0], binary_types)
        body = _answer_body({**answer, "isBase64Encoded": answer.get("isBase64Encoded") and wanted})
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidAnswer(str(error)) from None
    if not 100 <= status <= 599:
        raise InvalidAnswer(f"statusCode {status}")
    usual = settings.http_default_content_type if binary_types is None else settings.rest_default_content_type
    if not any(name == "content-type" for name, _ in given):
        given.append(("content-type", usual))
    own = "apigw-requestid" if binary_types is None else "x-amzn-requestid"
    return HttpResponse(status, [*_passed(given), (own, request_id)], body)


def error_response(status: int, message: str, error_type: str = "") -> HttpResponse:
    """Return an answer of the API's own; `error_type` is the header by which SDKs know it."""
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    headers = [("content-type", "application/json"), *([("x-amzn-errortype", error_type)] if error_type else [])]
    return HttpResponse(status, headers, body)


def _passed(headers: Headers) -> Headers:
    """Return the headers but for those that belong to one connection."""
    return [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP]


def _multi(pairs: Headers) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _forwarded(request: HttpRequest, trace_id: str) -> Headers:
    """Return the request's headers with the sender's case, and what the API adds to them."""
    headers = [(name, value) for name, value in request.headers if name.lower() not in ("connection", *_FORWARDED)]
    forwarded = [value for name, value in request.headers if name.lower() == "x-forwarded-for"]
    return [
        *((_capitals(name), value) for name, value in headers),
        ("X-Amzn-Trace-Id", trace_id),
        ("X-Forwarded-For", ", ".join([*forwarded, request.source_ip])),
        ("X-Forwarded-Port", str(request.port)),
        ("X-Forwarded-Proto", request.scheme),
    ]


def _capitals(name: str) -> str:
    # [R] What the service knows has its usual case, however it was sent; the server here has lowered all.
    return _USUAL.get(name.lower(), name)


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
