"""Integrations whose request and answer go through templates."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.functions.failures import NOT_RUN, FunctionFailed
from gateway.template.specs import WebSocketRoute
from gateway.websocket.api import Accepted, Refused
from gateway.websocket.backends import Backend, HttpEndpoint, MappedFunction, MappedTarget, Mock, Response
from gateway.websocket.mapping import Template
from gateway.websocket.service_calls import ServiceAction
from gateway.websocket.targets import RequestTemplates
from tests.gateway.websocket.cores import SETTINGS, Functions, api, connected, until, upgrade

pytestmark = pytest.mark.anyio


def routes(backend: Backend, request: str = "", responds: bool = True, **responses: str) -> dict[str, WebSocketRoute]:
    """Return a `$connect` and a `$default`. Responses go by `s` and status, or `default`; a proxy has none."""
    templates = {"$default": Template(request)} if request else {}
    keys = {name: "$default" if name == "default" else f"/{name[1:].replace('x', '.')}/" for name in responses}
    made = {keys[name]: Response("\\$default", {"$default": Template(text)}) for name, text in responses.items()}
    requests = RequestTemplates("\\$default", templates, False, SETTINGS)
    target = MappedTarget("Integration", backend, requests, made or None, SETTINGS)
    return {key: WebSocketRoute(key, target, responds) for key in ("$connect", "$default")}


async def answer(made: dict[str, WebSocketRoute], text: str, functions: Functions | None = None) -> str:
    """Return what a client gets for a message."""
    core = api(functions or Functions(), routes={"$default": made["$default"]})
    connection, channel = await connected(core)
    core.receive(connection, text)
    return await channel.next()


# ---- mocks


async def test_a_mock_answers_by_its_templates() -> None:
    made = routes(Mock(), '{"statusCode": 200}', default="$context.connectionId is $context.stage")
    assert (await answer(made, "x")).endswith("= is live")
    made = routes(Mock(), '{"statusCode": $input.json("$.s")}', s4xx="refused", default="other")
    assert await answer(made, '{"s":404}') == "refused"
    assert await answer(made, '{"s":200}') == "other"


async def test_a_mock_without_a_status_fails() -> None:
    assert '"message": "Internal server error"' in await answer(routes(Mock(), "no json", default="x"), "x")


async def test_a_mock_accepts_and_refuses() -> None:
    for status in (200, 403):
        made = routes(Mock(), f'{{"statusCode": {status}}}', default="x")
        result = await api(Functions(), routes=made).connect(upgrade())
        assert isinstance(result, Accepted) if status == 200 else isinstance(result, Refused) and result.status == 403


async def test_one_way_routes_say_nothing() -> None:
    functions = Functions(echo={"body": "later"})
    core = api(functions, routes={"$default": routes(Mock(), '{"statusCode":200}', False, default="x")["$default"]})
    connection, channel = await connected(core)
    core.receive(connection, "x")
    for _ in range(5):
        await asyncio.sleep(0)
    assert channel.sent == []


# ---- functions


async def test_a_function_gets_what_the_template_makes() -> None:
    functions = Functions(fn=lambda event: {"got": event})
    made = routes(
        MappedFunction("fn"), '{"id": "$context.eventType", "body": $input.json("$.a")}', default="$input.json('$.got')"
    )
    assert await answer(made, '{"a":[1]}', functions) == '{"id":"MESSAGE","body":[1]}'


async def test_a_functions_error_chooses_a_response() -> None:
    requests = RequestTemplates("\\$default", {}, False, SETTINGS)
    responses = {
        "/not .*/": Response("$request.body.none", {"$default": Template("no: $input.path('$.errorMessage')")}),
        "$default": Response("\\$default", {}),
    }
    target = MappedTarget("Integration", MappedFunction("fn"), requests, responses, SETTINGS)
    made = {"$default": WebSocketRoute("$default", target, True)}
    assert await answer(made, "{}", Functions(fn=FunctionFailed("E", "not this one"))) == "no: not this one"
    assert await answer(made, "{}", Functions(fn={"a": 1})) == '{"a": 1}'
    assert '"Internal server error"' in await answer(made, "{}", Functions(fn=FunctionFailed(NOT_RUN, "m")))


async def test_a_response_of_a_function_chooses_a_template() -> None:
    requests = RequestTemplates("\\$default", {}, False, SETTINGS)
    texts = {"200": "status", "application/json": "type", "by a": "message", "no": "error", "$default": "default"}
    for selection, expected in {
        "$integration.response.statuscode": "status",
        "${integration.response.header.Content-Type}": "type",
        "$integration.response.multivalueheader.content-type": "type",
        "$integration.response.header.X-None": "default",
        # Not among those that are documented.
        "$integration.response.body.errorMessage": "default",
        "by ${request.body.kind}": "message",
        "$request.body.none": "default",
        "no": "error",
    }.items():
        templates = {key: Template(text) for key, text in texts.items()}
        target = MappedTarget(
            "Integration", MappedFunction("fn"), requests, {"$default": Response(selection, templates)}, SETTINGS
        )
        made = {"$default": WebSocketRoute("$default", target, True)}
        for result in ({"kind": "b"}, FunctionFailed("E", "no")):
            assert await answer(made, '{"kind":"a"}', Functions(fn=result)) == expected, selection


# ---- endpoints


class Endpoint:
    """An HTTP server that keeps what it is asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode().strip()
        headers = {}
        while written := (await reader.readline()).decode().strip():
            name, _, value = written.partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.asked.append((line, headers, body))
        writer.write(
            b"HTTP/1.1 %d X\r\nContent-Length: 8\r\nX-Kind: k\r\nX-Kind: l\r\nConnection: close\r\n\r\n" % self.status
            + b'{"a":"b"}'[:8]
        )
        await writer.drain()
        writer.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = Endpoint()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


