"""The HTTP APIs, REST APIs and function URLs of a stack, from resources or an OpenAPI body."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway import ids
from gateway.errors import TemplateError
from gateway.template.access import api_keys
from gateway.template.apis import belonging, integration_of, timeout_of
from gateway.template.guards import OPEN, Guard, token_guard
from gateway.template.integrations import function_of
from gateway.template.specs import Cors, HttpAuthorizerSpec, HttpMock, HttpProxy, HttpRoute, HttpSpec
from gateway.template.stack import Stack, true

_ANY = "x-amazon-apigateway-any-method"
_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", _ANY)
_AUTHORIZER = "x-amazon-apigateway-authorizer"
_CLOSED = "every request is refused"
_HEADER = "method.response.header."


def http_apis(stack: Stack) -> list[HttpSpec]:
    """Return the APIs of `stack`, HTTP APIs first; what is not run of them goes to `stack.unsupported`."""
    found = [
        _http_api(stack, name)
        for name in stack.of_type("AWS::ApiGatewayV2::Api")
        if stack.property(name, "ProtocolType") != "WEBSOCKET"
    ]
    found += [_rest_api(stack, name) for name in stack.of_type("AWS::ApiGateway::RestApi")]
    return found + [_function_url(stack, name) for name in stack.of_type("AWS::Lambda::Url")]


def _http_api(stack: Stack, logical_id: str) -> HttpSpec:
    api_id = str(stack.reference(logical_id))
    stages = {
        str(stack.property(name, "StageName")): _texts(stack.property(name, "StageVariables"))
        for name in belonging(stack, "AWS::ApiGatewayV2::Stage", api_id)
    }
    routes = [*_openapi_routes(stack, logical_id, "HTTP"), *_resource_routes(stack, api_id)]
    if target := stack.property(logical_id, "Target"):
        # [D] What is made quickly has a stage, and one route for all.
        stages.setdefault("$default", {})
        key = str(stack.property(logical_id, "RouteKey", "$default"))
        routes.append(_resource_route(key, function_of(stack, logical_id, target), "2.0"))
    if not stages:
        stack.unsupported[logical_id] = "HTTP API without a stage; it has no address"
    body = stack.property(logical_id, "Body") or {}
    cors = stack.property(logical_id, "CorsConfiguration") or body.get("x-amazon-apigateway-cors")
    return HttpSpec(logical_id, api_id, routes, "HTTP", stages, _cors(cors))


def _rest_api(stack: Stack, logical_id: str) -> HttpSpec:
    api_id = str(stack.reference(logical_id))
    stages = {
        str(stack.property(name, "StageName")): _texts(stack.property(name, "Variables"))
        for name in stack.of_type("AWS::ApiGateway::Stage")
        if stack.property(name, "RestApiId") == api_id
    }
    body = stack.property(logical_id, "Body") or {}
    # The slash of a type cannot stand in SAM's own property.
    types = stack.property(logical_id, "BinaryMediaTypes") or body.get("x-amazon-apigateway-binary-media-types") or []
    for name in ("x-amazon-apigateway-gateway-responses", "x-amazon-apigateway-policy"):
        if name in body:
            stack.unsupported[f"{logical_id}.{name}"] = "part of a REST API"
    if not stages:
        stack.unsupported[logical_id] = "REST API without a stage; it has no address"
    binary = tuple(str(kind).replace("~1", "/") for kind in types)
    routes = [*_openapi_routes(stack, logical_id, "REST"), *_methods(stack, logical_id, api_id)]
    keys = api_keys(stack, api_id) if any(route.key_required for route in routes) else {}
    return HttpSpec(logical_id, api_id, routes, "REST", stages, binary_types=binary, api_keys=keys)


def _methods(stack: Stack, logical_id: str, api_id: str) -> Iterator[HttpRoute]:
    """Return the routes of a REST API whose methods are resources of their own."""
    root = stack.attribute(logical_id, "RootResourceId")
    for name in stack.of_type("AWS::ApiGateway::Method"):
        if stack.property(name, "RestApiId") != api_id:
            continue
        written: dict[str, Any] = stack.property(name, "Integration") or {}
        answers = written.get("IntegrationResponses") or [{}]
        integration = {
            "type": written.get("Type"),
            "uri": written.get("Uri"),
            "httpMethod": written.get("IntegrationHttpMethod"),
            "requestParameters": written.get("RequestParameters"),
            "responses": {"default": {key[:1].lower() + key[1:]: value for key, value in answers[0].items()}},
        }
        found = _target(stack, name, integration)
        if found is None:
            continue
        function, target = found
        guard = OPEN
        if (kind := stack.property(name, "AuthorizationType", "NONE")) in ("CUSTOM", "COGNITO_USER_POOLS"):
            guard = _rest_guard(stack, name)
        elif kind != "NONE":
            guard = _other_guard(stack, name, str(kind))
        if true(stack.property(name, "ApiKeyRequired", False)):
            guard = guard.also(Guard(key=True))
        milliseconds = written.get("TimeoutInMillis")
        yield HttpRoute(
            str(stack.property(name, "HttpMethod")).upper(),
            _path(stack, stack.property(name, "ResourceId"), root),
            function,
            float(milliseconds) / 1000 if milliseconds else None,
            "1.0",
            guard.authorizer,
            target,
            guard.iam,
            guard.closed,
            guard.key,
        )


def _path(stack: Stack, resource: Any, root: str) -> str:
    parts: list[str] = []
    while resource != root:
        name = str(resource)
        if stack.kind(name) != "AWS::ApiGateway::Resource":
            raise TemplateError(f"{name} is no AWS::ApiGateway::Resource")
        parts.insert(0, str(stack.property(name, "PathPart")))
        resource = stack.property(name, "ParentId")
    return "/" + "/".join(parts)


def _rest_guard(stack: Stack, method: str) -> Guard:
    name = str(stack.property(method, "AuthorizerId"))
    given = {
        "type": stack.property(name, "Type"),
        "authorizerUri": stack.property(name, "AuthorizerUri"),
        "identitySource": stack.property(name, "IdentitySource"),
        "authorizerResultTtlInSeconds": stack.property(name, "AuthorizerResultTtlInSeconds"),
        "providerARNs": stack.property(name, "ProviderARNs"),
    }
    return _guard(stack, method, name, given, "REST", stack.property(method, "AuthorizationScopes") or [])


def _function_url(stack: Stack, logical_id: str) -> HttpSpec:
    function = function_of(stack, logical_id, stack.property(logical_id, "TargetFunctionArn"))
    guard = OPEN
    if (kind := stack.property(logical_id, "AuthType", "NONE")) != "NONE":
        guard = _other_guard(stack, f"{logical_id}.AuthType", str(kind))
    if (mode := stack.property(logical_id, "InvokeMode", "BUFFERED")) != "BUFFERED":
        stack.unsupported[f"{logical_id}.InvokeMode"] = f"{mode} of a function's URL; answers come whole"
    cors = _cors(stack.property(logical_id, "Cors"))
    route = HttpRoute("ANY", "$default", function, iam=guard.iam, closed=guard.closed)
    return HttpSpec(logical_id, ids.api_id(stack.settings.stack_name, logical_id), [route], "URL", cors=cors)


def _texts(values: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in (values or {}).items()}


def _cors(given: Any) -> Cors | None:
    if not given:
        return None
    # Resources begin their names with a capital, OpenAPI bodies do not.
    values = {name[:1].lower() + name[1:]: value for name, value in given.items()}

    def listed(name: str) -> tuple[str, ...]:
        return tuple(map(str, values.get(name) or ()))

    age = values.get("maxAge")
    return Cors(
        listed("allowOrigins"),
        listed("allowMethods"),
        listed("allowHeaders"),
        listed("exposeHeaders"),
        None if age is None else int(age),
        true(values.get("allowCredentials", False)),
    )


# ---- routes as resources of their own


def _resource_routes(stack: Stack, api_id: str) -> Iterator[HttpRoute]:
    for name in belonging(stack, "AWS::ApiGatewayV2::Route", api_id):
        integration = integration_of(stack, name)
        properties = {
            "type": stack.property(integration, "IntegrationType"),
            "uri": stack.property(integration, "IntegrationUri"),
            "httpMethod": stack.property(integration, "IntegrationMethod"),
            "integrationSubtype": stack.property(integration, "IntegrationSubtype"),
            "requestParameters": stack.property(integration, "RequestParameters"),
            "responseParameters": stack.property(integration, "ResponseParameters"),
        }
        found = _target(stack, integration, properties)
        if found is None:
            continue
        kind = stack.property(name, "AuthorizationType", "NONE")
        guard = OPEN
        if kind in ("CUSTOM", "JWT"):
            guard = _resource_guard(stack, name)
        elif kind != "NONE":
            guard = _other_guard(stack, name, str(kind))
        function, target = found
        form = str(stack.property(integration, "PayloadFormatVersion", "1.0"))
        key = str(stack.property(name, "RouteKey"))
        route = _resource_route(key, function, form, timeout_of(stack, integration), guard.authorizer, target)
        yield replace(route, iam=guard.iam, closed=guard.closed)


def _resource_route(key: str, function: str, form: str, *rest: Any) -> HttpRoute:
    method, _, path = key.partition(" ")
    timeout, authorizer, target = rest or (None, None, None)
    return HttpRoute(method if path else "ANY", path or "$default", function, timeout, form, authorizer, target)


def _resource_guard(stack: Stack, route: str) -> Guard:
    name = str(stack.property(route, "AuthorizerId"))
    properties = {
        "type": stack.property(name, "AuthorizerType"),
        "authorizerUri": stack.property(name, "AuthorizerUri"),
        "identitySource": stack.property(name, "IdentitySource"),
        "authorizerPayloadFormatVersion": stack.property(name, "AuthorizerPayloadFormatVersion"),
        "enableSimpleResponses": stack.property(name, "EnableSimpleResponses"),
        "authorizerResultTtlInSeconds": stack.property(name, "AuthorizerResultTtlInSeconds"),
        "jwtConfiguration": stack.property(name, "JwtConfiguration"),
    }
    return _guard(stack, route, name, properties, "HTTP", stack.property(route, "AuthorizationScopes") or [])


# ---- OpenAPI


def _openapi_routes(stack: Stack, logical_id: str, kind: str) -> Iterator[HttpRoute]:
    body = stack.property(logical_id, "Body") or {}
    schemes = body.get("components", {}).get("securitySchemes") or body.get("securityDefinitions") or {}
    for path, item in body.get("paths", {}).items():
        for method in _METHODS:
            if method not in item:
                continue
            operation = item[method]
            where = f"{logical_id} {'ANY' if method == _ANY else method.upper()} {path}"
            integration: dict[str, Any] = operation.get("x-amazon-apigateway-integration", {})
            found = _target(stack, where, integration)
            if found is None:
                continue
            guard = OPEN
            for name, scopes in (item for entry in operation.get("security") or [] for item in entry.items()):
                scheme = schemes.get(name, {})
                if _AUTHORIZER in scheme:
                    given = {**scheme[_AUTHORIZER], "header": scheme.get("name")}
                    guard = guard.also(_guard(stack, where, name, given, kind, scopes or []))
                elif name != "NONE":
                    signed = scheme.get("x-amazon-apigateway-authtype") == "awsSigv4"
                    keyed = str(scheme.get("name", "")).lower() == "x-api-key"
                    what = "AWS_IAM" if signed else "API_KEY" if keyed else name
                    guard = guard.also(_other_guard(stack, where, what))
            if kind == "REST" and operation.get("x-amazon-apigateway-request-validator"):
                stack.unsupported[f"{where} validator"] = "validation of requests; every request is taken"
            function, target = found
            milliseconds = integration.get("timeoutInMillis")
            yield HttpRoute(
                "ANY" if method == _ANY else method.upper(),
                path,
                function,
                float(milliseconds) / 1000 if milliseconds else None,
                "1.0" if kind == "REST" else str(integration.get("payloadFormatVersion", "1.0")),
                guard.authorizer,
                target,
                guard.iam,
                guard.closed,
                guard.key,
            )


def _target(stack: Stack, where: str, integration: Mapping[str, Any]) -> tuple[str, HttpProxy | HttpMock | None] | None:
    """Return the function or the target of an integration; None, and a note, for one that is not run."""
    kind = str(integration.get("type") or "").upper()
    if kind == "AWS_PROXY" and not integration.get("integrationSubtype"):
        name = where.partition(" ")[0]
        return function_of(stack, name, integration.get("uri")), None
    if kind == "HTTP_PROXY" and str(integration.get("uri", "")).startswith(("http://", "https://")):
        for name in ("requestParameters", "responseParameters"):
            if integration.get(name):
                stack.unsupported[f"{where}.{name}"] = "mapping of parameters; requests and answers go as they are"
        return "", HttpProxy(str(integration.get("httpMethod") or "ANY").upper(), str(integration["uri"]))
    if kind == "MOCK":
        return _mock(stack, where, integration)
    stack.unsupported[where] = f"{kind or 'no'} integration; there is no such route"
    return None


def _mock(stack: Stack, where: str, integration: Mapping[str, Any]) -> tuple[str, HttpMock] | None:
    """Return the answer of a mock with fixed headers, as SAM writes it for CORS."""
    answer = (integration.get("responses") or {}).get("default", {})
    headers = {}
    for name, value in (answer.get("responseParameters") or {}).items():
        fixed = re.fullmatch("'(.*)'", str(value))
        if fixed is None or not name.startswith(_HEADER):
            stack.unsupported[where] = f"mock integration with {name}; there is no such route"
            return None
        headers[name.removeprefix(_HEADER).lower()] = fixed[1]
    return "", HttpMock(int(answer.get("statusCode", 200)), headers)


def _other_guard(stack: Stack, where: str, kind: str) -> Guard:
    """Return what guards a route by something that is no authorizer of the template's."""
    if kind == "AWS_IAM":
        return Guard(iam=True)
    if kind == "API_KEY":
        return Guard(key=True)
    stack.unsupported[where] = f"authorization by {kind}; {_CLOSED}"
    return Guard(closed=kind)


