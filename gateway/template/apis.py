"""The APIs of a stack: routes and integrations of WebSocket and HTTP APIs, from resources or an OpenAPI body."""

from collections.abc import Iterator
from typing import Any

from gateway.errors import TemplateError
from gateway.template.integrations import Unsupported, function_of, target_of
from gateway.template.specs import HttpRoute, HttpSpec, WebSocketRoute, WebSocketSpec
from gateway.template.stack import Stack

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "x-amazon-apigateway-any-method")


def websocket_apis(stack: Stack) -> list[WebSocketSpec]:
    """Return the WebSocket APIs of `stack`; what is not run of them goes to `stack.unsupported`."""
    found = []
    for logical_id in stack.of_type("AWS::ApiGatewayV2::Api"):
        if stack.property(logical_id, "ProtocolType") != "WEBSOCKET":
            continue
        api_id = str(stack.reference(logical_id))
        routes = {route.key: route for route in _websocket_routes(stack, api_id)}
        stages = {
            str(stack.property(name, "StageName")): dict(stack.property(name, "StageVariables") or {})
            for name in _belonging(stack, "AWS::ApiGatewayV2::Stage", api_id)
        }
        selection = str(stack.property(logical_id, "RouteSelectionExpression", "$request.body.action"))
        found.append(WebSocketSpec(logical_id, api_id, selection, routes, stages))
    return found


def http_apis(stack: Stack) -> list[HttpSpec]:
    """Return the HTTP APIs of `stack`; what is not run of them goes to `stack.unsupported`."""
    found = []
    for logical_id in stack.of_type("AWS::ApiGatewayV2::Api"):
        if stack.property(logical_id, "ProtocolType") == "WEBSOCKET":
            continue
        if stack.property(logical_id, "CorsConfiguration"):
            stack.unsupported[f"{logical_id}.CorsConfiguration"] = "CORS answers of an HTTP API"
        api_id = str(stack.reference(logical_id))
        for stage in _belonging(stack, "AWS::ApiGatewayV2::Stage", api_id):
            if (name := stack.property(stage, "StageName")) != "$default":
                stack.unsupported[stage] = f"stage {name} of an HTTP API; its routes are served as $default's"
        routes = [*_openapi_routes(stack, logical_id), *_http_routes(stack, api_id)]
        found.append(HttpSpec(logical_id, api_id, routes))
    return found


def _belonging(stack: Stack, kind: str, api_id: str) -> Iterator[str]:
    return (name for name in stack.of_type(kind) if stack.property(name, "ApiId") == api_id)


def _websocket_routes(stack: Stack, api_id: str) -> Iterator[WebSocketRoute]:
    # Both are needed: the route's selection expression, and a response with the key that it selects.
    answered = {
        stack.property(name, "RouteId")
        for name in _belonging(stack, "AWS::ApiGatewayV2::RouteResponse", api_id)
        if stack.property(name, "RouteResponseKey") == "$default"
    }
    for name in _belonging(stack, "AWS::ApiGatewayV2::Route", api_id):
        key = str(stack.property(name, "RouteKey"))
        if stack.property(name, "AuthorizationType", "NONE") != "NONE" or stack.property(name, "ApiKeyRequired"):
            stack.unsupported[name] = f"authorization of route {key}; the route is open"
        integration = _integration(stack, name)
        try:
            target = target_of(stack, integration)
        except Unsupported as reason:
            stack.unsupported[name] = f"{reason}; there is no route {key}"
            continue
        responds = stack.property(name, "RouteResponseSelectionExpression") == "$default" and name in answered
        yield WebSocketRoute(key, target, responds, _timeout(stack, integration))
    for name in _belonging(stack, "AWS::ApiGatewayV2::IntegrationResponse", api_id):
        stack.unsupported[name] = "response of an integration; what a service answers reaches no client"


def _http_routes(stack: Stack, api_id: str) -> Iterator[HttpRoute]:
    for name in _belonging(stack, "AWS::ApiGatewayV2::Route", api_id):
        integration = _integration(stack, name)
        kind = stack.property(integration, "IntegrationType")
        if kind != "AWS_PROXY" or stack.property(integration, "IntegrationSubtype"):
            stack.unsupported[integration] = f"{kind} integration"
            continue
        method, _, path = str(stack.property(name, "RouteKey")).partition(" ")
        function = function_of(stack, integration, stack.property(integration, "IntegrationUri"))
        timeout = _timeout(stack, integration)
        yield HttpRoute(method if path else "ANY", path or "$default", function, timeout)


def _integration(stack: Stack, route: str) -> str:
    """Return the logical id of the integration behind a route."""
    target = str(stack.property(route, "Target", ""))
    name = target.removeprefix("integrations/")
    if stack.resources.get(name, {}).get("Type") != "AWS::ApiGatewayV2::Integration":
        raise TemplateError(f"{route}: no integration at {target or 'its Target'}")
    return name


def _timeout(stack: Stack, integration: str) -> float | None:
    """Return an integration's own timeout in seconds, None where it has none."""
    milliseconds = stack.property(integration, "TimeoutInMillis")
    return float(milliseconds) / 1000 if milliseconds else None


def _openapi_routes(stack: Stack, logical_id: str) -> Iterator[HttpRoute]:
    body = stack.property(logical_id, "Body") or {}
    if "x-amazon-apigateway-cors" in body:
        stack.unsupported[f"{logical_id}.CorsConfiguration"] = "CORS answers of an HTTP API"
    for path, item in body.get("paths", {}).items():
        for method in _METHODS:
            if method not in item:
                continue
            operation = item[method]
            integration: dict[str, Any] = operation.get("x-amazon-apigateway-integration", {})
            where = f"{logical_id} {method} {path}"
            if str(integration.get("type", "")).lower() != "aws_proxy":
                stack.unsupported[where] = f"{integration.get('type')} integration"
                continue
            if str(integration.get("payloadFormatVersion", "2.0")) != "2.0":
                stack.unsupported[where] = "payload format 1.0; the function gets 2.0"
            if operation.get("security"):
                stack.unsupported[where] = "authorization of a route; the route is open"
            function = function_of(stack, logical_id, integration.get("uri"))
            milliseconds = integration.get("timeoutInMillis")
            verb = "ANY" if method.startswith("x-") else method.upper()
            yield HttpRoute(verb, path, function, float(milliseconds) / 1000 if milliseconds else None)
