"""What a template says of who may call a WebSocket API, and how often: authorizers, API keys, models, throttling."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.errors import TemplateError
from gateway.template.specs import AuthorizerSpec, StageThrottles, Throttle
from gateway.template.stack import Stack, true
from gateway.websocket.models import Models

CONNECT = "$connect"


def route_access(stack: Stack, name: str, key: str) -> dict[str, Any]:
    """Return the fields of a WebSocketRoute that say who may use it; `name` is the route's logical id.

    What is not run goes to `stack.unsupported`.
    """
    kind = str(stack.property(name, "AuthorizationType", "NONE"))
    key_required = true(stack.property(name, "ApiKeyRequired", False))
    fields: dict[str, Any] = _models(stack, name)
    if stack.property(name, "RequestParameters"):
        stack.unsupported[f"{name}.RequestParameters"] = f"required parameters of route {key}; none is"
    if key != CONNECT:
        if kind != "NONE" or key_required:
            stack.unsupported[name] = f"authorization of route {key}; the service authorizes {CONNECT} alone"
        return fields
    if kind == "CUSTOM":
        authorizer = str(stack.property(name, "AuthorizerId", ""))
        fields["authorizer"] = _authorizer(stack, authorizer)
    elif kind not in ("NONE", "AWS_IAM"):
        words = "which the service does not have either; every connection is refused"
        stack.unsupported[name] = f"{kind} authorization of a WebSocket API, {words}"
        fields["authorizer"] = AuthorizerSpec(name, kind)
    return {**fields, "iam": kind == "AWS_IAM", "key_required": key_required}


def _authorizer(stack: Stack, authorizer_id: str) -> AuthorizerSpec:
    names = stack.of_type("AWS::ApiGatewayV2::Authorizer")
    name = next((name for name in names if stack.reference(name) == authorizer_id), None)
    if name is None:
        raise TemplateError(f"no authorizer of this template: {authorizer_id or 'no AuthorizerId'}")
    # One that cannot be asked lets nobody in, as on AWS: its function is none of the template's.
    function = str(stack.property(name, "AuthorizerUri"))
    if (kind := stack.property(name, "AuthorizerType")) != "REQUEST":
        stack.unsupported[name] = f"{kind} authorizer of a WebSocket API; every connection is refused"
    else:
        try:
            function = stack.function_named(function)
        except TemplateError as error:
            stack.unsupported[name] = f"authorizer: {error}; every connection is refused"
    sources = stack.property(name, "IdentitySource") or []
    listed = sources.split(",") if isinstance(sources, str) else sources
    return AuthorizerSpec(name, function, tuple(str(source).strip() for source in listed))


def _models(stack: Stack, route: str) -> dict[str, Any]:
    selection = stack.property(route, "ModelSelectionExpression")
    if not selection:
        return {}
    schemas: dict[str, Mapping[str, Any]] = {}
    named = {str(stack.property(name, "Name")): name for name in stack.of_type("AWS::ApiGatewayV2::Model")}
    for key, wanted in (stack.property(route, "RequestModels") or {}).items():
        references = {stack.reference(name): name for name in named.values()}
        name = named.get(str(wanted), references.get(wanted))
        if name is None:
            raise TemplateError(f"{route}: no model of this template: {wanted}")
        schema = stack.property(name, "Schema")
        schemas[key] = json.loads(schema) if isinstance(schema, str) else schema
        try:
            Models(str(selection), {key: schemas[key]})
        except ValueError as error:
            stack.unsupported[name] = f"{error}; messages of route {route} are not checked"
            return {}
    return {"model_selection": str(selection), "models": schemas}


def stage_throttles(stack: Stack, stage: str) -> StageThrottles:
    """Return the throttling settings of a stage, by its logical id."""
    routes: Mapping[str, Any] = stack.property(stage, "RouteSettings") or {}
    default = _throttle(stack.property(stage, "DefaultRouteSettings") or {})
    return StageThrottles(default, {key: _throttle(settings) for key, settings in routes.items()})


def _throttle(settings: Mapping[str, Any]) -> Throttle:
    burst, rate = settings.get("ThrottlingBurstLimit"), settings.get("ThrottlingRateLimit")
    return Throttle(None if burst is None else int(burst), None if rate is None else float(rate))


def api_keys(stack: Stack, api_id: str) -> dict[str, dict[str, str]]:
    """Return the ids of the keys that usage plans hold for an API: by stage, then by the keys' values."""
    found: dict[str, dict[str, str]] = {}
    for stage, key in _planned(stack, api_id):
        value = stack.property(key, "Value")
        if not true(stack.property(key, "Enabled", False)):
            continue
        if value is None:
            stack.unsupported[key] = "API key without a Value, which nobody knows here"
            continue
        found.setdefault(stage, {})[str(value)] = str(stack.reference(key))
    return found


def _planned(stack: Stack, api_id: str) -> Iterator[tuple[str, str]]:
    """Yield each stage of the API with a key of a usage plan for it."""
    keys = {stack.reference(name): name for name in stack.of_type("AWS::ApiGateway::ApiKey")}
    for plan in stack.of_type("AWS::ApiGateway::UsagePlan"):
        stages = [
            str(entry["Stage"])
            for entry in stack.property(plan, "ApiStages") or []
            if entry.get("ApiId") == api_id and "Stage" in entry
        ]
        if stages and (stack.property(plan, "Throttle") or stack.property(plan, "Quota")):
            stack.unsupported[plan] = "throttle and quota of a usage plan; its keys are good for any number of requests"
        for holder in stack.of_type("AWS::ApiGateway::UsagePlanKey"):
            key = keys.get(stack.property(holder, "KeyId"))
            if key is not None and stack.property(holder, "UsagePlanId") == stack.reference(plan):
                yield from ((stage, key) for stage in stages)
