"""Events that Lambda gets from a WebSocket API. Pure: values in, dictionaries out; absent fields are left out.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
"""

import functools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

Headers = list[tuple[str, str]]
# [R] the upgrade itself is not in the headers of $connect.
_HOP_BY_HOP = ("connection", "upgrade")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The request for a connection: `headers` with the client's casing, `port` and `scheme` as served.

    `query` and `path` are as the client wrote them.
    """

    stage: str
    headers: Headers
    query: str
    source_ip: str
    port: int
    scheme: str = "http"
    path: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What events of one connection share. `connected_at` in milliseconds since 1970.

    `authorizer` is what an authorizer has said, `identity` what is known of the caller beside address and user agent.
    """

    api_id: str
    stage: str
    domain_name: str
    connection_id: str
    connected_at: int
    source_ip: str
    user_agent: str | None
    stage_variables: Mapping[str, str]
    authorizer: Mapping[str, Any] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict)


def connect_event(context: Context, upgrade: Upgrade, request_id: str, trace_id: str, now: float) -> dict[str, Any]:
    """Return the event of `$connect`; `now` in seconds since 1970."""
    headers = _forwarded(upgrade, trace_id)
    event: dict[str, Any] = {"headers": dict(headers), "multiValueHeaders": _multi(headers)}
    query = parse_qsl(upgrade.query, keep_blank_values=True)
    if query:
        event["queryStringParameters"] = dict(query)
        event["multiValueQueryStringParameters"] = _multi(query)
    event["requestContext"] = _request_context(context, "$connect", "CONNECT", request_id, now)
    return _finished(event, context)


def authorizer_event(event: Mapping[str, Any], resource: str) -> dict[str, Any]:
    """Return the event of a Lambda authorizer for the `$connect` that `event` is for; `resource` is its ARN.

    [D] It has the headers of the upgrade itself, and each field even where there is nothing in it.
    """
    upgrade = {"Connection": ["upgrade"], "content-length": ["0"], "Upgrade": ["websocket"]}
    headers = dict(sorted({**event["multiValueHeaders"], **upgrade}.items(), key=lambda item: item[0].lower()))
    return {
        "type": "REQUEST",
        "methodArn": resource,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": event.get("queryStringParameters", {}),
        "multiValueQueryStringParameters": event.get("multiValueQueryStringParameters", {}),
        "stageVariables": event.get("stageVariables", {}),
        "requestContext": event["requestContext"],
    }


def message_event(
    context: Context, route_key: str, body: str, request_id: str, message_id: str, now: float
) -> dict[str, Any]:
    """Return the event of a message: it has neither headers nor query."""
    request_context = _request_context(context, route_key, "MESSAGE", request_id, now)
    request_context["messageId"] = message_id
    return _finished({"requestContext": request_context, "body": body}, context)


def disconnect_event(
    context: Context, host: str, code: int, reason: str, request_id: str, now: float
) -> dict[str, Any]:
    """Return the event of `$disconnect`; of the client only its address is left."""
    headers = [("Host", host), ("x-api-key", ""), ("X-Forwarded-For", ""), ("x-restapi", "")]
    request_context = _request_context(context, "$disconnect", "DISCONNECT", request_id, now)
    request_context["identity"] = {"sourceIp": context.source_ip}
    request_context["disconnectStatusCode"] = code
    request_context["disconnectReason"] = reason
    event = {"headers": dict(headers), "multiValueHeaders": _multi(headers), "requestContext": request_context}
    return _finished(event, context)


def request_time(now: float) -> str:
    """Return a time as API Gateway writes it: `09/Feb/2024:18:11:43 +0000`."""
    return _written(int(now))


@functools.lru_cache(maxsize=64)
def _written(now: int) -> str:
    moment = time.gmtime(now)
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[moment.tm_mon - 1]
    return f"{moment.tm_mday:02}/{month}/{moment.tm_year}:{time.strftime('%H:%M:%S', moment)} +0000"


def _request_context(context: Context, route_key: str, kind: str, request_id: str, now: float) -> dict[str, Any]:
    identity = {**context.identity, "sourceIp": context.source_ip}
    if context.user_agent is not None:
        identity = {"userAgent": context.user_agent, **identity}
    request_context = {
        "routeKey": route_key,
        "eventType": kind,
        "extendedRequestId": request_id,
        "requestTime": request_time(now),
        "messageDirection": "IN",
        "stage": context.stage,
        "connectedAt": context.connected_at,
        "requestTimeEpoch": int(now * 1000),
        "identity": identity,
        "requestId": request_id,
        "domainName": context.domain_name,
        "connectionId": context.connection_id,
        "apiId": context.api_id,
    }
    if context.authorizer:
        request_context["authorizer"] = dict(context.authorizer)
    return request_context


def _finished(event: dict[str, Any], context: Context) -> dict[str, Any]:
    if context.stage_variables:
        event["stageVariables"] = dict(context.stage_variables)
    event["isBase64Encoded"] = False
    return event


def _forwarded(upgrade: Upgrade, trace_id: str) -> Headers:
    """Return the headers as the Lambda sees them: without the hop's own, with what API Gateway adds."""
    added = {
        "X-Amzn-Trace-Id": trace_id,
        "X-Forwarded-For": upgrade.source_ip,
        "X-Forwarded-Port": str(upgrade.port),
        "X-Forwarded-Proto": upgrade.scheme,
    }
    forwarded = [value for name, value in upgrade.headers if name.lower() == "x-forwarded-for"]
    if forwarded:
        # A proxy in front has said whom it speaks for; API Gateway adds the address that it sees itself.
        added["X-Forwarded-For"] = ", ".join([*forwarded, upgrade.source_ip])
    replaced = (*_HOP_BY_HOP, *(name.lower() for name in added))
    kept = [(name, value) for name, value in upgrade.headers if name.lower() not in replaced]
    return [*kept, *added.items()]


def _multi(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for name, value in pairs:
        result.setdefault(name, []).append(value)
    return result
