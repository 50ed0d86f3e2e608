"""Lambda authorizers of `$connect`: what they are asked, and what their answers allow.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.functions.runtime_api import Submit
from gateway.settings import Settings
from gateway.template.specs import AuthorizerSpec
from gateway.websocket.events import authorizer_event

_SOURCE = re.compile(
    r"route\.request\.(?P<part>header|querystring)\.(?P<name>.+)|(?P<root>context|stageVariables)\.(?P<path>.+)"
)
_ACTION = "execute-api:Invoke"
UNAUTHORIZED = "Unauthorized"


class NotAuthorized(Exception):
    """The upgrade is refused with `status` and `message`; `cause` is what the person at the terminal should know."""

    def __init__(self, status: int, message: str, cause: str = "") -> None:
        super().__init__(cause or message)
        self.status = status
        self.message = message
        self.cause = cause


class InvalidPolicy(ValueError):
    """An authorizer's answer is none; one line says why."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What an authorizer that allows says: `values` for later events, and the API key that is the caller's, if any."""

    values: dict[str, Any]
    usage_key: str


async def authorize(
    authorizer: AuthorizerSpec, event: Mapping[str, Any], submit: Submit, settings: Settings, clock: Clock
) -> Grant:
    """Ask the authorizer whether the upgrade may go on to `$connect`, whose event is `event`. Raises NotAuthorized."""
    if any(not identity(source, event) for source in authorizer.sources):
        raise NotAuthorized(401, UNAUTHORIZED)
    context = event["requestContext"]
    resource = method_arn(context["apiId"], context["stage"], settings)
    payload = json.dumps(authorizer_event(event, resource), ensure_ascii=False, separators=(",", ":"))
    began = clock.monotonic()
    try:
        async with clock.timeout(settings.authorizer_timeout):
            answer = json.loads(
                await submit(authorizer.function, payload.encode("utf-8", "surrogatepass"), context["requestId"])
            )
        allowed = allows(answer, resource)
        values = context_values(answer)
    except FunctionFailed as error:
        if error.message == UNAUTHORIZED:
            raise NotAuthorized(401, UNAUTHORIZED) from None
        raise NotAuthorized(500, settings.authorizer_failed_message) from None
    except TimeoutError:
        cause = f"{authorizer.logical_id}: no answer in {settings.authorizer_timeout:g} s"
        raise NotAuthorized(500, settings.authorizer_failed_message, cause) from None
    except ValueError as error:
        raise NotAuthorized(500, settings.authorizer_failed_message, f"{authorizer.logical_id}: {error}") from None
    if not allowed:
        raise NotAuthorized(403, settings.denied_message)
    latency = round((clock.monotonic() - began) * 1000)
    return Grant({**values, "integrationLatency": latency}, str(answer.get("usageIdentifierKey") or ""))


def method_arn(api_id: str, stage: str, settings: Settings) -> str:
    """Return what an authorizer's policy has to allow."""
    account = f"{settings.region}:{settings.account_id}"
    return f"arn:{settings.partition}:execute-api:{account}:{api_id}/{stage}/$connect"


def identity(source: str, event: Mapping[str, Any]) -> str:
    """Return the value of an identity source such as `route.request.header.Auth`, empty where there is none.

    `event` is the one of `$connect`. Names of headers are compared without case, those of query fields with it.
    """
    found = _SOURCE.fullmatch(source.strip().removeprefix("$"))
    if found is None:
        return ""
    if found["part"] == "header":
        wanted = found["name"].lower()
        return next((value for name, value in event["headers"].items() if name.lower() == wanted), "")
    if found["part"] == "querystring":
        return str(event.get("queryStringParameters", {}).get(found["name"], ""))
    value: Any = event["requestContext"] if found["root"] == "context" else event.get("stageVariables", {})
    for name in found["path"].split("."):
        value = value.get(name, "") if isinstance(value, Mapping) else ""
    return str(value)


def allows(answer: Any, resource: str) -> bool:
    """Tell whether an authorizer's answer allows invoking `resource`. Raises InvalidPolicy.

    A statement that denies it outweighs all that allow it.
    """
    principal = answer.get("principalId") if isinstance(answer, dict) else None
    if not isinstance(principal, str):
        raise InvalidPolicy("the authorizer's answer has no principalId")
    document = answer.get("policyDocument")
    statements = document.get("Statement") if isinstance(document, dict) else None
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list):
        raise InvalidPolicy("the authorizer's answer has no policyDocument with a Statement")
    effects = {_effect(statement) for statement in statements if _concerns(statement, resource)}
    return "Allow" in effects and "Deny" not in effects


def context_values(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the principal and the context of an answer, each value as text. Raises InvalidPolicy for other values."""
    context = answer.get("context") or {}
    if not isinstance(context, dict):
        raise InvalidPolicy("the authorizer's context is no object")
    values = {name: _text(name, value) for name, value in context.items() if value is not None}
    return {**values, "principalId": answer["principalId"]}


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise InvalidPolicy(f"the authorizer's context has under {name} neither text, number nor boolean")
    return str(value)


def _effect(statement: Mapping[str, Any]) -> str:
    effect = statement.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise InvalidPolicy(f"a statement of the authorizer's policy has the Effect {effect!r}")
    return str(effect)


def _concerns(statement: Any, resource: str) -> bool:
    if not isinstance(statement, dict):
        raise InvalidPolicy("a statement of the authorizer's policy is no object")
    if others := sorted(set(statement) - {"Sid", "Effect", "Action", "Resource"}):
        raise InvalidPolicy(f"a statement's {others[0]} is not evaluated here; leave it out of the authorizer's policy")
    actions, resources = _list(statement, "Action"), _list(statement, "Resource")
    # [D] of IAM: names of actions know no case, resources do.
    return _any_matches((action.lower() for action in actions), _ACTION.lower()) and _any_matches(resources, resource)


def _list(statement: Mapping[str, Any], name: str) -> list[str]:
    value = statement.get(name)
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(item, str) for item in values):
        raise InvalidPolicy(f"a statement of the authorizer's policy has no {name}")
    return values


def _any_matches(patterns: Iterable[str], text: str) -> bool:
    """Tell whether a pattern fits: `*` stands for any text, `?` for one character."""
    return any(
        re.fullmatch("".join({"*": ".*", "?": "."}.get(char) or re.escape(char) for char in pattern), text, re.DOTALL)
        for pattern in patterns
    )
