"""Lambda authorizers of HTTP and REST APIs: what they are asked, and what their answers allow.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.functions.runtime_api import Submit
from gateway.settings import Settings
from gateway.template.specs import HttpAuthorizerSpec
from gateway.websocket.authorizers import UNAUTHORIZED, NotAuthorized, allows, context_values, identity

_SOURCE = re.compile(r"\$request\.|method\.request\.")
Event = dict[str, Any]


class Authorizers:
    """The authorizers of one API, with the answers that still count. `rest` tells which kind of API it is."""

    def __init__(self, submit: Submit, settings: Settings, clock: Clock, *, rest: bool) -> None:
        self._submit = submit
        self._settings = settings
        self._clock = clock
        self._rest = rest
        self._answers: dict[tuple[str, ...], tuple[float, Any]] = {}

    async def authorize(self, spec: HttpAuthorizerSpec, event: Event, resource: str, cause: str) -> Mapping[str, Any]:
        """Return what an authorizer says of a request that may go on, whose event in its format is `event`.

        `resource` is the ARN of what is asked for. Raises NotAuthorized.
        """
        values = [identity_of(source, event) for source in spec.sources]
        if not all(values):
            raise NotAuthorized(401, UNAUTHORIZED)
        asked = _question(spec, event, values, resource)
        answer = await self._answer(spec, values, asked, cause)
        try:
            return self._granted(spec, answer, resource)
        except ValueError as error:
            raise self._failed(f"{spec.name}: {error}") from None

    async def _answer(self, spec: HttpAuthorizerSpec, values: list[str], asked: Event, cause: str) -> Any:
        key, now = (spec.name, *values), self._clock.monotonic()
        until, answer = self._answers.get(key, (0.0, None))
        if until > now:
            return answer
        payload = json.dumps(asked, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        try:
            async with self._clock.timeout(self._settings.authorizer_timeout):
                answer = json.loads(await self._submit(spec.function, payload, cause))
        except FunctionFailed as error:
            if error.message == UNAUTHORIZED:
                raise NotAuthorized(401, UNAUTHORIZED) from None
            raise self._failed("") from None
        except TimeoutError:
            raise self._failed(f"{spec.name}: no answer in {self._settings.authorizer_timeout:g} s") from None
        except ValueError as error:
            raise self._failed(f"{spec.name}: {error}") from None
        # [D] Nothing is kept where nothing tells who asks.
        if spec.ttl and values:
            self._answers = {key: kept for key, kept in self._answers.items() if kept[0] > now}
            self._answers[key] = (now + spec.ttl, answer)
        return answer

    def _granted(self, spec: HttpAuthorizerSpec, answer: Any, resource: str) -> Mapping[str, Any]:
        """Return what an answer says. Raises NotAuthorized, and ValueError for what is no answer."""
        if spec.simple:
            if not isinstance(answer, dict) or not isinstance(answer.get("isAuthorized"), bool):
                raise ValueError("the authorizer's answer has no isAuthorized")
            allowed = answer["isAuthorized"]
        else:
            allowed = allows(answer, resource)
        if not allowed:
            raise NotAuthorized(403, self._settings.denied_message if self._rest else "Forbidden")
        if self._rest:
            return context_values(answer)
        # [D] An HTTP API passes on what it got, lists and objects as well.
        context = answer.get("context") or {}
        return context if spec.format == "2.0" else {**context, "principalId": answer.get("principalId")}

    def _failed(self, cause: str) -> NotAuthorized:
        message = self._settings.authorizer_failed_message if self._rest else "Internal Server Error"
        return NotAuthorized(500, message, cause)


def identity_of(source: str, event: Event) -> str:
    """Return the value of an identity source such as `$request.header.Auth` or `method.request.header.Auth`."""
    named = {**event, "queryStringParameters": event.get("queryStringParameters") or {}}
    named["stageVariables"] = event.get("stageVariables") or {}
    return identity(_SOURCE.sub("route.request.", source), named)


def _question(spec: HttpAuthorizerSpec, event: Event, values: list[str], resource: str) -> Event:
    """Return the event of the authorizer itself."""
    if spec.format == "token":
        return {"type": "TOKEN", "methodArn": resource, "authorizationToken": values[0]}
    asked = {name: value for name, value in event.items() if name not in ("body", "isBase64Encoded")}
    if spec.format == "2.0":
        return {**asked, "type": "REQUEST", "routeArn": resource, "identitySource": values or None}
    if "version" in event:
        joined = ",".join(values)
        return {**asked, "type": "REQUEST", "methodArn": resource, "identitySource": joined} | {
            "authorizationToken": joined
        }
    return {**asked, "type": "REQUEST", "methodArn": resource}
