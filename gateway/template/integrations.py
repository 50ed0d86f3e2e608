"""Integrations of WebSocket routes: from a resource's properties to the target that is called."""

import re
from typing import Any

from gateway.errors import TemplateError
from gateway.template.stack import Stack
from gateway.websocket.mapping import MappingError, Template
from gateway.websocket.targets import FunctionTarget, QueueTarget, Target

_FORM = "application/x-www-form-urlencoded"
_CONTENT_TYPE = "integration.request.header.Content-Type"
_SERVICE = re.compile(r"arn:[^:]+:apigateway:[^:]+:(?P<service>[^:]+):(?P<kind>path|action)/(?P<rest>.*)")


class Unsupported(Exception):
    """An integration that is not run here; one line says which kind."""


def target_of(stack: Stack, name: str) -> Target:
    """Return what the integration of this logical id reaches. Raises Unsupported, and TemplateError."""
    kind = stack.property(name, "IntegrationType")
    if kind == "AWS_PROXY" and not stack.property(name, "IntegrationSubtype"):
        return FunctionTarget(function_of(stack, name, stack.property(name, "IntegrationUri")))
    if kind == "AWS":
        return _queue_target(stack, name)
    raise Unsupported(f"{kind} integration")


def function_of(stack: Stack, logical_id: str, uri: Any) -> str:
    """Return the logical id of the function that an integration's URI names. Raises TemplateError."""
    try:
        return stack.function_named(uri)
    except TemplateError as error:
        raise TemplateError(f"{logical_id}: {error}") from None


def _queue_target(stack: Stack, name: str) -> QueueTarget:
    queue, action = _address(stack, str(stack.property(name, "IntegrationUri", "")))
    if (method := stack.property(name, "IntegrationMethod")) != "POST":
        raise Unsupported(f"integration with SQS by {method}")
    # Without a role the call would be made, and refused, in nobody's name.
    if not stack.property(name, "CredentialsArn"):
        raise Unsupported("integration with SQS without CredentialsArn")
    parameters: dict[str, Any] = stack.property(name, "RequestParameters") or {}
    # Anything else SQS takes for its JSON protocol, or for nothing that it knows.
    if parameters.get(_CONTENT_TYPE) != f"'{_FORM}'":
        raise Unsupported(f"integration with SQS whose Content-Type is not '{_FORM}'")
    if others := sorted(set(parameters) - {_CONTENT_TYPE}):
        raise Unsupported(f"request parameter {others[0]} of an integration")
    try:
        written: dict[str, str] = stack.property(name, "RequestTemplates") or {}
        templates = {key: Template(str(text)) for key, text in written.items()}
    except MappingError as error:
        raise Unsupported(str(error)) from None
    # [D] for REST APIs, [I] here: what is not said is WHEN_NO_MATCH, and the template of the key $default.
    passthrough = stack.property(name, "PassthroughBehavior", "WHEN_NO_MATCH")
    return QueueTarget(
        name,
        queue,
        str(stack.property(name, "TemplateSelectionExpression", "$default")),
        templates,
        passthrough == "NEVER" or (passthrough == "WHEN_NO_TEMPLATES" and bool(templates)),
        action,
        stack.settings,
    )


def _address(stack: Stack, uri: str) -> tuple[str, str]:
    """Return the queue's name and the action that an integration's URI says, each empty where the request says it."""
    found = _SERVICE.fullmatch(uri)
    if found is None or found["service"] != "sqs":
        raise Unsupported(f"integration with {found['service'] if found else uri or 'nothing'}")
    if found["kind"] == "action":
        if found["rest"] != "SendMessage":
            raise Unsupported(f"integration with SQS's {found['rest']}")
        return "", found["rest"]
    name = found["rest"].rpartition("/")[2]
    if name not in {stack.name(queue) for queue in stack.of_type("AWS::SQS::Queue")}:
        raise Unsupported(f"integration with a queue {name} outside this template")
    return name, ""
