"""The WebSocket APIs of a stack: their routes, integrations and stages."""

from collections.abc import Iterator, Mapping

from gateway.errors import TemplateError
from gateway.template.access import api_keys, route_access, stage_throttles
from gateway.template.integrations import Unsupported, responses_of, target_of
from gateway.template.specs import WebSocketRoute, WebSocketSpec
from gateway.template.stack import Stack
from gateway.websocket.targets import QueueTarget


def websocket_apis(stack: Stack) -> list[WebSocketSpec]:
    """Return the WebSocket APIs of `stack`; what is not run of them goes to `stack.unsupported`."""
    found = []
    for logical_id in stack.of_type("AWS::ApiGatewayV2::Api"):
        if stack.property(logical_id, "ProtocolType") != "WEBSOCKET":
            continue
        api_id = str(stack.reference(logical_id))
        named = {
            str(stack.property(name, "StageName")): name
            for name in belonging(stack, "AWS::ApiGatewayV2::Stage", api_id)
        }
        if not named:
            stack.unsupported[logical_id] = "WebSocket API without a stage in this template; it has no address"
        stages = {stage: dict(stack.property(name, "StageVariables") or {}) for stage, name in named.items()}
        found.append(
            WebSocketSpec(
                logical_id,
                api_id,
                str(stack.property(logical_id, "RouteSelectionExpression", "$request.body.action")),
                {route.key: route for route in _websocket_routes(stack, api_id, stages)},
                stages,
                {stage: stage_throttles(stack, name) for stage, name in named.items()},
                str(stack.property(logical_id, "ApiKeySelectionExpression", "$request.header.x-api-key")),
                api_keys(stack, api_id),
            )
        )
    return found


def belonging(stack: Stack, kind: str, api_id: str) -> Iterator[str]:
    """Return the logical ids of an API's resources of a type."""
    return (name for name in stack.of_type(kind) if stack.property(name, "ApiId") == api_id)


def _websocket_routes(stack: Stack, api_id: str, stages: Mapping[str, Mapping[str, str]]) -> Iterator[WebSocketRoute]:
    # Both are needed: the route's selection expression, and a response with the key that it selects.
    answered = {
        stack.property(name, "RouteId")
        for name in belonging(stack, "AWS::ApiGatewayV2::RouteResponse", api_id)
        if stack.property(name, "RouteResponseKey") == "$default"
    }
    for name in belonging(stack, "AWS::ApiGatewayV2::Route", api_id):
        key = str(stack.property(name, "RouteKey"))
        if not stack.property(name, "Target"):
            stack.unsupported[name] = f"route without a Target; there is no route {key}"
            continue
        access = route_access(stack, name, key)
        integration = integration_of(stack, name)
        try:
            target = target_of(stack, integration, stages)
        except Unsupported as reason:
            stack.unsupported[name] = f"{reason}; there is no route {key}"
            continue
        responds = stack.property(name, "RouteResponseSelectionExpression") == "$default" and name in answered
        yield WebSocketRoute(key, target, responds, timeout_of(stack, integration), **access)
        if isinstance(target, QueueTarget):
            for response in responses_of(stack, integration):
                stack.unsupported[response] = "response of an integration; what SQS answers reaches no client"


def integration_of(stack: Stack, route: str) -> str:
    """Return the logical id of the integration behind a route."""
    target = str(stack.property(route, "Target", ""))
    name = target.removeprefix("integrations/")
    if stack.resources.get(name, {}).get("Type") != "AWS::ApiGatewayV2::Integration":
        raise TemplateError(f"{route}: no integration at {target or 'its Target'}")
    return name


def timeout_of(stack: Stack, integration: str) -> float | None:
    """Return an integration's own timeout in seconds, None where it has none."""
    milliseconds = stack.property(integration, "TimeoutInMillis")
    return float(milliseconds) / 1000 if milliseconds else None