PARAMETERS = {
    "integration.request.header.connectionId": "context.connectionId",
    "integration.request.header.kind": "route.request.body.kind",
    "integration.request.header.none": "context.nothing",
    "integration.request.querystring.stage": "stageVariables.name",
    "integration.request.querystring.fixed": "'a b'",
    "integration.request.path.place": "context.stage",
}


async def test_an_endpoint_gets_the_message_and_what_is_mapped(endpoint: Endpoint) -> None:
    made = routes(HttpEndpoint("POST", endpoint.url + "/{place}", PARAMETERS))
    core = api(Functions(), routes={"$default": made["$default"]}, stages={"live": {"name": "v"}})
    connection, channel = await connected(core)
    core.receive(connection, '{"kind":"k"}')
    assert await channel.next() == '{"a":"b"'
    line, headers, body = endpoint.asked[0]
    assert line == "POST /live?stage=v&fixed=a+b HTTP/1.1"
    assert (headers["connectionid"], headers["kind"], "none" in headers) == (connection.id, "k", False)
    assert (headers["content-type"], body) == ("application/json", b'{"kind":"k"}')


async def test_an_endpoint_says_who_connects(endpoint: Endpoint) -> None:
    mapped = {"integration.request.header.token": "route.request.querystring.token"}
    made = routes(
        HttpEndpoint("GET", endpoint.url, {**mapped, "integration.request.header.a": "route.request.header.A"})
    )
    core = api(Functions(), routes=made)
    assert isinstance(await core.connect(upgrade(query="token=t", headers=[("a", "h")])), Accepted)
    assert (endpoint.asked[0][1]["token"], endpoint.asked[0][1]["a"]) == ("t", "h")
    for status in (401, 500):
        endpoint.status = status
        result = await core.connect(upgrade())
        assert isinstance(result, Refused)
        assert result.status == status


async def test_the_status_of_an_endpoint_chooses_a_response(endpoint: Endpoint) -> None:
    made = routes(HttpEndpoint("POST", endpoint.url, {}), s2xx="fine", default="not")
    assert await answer(made, "x") == "fine"
    endpoint.status = 404
    assert await answer(made, "x") == "not"
    made = routes(HttpEndpoint("POST", endpoint.url, {}), s2xx="fine")
    assert await answer(made, "x") == '{"a":"b"'


async def test_a_response_of_an_endpoint_or_a_mock_chooses_a_template(endpoint: Endpoint) -> None:
    requests = RequestTemplates("\\$default", {}, False, SETTINGS)
    endpoint.status = 404
    texts = {"404": "missing", "404 k,l": "both", "$default": "default"}
    templates = {key: Template(text) for key, text in texts.items()}
    for backend, selection, expected in (
        (HttpEndpoint("POST", endpoint.url, {}), "$integration.response.statuscode", "missing"),
        (
            HttpEndpoint("POST", endpoint.url, {}),
            "${integration.response.statuscode} ${integration.response.multivalueheader.X-Kind}",
            "both",
        ),
        (Mock(), "$integration.response.statuscode", "missing"),
        (Mock(), "$integration.response.header.X-Kind", "default"),
    ):
        target = MappedTarget("Integration", backend, requests, {"$default": Response(selection, templates)}, SETTINGS)
        made = {"$default": WebSocketRoute("$default", target, True)}
        assert await answer(made, '{"statusCode": 404}') == expected, selection


async def test_an_endpoint_that_is_not_there() -> None:
    functions = Functions()
    made = routes(HttpEndpoint("POST", "http://127.0.0.1:9/", {}))
    assert '"message": "Internal server error"' in await answer(made, "x", functions)
    assert functions.notes[0].startswith("http://127.0.0.1:9/: ")
    result = await api(functions, routes=made).connect(upgrade())
    assert isinstance(result, Refused)
    assert result.status == 502
    await until(lambda: len(functions.notes) == 2)


async def test_a_service_that_refuses_or_is_not_there(endpoint: Endpoint) -> None:
    functions = Functions()
    endpoint.status = 400
    made = routes(ServiceAction("dynamodb", "PutItem", endpoint.url, "us-east-1"), '{"a": 1}', s400="refused")
    assert await answer(made, "x", functions) == "refused"
    line, headers, body = endpoint.asked[0]
    assert (line, body) == ("POST / HTTP/1.1", b'{"a": 1}')
    assert headers["x-amz-target"] == "DynamoDB_20120810.PutItem"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=test/")
    assert functions.notes == ['dynamodb PutItem: 400 {"a":"b"']
    made = routes(ServiceAction("events", "PutEvents", "http://127.0.0.1:9", "us-east-1"))
    assert '"message": "Internal server error"' in await answer(made, "x", functions)
    assert functions.notes[1].startswith("events: http://127.0.0.1:9/: ")


async def test_a_template_that_fails_is_an_error_frame_and_a_note() -> None:
    functions = Functions()
    made: Any = routes(Mock(), "$util.parseJson($input.body)", default="x")
    assert '"message": "Internal server error"' in await answer(made, "no json", functions)
    assert functions.notes[0].startswith("Integration: $util.parseJson")
