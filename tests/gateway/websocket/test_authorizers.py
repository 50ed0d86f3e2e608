"""Lambda authorizers, and what else stands before `$connect`: signatures, API keys, throttling, models."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.sigv4 import Signatures
from gateway.template.specs import AuthorizerSpec, StageThrottles, Throttle, WebSocketRoute
from gateway.websocket.api import Accepted, Refused
from gateway.websocket.authorizers import InvalidPolicy, allows, context_values, identity
from gateway.websocket.connections import ManagementError
from gateway.websocket.targets import FunctionTarget
from tests.gateway.websocket.cores import SETTINGS, Functions, api, connected, until, upgrade

pytestmark = pytest.mark.anyio
RESOURCE = "arn:aws:execute-api:us-east-1:123456789012:abcd/live/$connect"


def policy(effect: str = "Allow", resource: Any = RESOURCE, action: Any = "execute-api:Invoke") -> dict[str, Any]:
    statement = {"Effect": effect, "Action": action, "Resource": resource}
    return {"principalId": "me", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def guarded(*sources: str, **fields: Any) -> dict[str, WebSocketRoute]:
    """Return routes of which `$connect` has an authorizer, or whatever `fields` say."""
    fields = fields or {"authorizer": AuthorizerSpec("Guard", "guard", sources)}
    keys = ("$default", "$disconnect")
    routes = {key: WebSocketRoute(key, FunctionTarget(key.strip("$")), responds=True) for key in keys}
    return {"$connect": WebSocketRoute("$connect", FunctionTarget("connect"), **fields), **routes}


async def refused(functions: Functions, routes: dict[str, WebSocketRoute], **changes: Any) -> Refused:
    result = await api(functions, routes=routes).connect(upgrade(**changes))
    assert isinstance(result, Refused)
    return result


# ---- what it is asked


async def test_the_authorizers_event() -> None:
    functions = Functions(guard=policy())
    headers = [("Host", "host"), ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("HeaderAuth1", "one")]
    made = api(functions, routes=guarded("route.request.header.headerauth1"), stages={"live": {"a": "b"}})
    assert isinstance(await made.connect(upgrade(headers=headers, query="q=1&q=2")), Accepted)
    asked, event = functions.events
    # The documentation's example has these fields, and the headers of the upgrade itself.
    assert set(asked) == {
        "type",
        "methodArn",
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "stageVariables",
        "requestContext",
    }
    assert (asked["type"], asked["methodArn"]) == ("REQUEST", RESOURCE)
    assert list(asked["headers"]) == [
        "Connection",
        "content-length",
        "HeaderAuth1",
        "Host",
        "Upgrade",
        "X-Amzn-Trace-Id",
        "X-Forwarded-For",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
    ]
    assert (asked["headers"]["Connection"], asked["headers"]["Upgrade"]) == ("upgrade", "websocket")
    assert asked["multiValueHeaders"]["content-length"] == ["0"]
    assert asked["queryStringParameters"] == {"q": "2"}
    assert asked["multiValueQueryStringParameters"] == {"q": ["1", "2"]}
    assert asked["stageVariables"] == {"a": "b"}
    context = asked["requestContext"]
    assert (context["routeKey"], context["eventType"], context["stage"]) == ("$connect", "CONNECT", "live")
    # The connection and the request are the ones of $connect.
    assert "authorizer" not in context
    for name in ("connectionId", "requestId", "connectedAt"):
        assert context[name] == event["requestContext"][name]
    assert "Connection" not in event["headers"]


async def test_an_event_without_a_query_or_variables_has_the_fields_all_the_same() -> None:
    functions = Functions(guard=policy())
    await connected(api(functions, routes=guarded()))
    asked = functions.events[0]
    assert asked["queryStringParameters"] == asked["multiValueQueryStringParameters"] == asked["stageVariables"] == {}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("route.request.header.Auth", "h"),
        ("route.request.header.AUTH", "h"),
        ("route.request.querystring.auth", "q"),
        ("route.request.querystring.Auth", ""),
        ("context.identity.sourceIp", "192.0.2.1"),
        ("context.nothing", ""),
        ("stageVariables.name", "v"),
        ("$request.header.auth", ""),
        ("route.request.body.auth", ""),
    ],
)
def test_identity_sources(source: str, value: str) -> None:
    event = {
        "headers": {"auth": "h"},
        "queryStringParameters": {"auth": "q"},
        "stageVariables": {"name": "v"},
        "requestContext": {"identity": {"sourceIp": "192.0.2.1"}},
    }
    assert identity(source, event) == value


async def test_a_missing_identity_source_is_401_and_nobody_is_asked() -> None:
    functions = Functions(guard=policy())
    routes = guarded("route.request.header.Auth", "route.request.querystring.auth")
    for query in ("", "auth="):
        result = await refused(functions, routes, headers=[("Auth", "x")], query=query)
        assert (result.status, result.body) == (401, '{"message":"Unauthorized"}')
    assert functions.events == []


# ---- what it answers


@pytest.mark.parametrize(
    ("resource", "action", "allowed"),
    [
        (RESOURCE, "execute-api:Invoke", True),
        ("*", "*", True),
        (["arn:other", RESOURCE], ["execute-api:*"], True),
        ("arn:aws:execute-api:us-east-1:123456789012:abcd/*", "execute-api:invoke", True),
        ("arn:aws:execute-api:*:*:????/live/$connect", "execute-api:I*", True),
        ("arn:aws:execute-api:us-east-1:123456789012:abcd/live/$default", "execute-api:Invoke", False),
        ("arn:aws:execute-api:us-east-1:123456789012:abcd/other/$connect", "execute-api:Invoke", False),
        ("arn:aws:execute-api:us-east-1:123456789012:abcd/LIVE/*", "execute-api:Invoke", False),
        ("arn:aws:execute-api:us-east-1:123456789012:abcd/live/.connect", "execute-api:Invoke", False),
        (RESOURCE, "execute-api:ManageConnections", False),
        (RESOURCE, "s3:GetObject", False),
    ],
)
def test_policies(resource: Any, action: Any, allowed: bool) -> None:
    assert allows(policy("Allow", resource, action), RESOURCE) is allowed
    assert allows(policy("Deny", resource, action), RESOURCE) is False


def test_a_denial_outweighs() -> None:
    answer = policy()
    answer["policyDocument"]["Statement"].append({"Effect": "Deny", "Action": "*", "Resource": "*/$connect"})
    assert not allows(answer, RESOURCE)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        {"policyDocument": policy()["policyDocument"]},
        {"principalId": "me"},
        {"principalId": "me", "policyDocument": {"Statement": "Allow"}},
        {"principalId": "me", "policyDocument": {"Statement": ["Allow"]}},
        policy("allow"),
        policy(resource=[]),
        policy(action=None),
        {
            "principalId": "me",
            "policyDocument": {"Statement": {**policy()["policyDocument"]["Statement"][0], "Condition": {}}},
        },
    ],
)
async def test_what_is_no_policy_is_a_500_and_a_note(answer: Any) -> None:
    with pytest.raises(InvalidPolicy):
        allows(answer, RESOURCE)
    functions = Functions(guard=answer)
    result = await refused(functions, guarded())
    assert (result.status, result.body) == (500, '{"message":"Internal server error"}')
    assert functions.notes[0].startswith("Guard: ")
    assert len(functions.events) == 1


async def test_who_is_not_allowed_gets_403() -> None:
    functions = Functions()
    for answer in (policy("Deny"), policy(resource=RESOURCE.replace("$connect", "$default"))):
        functions.answers["guard"] = answer
        result = await refused(functions, guarded())
        assert (result.status, result.body) == (403, '{"message":"User is not authorized to access this resource"}')
    assert [event["type"] for event in functions.events] == ["REQUEST", "REQUEST"]


async def test_an_authorizer_that_raises_unauthorized_is_401_and_any_other_error_500() -> None:
    result = await refused(Functions(guard=FunctionFailed("Exception", "Unauthorized")), guarded())
    assert (result.status, result.body, result.error_type) == (
        401,
        '{"message":"Unauthorized"}',
        "UnauthorizedException",
    )
    for message in ("unauthorized", "boom"):
        result = await refused(Functions(guard=FunctionFailed("Exception", message)), guarded())
        assert result.status == 500


async def test_an_authorizer_has_a_time_limit_of_its_own() -> None:
    functions = Functions(guard=...)
    made = api(functions, replace(SETTINGS, authorizer_timeout=0.01), routes=guarded())
    result = await made.connect(upgrade())
    assert isinstance(result, Refused)
    assert result.status == 500
    assert functions.notes == ["Guard: no answer in 0.01 s"]


# ---- what comes of it


async def test_its_context_is_on_every_later_event_as_text() -> None:
    context = {"text": "a", "number": 1, "part": 1.5, "truth": True, "nothing": None}
    functions = Functions(guard={**policy(), "context": context})
    made = api(functions, routes=guarded())
    connection, _ = await connected(made)
    made.receive(connection, "x")
    await until(lambda: len(functions.events) == 3)
    made.closed(connection, 1001, "")
    await until(lambda: len(functions.events) == 4)
    for event in functions.events[1:]:
        authorizer = dict(event["requestContext"]["authorizer"])
        assert isinstance(authorizer.pop("integrationLatency"), int)
        assert authorizer == {"text": "a", "number": "1", "part": "1.5", "truth": "true", "principalId": "me"}
    # Once for a connection, and never again.
    assert [event.get("type") for event in functions.events] == ["REQUEST", None, None, None]


@pytest.mark.parametrize("context", [["a"], {"a": {"b": 1}}, {"a": [1]}])
def test_a_context_of_objects_is_none(context: Any) -> None:
    with pytest.raises(InvalidPolicy):
        context_values({**policy(), "context": context})


# ---- signatures


async def test_connect_with_iam_needs_a_signature() -> None:
    functions = Functions()
    signatures = Signatures({"local": "local"}.get, SETTINGS, Clock().now)
    made = api(functions, signatures=signatures, routes=guarded(iam=True))
    result = await made.connect(upgrade(path="/live"))
    assert isinstance(result, Refused)
    assert (result.status, result.body) == (403, '{"message":"Missing Authentication Token"}')
    assert result.error_type == "MissingAuthenticationTokenException"
    assert functions.events == []
    assert "sign" in functions.notes[0]
    # Switched off, nobody has to sign.
    assert isinstance(await api(functions, routes=guarded(iam=True)).connect(upgrade()), Accepted)


async def test_a_signed_caller_is_named() -> None:
    functions = Functions()
    signatures = Signatures({"local": "local"}.get, SETTINGS, Clock().now)
    request = AWSRequest("GET", "http://host/live")
    SigV4QueryAuth(Credentials("local", "local"), "execute-api", "us-east-1", expires=60).add_auth(request)
    query = urlsplit(str(request.url)).query
    await connected(api(functions, signatures=signatures, routes=guarded(iam=True)), path="/live", query=query)
    assert functions.events[0]["requestContext"]["identity"] == {
        "accountId": "123456789012",
        "caller": "local",
        "user": "local",
        "userArn": "arn:aws:iam::123456789012:user/local",
        "sourceIp": "192.0.2.1",
    }


# ---- API keys


async def test_a_key_is_asked_for_in_a_header() -> None:
    functions = Functions()
    keys: dict[str, Any] = {"routes": guarded(key_required=True), "api_keys": {"live": {"secret": "id"}}}
    for headers in ([], [("x-api-key", "wrong")], [("x-api-key", "")]):
        result = await api(functions, **keys).connect(upgrade(headers=headers))
        assert result == Refused(403, '{"message":"Forbidden"}', "ForbiddenException")
    elsewhere = {**keys, "api_keys": {"other": {"secret": "id"}}}
    assert isinstance(await api(functions, **elsewhere).connect(upgrade(headers=[("x-api-key", "secret")])), Refused)
    assert functions.events == []
    await connected(api(functions, **keys), headers=[("X-Api-Key", "secret")])
    identity = functions.events[0]["requestContext"]["identity"]
    assert (identity["apiKey"], identity["apiKeyId"]) == ("secret", "id")


async def test_an_authorizer_may_name_the_key() -> None:
    functions = Functions(guard={**policy(), "usageIdentifierKey": "secret"})
    routes = guarded(authorizer=AuthorizerSpec("Guard", "guard"), key_required=True)
    made = api(
        functions,
        routes=routes,
        key_selection="$context.authorizer.usageIdentifierKey",
        api_keys={"live": {"secret": "id"}},
    )
    assert isinstance(await made.connect(upgrade()), Accepted)
    functions.answers["guard"] = policy()
    assert isinstance(await made.connect(upgrade(headers=[("x-api-key", "secret")])), Refused)


# ---- throttling


async def test_connections_over_the_accounts_rate_get_429() -> None:
    functions, clock = Functions(), Clock()
    made = api(functions, replace(SETTINGS, connection_burst=2, connection_rate=1), clock)
    for _ in range(2):
        await connected(made)
    result = await made.connect(upgrade())
    assert result == Refused(429, '{"message":"Too Many Requests"}', "TooManyRequestsException")
    assert len(functions.events) == 2
    await clock.turn(1)
    await connected(made)
    assert isinstance(await made.connect(upgrade()), Refused)


async def test_a_stages_routes_have_limits_of_their_own() -> None:
    functions, clock = Functions(default={"body": "taken"}), Clock()
    throttles = {"live": StageThrottles(Throttle(2, 0.001), {"$connect": Throttle(3)})}
    made = api(functions, clock=clock, throttles=throttles)
    connection, channel = await connected(made)
    for _ in range(3):
        made.receive(connection, "x")
    answers = sorted([await channel.next() for _ in range(3)])
    start = f'{{"message": "Too Many Requests", "connectionId":"{connection.id}", "requestId":"'
    assert answers[:2] == ["taken", "taken"]
    assert answers[2].startswith(start)
    # The route's own size, and the rate that all have: two more connect.
    for _ in range(2):
        await connected(made)
    result = await made.connect(upgrade())
    assert isinstance(result, Refused)
    assert result.status == 429
    await clock.turn(1001)
    assert isinstance(await made.connect(upgrade()), Accepted)


async def test_posts_and_messages_share_the_accounts_bucket() -> None:
    clock = Clock()
    made = api(Functions(), replace(SETTINGS, account_burst=4, account_rate=1), clock)
    connection, channel = await connected(made)
    made.receive(connection, "x")
    await asyncio.sleep(0)
    made.post("live", connection.id, b"one")
    made.get("live", connection.id)
    calls: list[Callable[[], Any]] = [
        lambda: made.post("live", connection.id, b"two"),
        lambda: made.delete("live", connection.id),
    ]
    for call in calls:
        with pytest.raises(ManagementError) as error:
            call()
        assert (error.value.status, error.value.error_type) == (429, "LimitExceededException")
    assert channel.sent == ["one"]
    assert channel.ended is None
    await clock.turn(1)
    made.delete("live", connection.id)


# ---- models

SCHEMA = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "maxLength": 3}},
}


async def test_a_message_that_its_model_refuses_is_an_error_frame() -> None:
    functions = Functions(default={"body": "taken"})
    route = WebSocketRoute("$default", FunctionTarget("default"), True, None, None, False, False, "$request.body.kind")
    models: dict[str, Any] = {"short": SCHEMA, "$default": {"type": "object"}}
    made = api(functions, routes={"$default": replace(route, models=models)})
    connection, channel = await connected(made)
    for text, taken in [
        ('{"kind":"short","text":"abc"}', True),
        ('{"kind":"short","text":"abcd"}', False),
        ('{"kind":"short"}', False),
        ('{"kind":"other"}', True),
        ("{}", True),
        ("[]", False),
        ("no json", False),
    ]:
        made.receive(connection, text)
        answer = await channel.next()
        start = f'{{"message": "Bad request body", "connectionId":"{connection.id}", "messageId":"'
        assert answer == "taken" if taken else answer.startswith(start), text
    assert len(functions.events) == 3


async def test_without_a_model_for_it_a_message_is_refused() -> None:
    route = WebSocketRoute("$default", FunctionTarget("default"), model_selection="$request.body.kind")
    made = api(Functions(), routes={"$default": replace(route, models={"short": SCHEMA})})
    connection, channel = await connected(made)
    made.receive(connection, '{"kind":"long","text":"a"}')
    assert (await channel.next()).startswith('{"message": "Bad request body"')