def _guard(stack: Stack, where: str, name: str, given: Mapping[str, Any], kind: str, scopes: Iterable[Any]) -> Guard:
    """Return what guards a route, from an authorizer's properties in the spelling of OpenAPI."""
    try:
        found = token_guard(stack, name, given, tuple(map(str, scopes)))
        return found or Guard(_authorizer(stack, name, given, kind))
    except TemplateError as error:
        stack.unsupported[where] = f"authorizer {name}: {error}; {_CLOSED}"
        return Guard(closed=name)


def _authorizer(stack: Stack, name: str, given: Mapping[str, Any], kind: str) -> HttpAuthorizerSpec:
    """Return a Lambda authorizer. Raises TemplateError."""
    if str(given.get("type", "")).lower() not in ("request", "token"):
        raise TemplateError(f"its type is {str(given.get('type') or 'not said').upper()}")
    function = stack.function_named(given.get("authorizerUri"))
    sources = given.get("identitySource") or []
    if isinstance(sources, str):
        sources = [source.strip() for source in sources.split(",")]
    form = str(given.get("authorizerPayloadFormatVersion") or "2.0") if kind == "HTTP" else "1.0"
    if str(given["type"]).lower() == "token":
        form = "token"
        sources = sources or [f"method.request.header.{given.get('header') or 'Authorization'}"]
    ttl = given.get("authorizerResultTtlInSeconds")
    settings = stack.settings
    usual = settings.http_authorizer_ttl if kind == "HTTP" else settings.rest_authorizer_ttl
    return HttpAuthorizerSpec(
        name,
        function,
        form,
        tuple(map(str, sources)),
        true(given.get("enableSimpleResponses") or False),
        usual if ttl is None else float(ttl),
    )
