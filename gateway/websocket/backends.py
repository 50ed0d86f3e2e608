"""What routes reach that answer through templates: mocks, HTTP endpoints, functions that do not get the whole event.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integrations.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-responses.html
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from gateway.functions.failures import NOT_RUN, FunctionFailed
from gateway.http.events import HttpRequest
from gateway.http.proxy import Unreachable, forward
from gateway.settings import Settings
from gateway.template.specs import HttpProxy
from gateway.websocket.authorizers import identity
from gateway.websocket.mapping import MappingError, Template
from gateway.websocket.selection import response_values, selected_key
from gateway.websocket.targets import Event, IntegrationFailed, RequestTemplates, Services, scope

# [R] It is Lambda that answers: 200 for a function that failed as well.
_OF_LAMBDA = response_values(200, [("Content-Type", "application/json")])


@dataclass(frozen=True, slots=True)
class Answer:
    """What a backend says: `selected` is what the keys of integration responses are compared with.

    `values` are what their selection expressions see of it, see `selection.response_values`.
    """

    status: int
    body: str
    selected: str
    values: Mapping[str, str]


class Backend(Protocol):
    """What is asked."""

    async def ask(self, body: str, event: Event, services: Services) -> Answer:
        """Return the answer to a request's body. Raises IntegrationFailed, and MappingError."""


@dataclass(frozen=True, slots=True)
class Mock:
    """Nothing is asked: the request's template says the status."""

    async def ask(self, body: str, event: Event, services: Services) -> Answer:
        """Return the `statusCode` of the request. Raises IntegrationFailed."""
        try:
            status = int(json.loads(body)["statusCode"])
        except (ValueError, TypeError, KeyError):
            # [R] of REST APIs: a mock whose request names no status fails.
            raise IntegrationFailed(500) from None
        return Answer(status, body, str(status), response_values(status, ()))


@dataclass(frozen=True, slots=True)
class MappedFunction:
    """A function that gets what the request's template makes, by logical id."""

    function: str

    async def ask(self, body: str, event: Event, services: Services) -> Answer:
        """Return what the function returned, or the message of its error. Raises IntegrationFailed."""
        try:
            result = await services.submit(self.function, body.encode(), event["requestContext"]["requestId"])
        except FunctionFailed as error:
            if error.error_type == NOT_RUN:
                raise IntegrationFailed(500) from None
            told = json.dumps({"errorMessage": error.message, "errorType": error.error_type})
            return Answer(502, told, error.message, _OF_LAMBDA)
        return Answer(200, result.decode(), "", _OF_LAMBDA)


@dataclass(frozen=True, slots=True)
class HttpEndpoint:
    """An endpoint; `parameters` are an integration's RequestParameters. Of headers and query it gets only these."""

    method: str
    url: str
    parameters: Mapping[str, str]

    async def ask(self, body: str, event: Event, services: Services) -> Answer:
        """Return the endpoint's answer. Raises IntegrationFailed."""
        found: dict[str, dict[str, str]] = {
            "header": {"content-type": "application/json"},
            "querystring": {},
            "path": {},
        }
        for name, expression in self.parameters.items():
            place, _, field = name.removeprefix("integration.request.").partition(".")
            if value := _value(expression, event):
                found[place][field] = value
        context = event["requestContext"]
        method = "POST" if self.method == "ANY" else self.method
        query, headers = urlencode(found["querystring"]), list(found["header"].items())
        source = str(context["identity"]["sourceIp"])
        request = HttpRequest(method, "/", query, headers, body.encode("utf-8", "replace"), source, 80)
        try:
            response = await forward(HttpProxy(method, self.url), request, found["path"])
        except Unreachable as error:
            services.note(str(error))
            raise IntegrationFailed(502) from None
        values = response_values(response.status, response.headers)
        return Answer(response.status, response.body.decode("utf-8", "replace"), str(response.status), values)


@dataclass(frozen=True, slots=True)
class Response:
    """An integration response: its templates, and what chooses among them."""

    selection: str
    templates: Mapping[str, Template]


@dataclass(frozen=True, slots=True)
class MappedTarget:
    """An integration whose request and answer go through templates.

    `responses` are its integration responses by key, None for a proxy integration, whose answer goes on as it is.
    """

    logical_id: str
    backend: Backend
    requests: RequestTemplates
    responses: Mapping[str, Response] | None
    settings: Settings

    async def call(self, event: Event, services: Services) -> Any:
        """Return the answer in the form of a function's. Raises IntegrationFailed."""
        try:
            answer = await self.backend.ask(self.requests.render(event), event, services)
            body = answer.body if self.responses is None else self._mapped(answer, event)
        except MappingError as error:
            services.note(f"{self.logical_id}: {error}")
            raise IntegrationFailed(500) from None
        return {"statusCode": answer.status, "body": body}

    def _mapped(self, answer: Answer, event: Event) -> str:
        response = self._response(answer.selected)
        if response is None:
            # [I] A route that answers nobody needs no response. One that does has at least one, says the documentation.
            return answer.body
        key = selected_key(response.selection, str(event.get("body", "")), answer.values)
        template = response.templates.get(key or "", response.templates.get("$default"))
        return answer.body if template is None else template.render(scope(event, answer.body, self.settings))

    def _response(self, selected: str) -> Response | None:
        assert self.responses is not None
        for key, response in self.responses.items():
            if len(key) > 1 and key.startswith("/") and key.endswith("/") and re.fullmatch(key[1:-1], selected):
                return response
        return self.responses.get("$default")


def _value(expression: str, event: Event) -> str:
    """Return what a request parameter is mapped from: a value of the request, or a constant in single quotes."""
    if len(expression) > 1 and expression.startswith("'") and expression.endswith("'"):
        return expression[1:-1]
    if expression == "route.request.body":
        return str(event.get("body", ""))
    if expression.startswith("route.request.body."):
        return (
            selected_key(f"$request.body.{expression.removeprefix('route.request.body.')}", event.get("body", "")) or ""
        )
    return identity(expression, {"headers": {}, **event})
