"""What the routes of a WebSocket API reach: a function, or a queue without any code between."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.functions.failures import NOT_RUN, FunctionFailed
from gateway.functions.runtime_api import Submit
from gateway.settings import Settings
from gateway.websocket.mapping import MappingError, Scope, Template
from gateway.websocket.selection import selected_key
from gateway.websocket.sender import Arguments, SendFailed
from gateway.websocket.sqs_form import FormError, send_arguments

Event = dict[str, Any]

FAILED = "Internal server error"


class IntegrationFailed(Exception):
    """There is no answer. `status` is what an upgrade gets for it, `message` what the error frame says."""

    def __init__(self, status: int, message: str = FAILED) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Services:
    """What targets call.

    `submit` invokes a function. `send(queue, lane, arguments)` sends a message to the queue of that name, in order with
    those of the same lane, with SendMessage's arguments, or raises SendFailed. `note` tells the person at the terminal
    what no function's log will say.
    """

    submit: Submit
    send: Callable[[str, str, Arguments], asyncio.Future[None]]
    note: Callable[[str], None]


class Target(Protocol):
    """What a route reaches."""

    async def call(self, event: Event, services: Services) -> Any:
        """Return an answer as a function's. Raises IntegrationFailed.

        Nothing is awaited before the call is made: calls go out in the order in which they are begun.
        """


@dataclass(frozen=True, slots=True)
class FunctionTarget:
    """A Lambda proxy integration: `function` is a logical id."""

    function: str

    async def call(self, event: Event, services: Services) -> Any:
        """Return the function's answer. Raises IntegrationFailed."""
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        try:
            return json.loads(await services.submit(self.function, payload, event["requestContext"]["requestId"]))
        except FunctionFailed as error:
            # [R] 500 where there is no function to invoke, 502 where it fails.
            raise IntegrationFailed(500 if error.error_type == NOT_RUN else 502) from None
        except ValueError:
            raise IntegrationFailed(502) from None


@dataclass(frozen=True, slots=True)
class StagedTarget:
    """What an integration reaches whose URI has stage variables in it: another target for each stage."""

    stages: Mapping[str, Target]

    async def call(self, event: Event, services: Services) -> Any:
        """Call the stage's own target. Raises IntegrationFailed."""
        return await self.stages[event["requestContext"]["stage"]].call(event, services)


@dataclass(frozen=True, slots=True)
class RequestTemplates:
    """What makes an integration's request of an event.

    `selection` chooses among the `templates`. Where it finds none, the body is the request, unless `mapped_only`.
    """

    selection: str
    templates: Mapping[str, Template]
    mapped_only: bool
    settings: Settings

    def render(self, event: Event) -> str:
        """Return the request's body. Raises MappingError, and IntegrationFailed where no template takes it."""
        body = str(event.get("body", ""))
        # [D] The template called `$default` takes what no other does.
        template = self.templates.get(selected_key(self.selection, body) or "", self.templates.get("$default"))
        if template is not None:
            return template.render(scope(event, body, self.settings))
        if self.mapped_only:
            raise IntegrationFailed(415, self.settings.unmapped_message)
        return body


def scope(event: Event, body: str, settings: Settings) -> Scope:
    """Return what the templates of an event's integration see; `body` is the request's, or the answer's."""
    parameters = {**event.get("headers", {}), **event.get("queryStringParameters", {})}
    return Scope(event["requestContext"], event.get("stageVariables", {}), body, settings.json_missing, parameters)


@dataclass(frozen=True, slots=True)
class QueueTarget:
    """A service integration with SQS: `queue` is a name, empty where the request's QueueUrl says it."""

    logical_id: str
    queue: str
    requests: RequestTemplates
    action: str
    settings: Settings

    async def call(self, event: Event, services: Services) -> Any:
        """Return what a route takes for a silent success. Raises IntegrationFailed."""
        try:
            arguments = send_arguments(self.requests.render(event), self.action)
            address = arguments.pop("QueueUrl", "")
            queue = self.queue or address.rsplit("/", 1)[-1]
            await services.send(queue, event["requestContext"]["connectionId"], arguments)
        except (MappingError, FormError, SendFailed) as error:
            services.note(f"{self.logical_id}: {error}")
            raise IntegrationFailed(self.settings.failed_send_status) from None
        return {"statusCode": 200}
