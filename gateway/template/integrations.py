"""Integrations of WebSocket routes: from a resource's properties to the target that is called."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.errors import TemplateError
from gateway.template.stack import Stack
from gateway.websocket.backends import Backend, HttpEndpoint, MappedFunction, MappedTarget, Mock, Response
from gateway.websocket.mapping import MappingError, Template
from gateway.websocket.service_calls import PREFIXES, ServiceAction
from gateway.websocket.targets import FunctionTarget, QueueTarget, RequestTemplates, StagedTarget, Target

_FORM = "application/x-www-form-urlencoded"
# [R] Where nothing selects a template, a message counts as JSON; [I] an answer does, too.
_UNSAID = "application/json"
_CONTENT_TYPE = "integration.request.header.Content-Type"
_TARGET = "integration.request.header.X-Amz-Target"
_PARAMETER = re.compile(r"integration\.request\.(header|querystring|path)\..+")
_STAGE_VARIABLE = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")
_SERVICE = re.compile(r"arn:[^:]+:apigateway:[^:]+:(?P<service>[^:]+):(?P<kind>path|action)/(?P<rest>.*)")


class Unsupported(Exception):
    """An integration that is not run here; one line says which kind."""


def target_of(stack: Stack, name: str, stages: Mapping[str, Mapping[str, str]]) -> Target:
    """Return what the integration of this logical id reaches; `stages` are the API's, with their variables.

    Raises Unsupported, and TemplateError.
    """
    uri = str(stack.property(name, "IntegrationUri", ""))
    if not _STAGE_VARIABLE.search(uri):
        return _target(stack, name, uri)

    def named(stage: str) -> Target:
        return _target(stack, name, _STAGE_VARIABLE.sub(lambda found: stages[stage].get(found[1], ""), uri))

    return StagedTarget({stage: named(stage) for stage in stages})


def _target(stack: Stack, name: str, uri: str) -> Target:
    kind = stack.property(name, "IntegrationType")
    if kind == "AWS_PROXY" and not stack.property(name, "IntegrationSubtype"):
        return FunctionTarget(function_of(stack, name, uri))
    found = _SERVICE.fullmatch(uri)
    if kind == "AWS" and found is not None and found["service"] in PREFIXES:
        return _mapped_target(stack, name, _service_action(stack, name, found))
    if kind == "AWS" and ":lambda:path/" not in uri:
        return _queue_target(stack, name, uri)
    if kind == "AWS":
        return _mapped_target(stack, name, MappedFunction(function_of(stack, name, uri)))
    if kind == "MOCK":
        return _mapped_target(stack, name, Mock())
    if kind in ("HTTP", "HTTP_PROXY"):
        return _mapped_target(stack, name, _endpoint(stack, name, uri), proxy=kind == "HTTP_PROXY")
    raise Unsupported(f"{kind} integration")


def _mapped_target(stack: Stack, name: str, backend: Backend, *, proxy: bool = False) -> MappedTarget:
    responses = {
        str(stack.property(response, "IntegrationResponseKey")): Response(
            str(stack.property(response, "TemplateSelectionExpression", _UNSAID)),
            _templates(stack, response, "ResponseTemplates"),
        )
        for response in responses_of(stack, name)
    }
    return MappedTarget(name, backend, _requests(stack, name), None if proxy else responses, stack.settings)


def responses_of(stack: Stack, integration: str) -> list[str]:
    """Return the logical ids of an integration's responses."""
    names = stack.of_type("AWS::ApiGatewayV2::IntegrationResponse")
    return [name for name in names if stack.property(name, "IntegrationId") == integration]


def _endpoint(stack: Stack, name: str, uri: str) -> HttpEndpoint:
    if stack.property(name, "ConnectionType", "INTERNET") != "INTERNET":
        raise Unsupported("integration by a VPC link")
    parameters: dict[str, Any] = stack.property(name, "RequestParameters") or {}
    for parameter in parameters:
        if not _PARAMETER.fullmatch(parameter):
            raise Unsupported(f"request parameter {parameter} of an integration")
    mapped = {parameter: str(value) for parameter, value in parameters.items()}
    return HttpEndpoint(str(stack.property(name, "IntegrationMethod", "POST")).upper(), uri, mapped)


def _templates(stack: Stack, name: str, field: str) -> dict[str, Template]:
    try:
        written: dict[str, str] = stack.property(name, field) or {}
        return {key: Template(str(text)) for key, text in written.items()}
    except MappingError as error:
        raise Unsupported(str(error)) from None


def _requests(stack: Stack, name: str) -> RequestTemplates:
    templates = _templates(stack, name, "RequestTemplates")
    # [D] for REST APIs, [I] here: what is not said is WHEN_NO_MATCH.
    passthrough = stack.property(name, "PassthroughBehavior", "WHEN_NO_MATCH")
    return RequestTemplates(
        str(stack.property(name, "TemplateSelectionExpression", _UNSAID)),
        templates,
        passthrough == "NEVER" or (passthrough == "WHEN_NO_TEMPLATES" and bool(templates)),
        stack.settings,
    )


def function_of(stack: Stack, logical_id: str, uri: Any) -> str:
    """Return the logical id of the function that an integration's URI names.

    One outside of this template goes to `stack.unsupported`; its routes answer as where a function cannot be invoked.
    """
    try:
        return stack.function_named(uri)
    except TemplateError as error:
        stack.unsupported[logical_id] = f"{error}; what invokes it fails"
        return str(uri)


def _service_action(stack: Stack, name: str, found: re.Match[str]) -> ServiceAction:
    service, action = found["service"], found["rest"]
    if (method := stack.property(name, "IntegrationMethod")) != "POST":
        raise Unsupported(f"integration with {service} by {method}")
    if not stack.property(name, "CredentialsArn"):
        raise Unsupported(f"integration with {service} without CredentialsArn")
    prefix, _ = PREFIXES[service]
    parameters: dict[str, Any] = {**(stack.property(name, "RequestParameters") or {})}
    # JSON it is in any case.
    parameters.pop(_CONTENT_TYPE, None)
    target = str(parameters.pop(_TARGET, f"'{prefix}.{action}'"))
    if others := sorted(parameters):
        raise Unsupported(f"request parameter {others[0]} of an integration")
    # Below a path it is the target that names the action.
    named = target.strip("'").removeprefix(f"{prefix}.")
    if "." in named or not named.isalnum() or (found["kind"] == "path" and action.strip("/")):
        raise Unsupported(f"integration with {service} at {found['kind']}/{action}")
    return ServiceAction(service, named, stack.endpoint, stack.settings.region)


def _queue_target(stack: Stack, name: str, uri: str) -> QueueTarget:
    queue, action = _address(stack, uri)
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
    return QueueTarget(name, queue, _requests(stack, name), action, stack.settings)


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
