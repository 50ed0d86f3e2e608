import pytest

from gateway.routing import match_http, select_route
from gateway.template.specs import HttpRoute, WebSocketRoute, WebSocketSpec
from gateway.websocket.selection import selected_key
from gateway.websocket.targets import FunctionTarget

ROUTES = [
    HttpRoute("ANY", "$default", "default"),
    HttpRoute("ANY", "/files/{path+}", "greedy"),
    HttpRoute("GET", "/files/{name}", "single"),
    HttpRoute("GET", "/files/index", "literal"),
    HttpRoute("ANY", "/files/index", "any"),
    HttpRoute("POST", "/a/{b}/c", "middle"),
]


@pytest.mark.parametrize(
    ("selection", "text", "key"),
    [
        ("\\$default", "2", "$default"),
        ("$request.body.action", '{"action":"join"}', "join"),
        ("${request.body.action}", '{"action":"join"}', "join"),
        ("$request.body.a.b", '{"a":{"b":"c"}}', "c"),
        ("$request.body.a[1]", '{"a":[1,2]}', "2"),
        ("$request.body.action", '{"action":true}', "true"),
        ("$request.body.action", '{"action":{}}', None),
        ("$request.body.action", "{}", None),
        ("$request.body.action", "2", None),
        ("$request.body.action", "no json", None),
        ("${request.body.service}/${request.body.action}", '{"service":"chat","action":"join"}', "chat/join"),
        ("${request.body.action}-${request.body.none}", '{"action":"join"}', "join-"),
        ("v$request.body.version", '{"version":2}', "v2"),
        ("\\$${request.body.action}", '{"action":"default"}', "$default"),
        ("${request.body.service}/${request.body.action}", "no json", None),
        ("action", '{"action":"join"}', "action"),
    ],
)
def test_route_selection(selection: str, text: str, key: str | None) -> None:
    assert selected_key(selection, text) == key


def test_a_message_takes_its_route_else_the_default_else_none() -> None:
    routes = {key: WebSocketRoute(key, FunctionTarget(key)) for key in ("$connect", "join", "$default")}
    spec = WebSocketSpec("Api", "id", "$request.body.action", routes, {})

    def taken(text: str) -> str | None:
        route = select_route(spec, text)
        return route.key if route else None

    assert taken('{"action":"join"}') == "join"
    assert taken('{"action":"other"}') == "$default"
    # Nobody gets to call $connect with a message.
    assert taken('{"action":"$connect"}') == "$default"
    del routes["$default"]
    assert taken('{"action":"other"}') is None


@pytest.mark.parametrize(
    ("method", "path", "function", "parameters"),
    [
        ("GET", "/files/index", "literal", {}),
        ("PUT", "/files/index", "any", {}),
        ("GET", "/files/x", "single", {"name": "x"}),
        ("GET", "/files/x/y", "greedy", {"path": "x/y"}),
        ("POST", "/a/1/c", "middle", {"b": "1"}),
        ("GET", "/a/1/c", "default", {}),
        ("GET", "/", "default", {}),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, function: str, parameters: dict[str, str]) -> None:
    found = match_http(ROUTES, method, path)
    assert found is not None
    assert (found[0].function, found[1]) == (function, parameters)


def test_no_route() -> None:
    assert match_http(ROUTES[1:], "GET", "/elsewhere") is None
