"""The cores of HTTP APIs, REST APIs and function URLs, without sockets and processes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.http.addresses import Addresses
from gateway.http.api import HttpApi
from gateway.http.events import HttpRequest, HttpResponse, is_binary
from gateway.http.tokens import KeysUnavailable, TokenRefused, Tokens
from gateway.journal import Entry, Journal, Requested
from gateway.settings import Settings
from gateway.sigv4 import Signatures
from gateway.template.specs import Cors, HttpAuthorizerSpec, HttpMock, HttpProxy, HttpRoute, HttpSpec, TokenSpec
from gateway.websocket.events import Headers

pytestmark = pytest.mark.anyio

ROUTES = [HttpRoute("GET", "/things/{id}", "Fn"), HttpRoute("ANY", "/all/{path+}", "Fn")]
CORS = Cors(("https://a.example", "https://*.b"), ("GET", "PUT"), ("x-one",), ("x-two",), 60)


class Api:
    """An API at work. `answer(event)` is what every function does; `events` what they were given."""

    def __init__(self, spec: HttpSpec, answer: Any = None, settings: Settings | None = None, **doors: Any) -> None:
        self.clock = Clock()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.entries: list[Entry] = []
        self.notes: list[str] = []
        self.answer = answer or (lambda event: {"statusCode": 200, "body": "done"})
        journal = Journal()
        journal.subscribe(self.entries.append)
        settings = settings or Settings()
        self.core = HttpApi(spec, self.submit, settings, "host:1", self.clock, journal, self.notes.append, **doors)

    def submit(self, function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        event = json.loads(payload)
        self.events.append((function, event))
        result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        value = self.answer(event) if callable(self.answer) else self.answer[function](event)
        if isinstance(value, Exception):
            result.set_exception(value)
        elif value is not ...:
            result.set_result(json.dumps(value).encode())
        return result

    async def ask(
        self, method: str, path: str, headers: Headers | None = None, body: bytes = b"", query: str = "", raw: str = ""
    ) -> HttpResponse:
        request = HttpRequest(method, path, query, headers or [], body, "192.0.2.1", 80, raw_path=raw or path)
        return await self.core.handle(request)

    @property
    def event(self) -> dict[str, Any]:
        return self.events[-1][1]


def http(*routes: HttpRoute, **spec: Any) -> HttpSpec:
    return HttpSpec("Api", "abc", list(routes or ROUTES), **spec)


def rest(*routes: HttpRoute, **spec: Any) -> HttpSpec:
    stages = {"prod": {"colour": "red"}}
    return http(*(replace(route, format="1.0") for route in routes or ROUTES), kind="REST", stages=stages, **spec)


def body_of(response: HttpResponse) -> Any:
    return json.loads(response.body)


def header(response: HttpResponse, name: str) -> str | None:
    return next((value for given, value in response.headers if given == name), None)


FAILURE = FunctionFailed("E", "m")


# ---- stages


async def test_stages_of_an_http_api() -> None:
    api = Api(http(stages={"v1": {"colour": "red"}, "v2": {}}))
    assert (await api.ask("GET", "/v1/things/5")).status == 200
    assert api.event["rawPath"] == api.event["requestContext"]["http"]["path"] == "/v1/things/5"
    assert api.event["routeKey"] == "GET /things/{id}"
    assert api.event["requestContext"]["stage"] == "v1"
    assert api.event["stageVariables"] == {"colour": "red"}
    await api.ask("GET", "/v2/things/5")
    assert "stageVariables" not in api.event
    response = await api.ask("GET", "/things/5")
    assert (response.status, body_of(response)) == (404, {"message": "Not Found"})


async def test_what_begins_with_no_stage_is_the_defaults() -> None:
    api = Api(http(stages={"$default": {}, "all": {}}))
    await api.ask("GET", "/things/5")
    assert api.event["requestContext"]["stage"] == "$default"
    assert (await api.ask("GET", "/all/x")).status == 404
    await api.ask("GET", "/all/all/x")
    assert (api.event["requestContext"]["stage"], api.event["rawPath"]) == ("all", "/all/all/x")


async def test_the_journal_has_every_answer() -> None:
    api = Api(http())
    await api.ask("GET", "/elsewhere", body=b"12")
    (entry,) = api.entries
    assert isinstance(entry, Requested)
    assert (entry.api, entry.path, entry.status, entry.received) == ("Api", "/elsewhere", 404, 2)


# ---- format 1.0


async def test_the_event_of_a_rest_api() -> None:
    api = Api(rest())
    headers = [("host", "h"), ("x-one", "1"), ("x-one", "2"), ("user-agent", "agent"), ("cookie", "a=1")]
    await api.ask("POST", "/prod/all/a/b", headers, b"text", "a=1&a=2&b=")
    event = api.event
    assert "version" not in event
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/all/{path+}", "/all/a/b", "POST")
    assert event["headers"]["x-one"] == "2"
    assert event["multiValueHeaders"]["x-one"] == ["1", "2"]
    assert event["headers"]["Host"] == "h"
    assert event["headers"]["Cookie"] == "a=1"
    assert event["headers"]["X-Forwarded-For"] == "192.0.2.1"
    assert event["queryStringParameters"] == {"a": "2", "b": ""}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""]}
    assert event["pathParameters"] == {"path": "a/b"}
    assert event["stageVariables"] == {"colour": "red"}
    assert (event["body"], event["isBase64Encoded"]) == ("text", False)
    context = event["requestContext"]
    assert context["path"] == "/prod/all/a/b"
    assert context["resourcePath"] == "/all/{path+}"
    assert context["identity"]["sourceIp"] == "192.0.2.1"
    assert context["identity"]["userAgent"] == "agent"
    assert context["identity"]["caller"] is None
    assert (context["stage"], context["apiId"], context["httpMethod"]) == ("prod", "abc", "POST")
    await api.ask("GET", "/prod/things/1")
    absent = ("queryStringParameters", "multiValueQueryStringParameters", "body")
    assert [api.event[name] for name in absent] == [None] * 3


async def test_format_1_of_an_http_api() -> None:
    route = HttpRoute("GET", "/x", "Fn", format="1.0")
    api = Api(http(route, stages={"v1": {}}))
    await api.ask("GET", "/v1/x")
    assert (api.event["version"], api.event["path"], api.event["stageVariables"]) == ("1.0", "/v1/x", None)
    api.answer = lambda event: {"body": "no status"}
    assert (await api.ask("GET", "/v1/x")).status == 500


async def test_answers_in_format_1() -> None:
    answer = {
        "statusCode": "201",
        "headers": {"X-One": "1", "X-Two": True, "Content-Length": "9"},
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"], "X-One": ["2"]},
        "body": "text",
    }
    api = Api(rest(), lambda event: answer)
    response = await api.ask("GET", "/prod/things/1")
    assert (response.status, response.body) == (201, b"text")
    assert [value for name, value in response.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert [value for name, value in response.headers if name == "x-one"] == ["2"]
    assert header(response, "x-two") == "true"
    assert header(response, "content-length") is None
    assert header(response, "content-type") == "application/json"


async def test_binary_types_of_a_rest_api() -> None:
    api = Api(
        rest(binary_types=("image/*", "application/x")),
        lambda event: {"statusCode": 200, "body": "AP8=", "isBase64Encoded": True},
    )
    await api.ask("POST", "/prod/all/x", [("content-type", "image/png; a=b")], b"\x00\xff")
    assert (api.event["body"], api.event["isBase64Encoded"]) == ("AP8=", True)
    await api.ask("POST", "/prod/all/x", [("content-type", "text/plain")], b"abc")
    assert (api.event["body"], api.event["isBase64Encoded"]) == ("abc", False)
    response = await api.ask("GET", "/prod/things/1", [("accept", "image/png,*/*")])
    assert response.body == b"\x00\xff"
    response = await api.ask("GET", "/prod/things/1", [("accept", "*/*,image/png")])
    assert response.body == b"AP8="
    assert is_binary("", ["*/*"])


@pytest.mark.parametrize(
    ("path", "answer", "status", "words", "error_type"),
    [
        ("/prod/nothing", None, 403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
        ("/other/things/1", None, 403, "Forbidden", "ForbiddenException"),
        ("/prod/things/1", FAILURE, 502, "Internal server error", "InternalServerErrorException"),
        ("/prod/things/1", {"body": "x"}, 502, "Internal server error", "InternalServerErrorException"),
        ("/prod/things/1", {"statusCode": 200, "body": {"a": 1}, "headers": 5}, 502, "Internal server error", ...),
    ],
)
async def test_what_a_rest_api_says_itself(path: str, answer: Any, status: int, words: str, error_type: Any) -> None:
    api = Api(rest(), lambda event: answer)
    response = await api.ask("GET", path)
    assert (response.status, body_of(response)) == (status, {"message": words})
    assert error_type in (..., header(response, "x-amzn-errortype"))


@pytest.mark.parametrize(
    ("made", "path", "seconds", "status", "words"),
    [
        (rest(), "/prod/things/1", 29, 504, "Endpoint request timed out"),
        (http(), "/things/1", 30, 503, "Service Unavailable"),
        (http(HttpRoute("GET", "/things/1", "Fn", 5)), "/things/1", 5, 503, "Service Unavailable"),
    ],
)
async def test_a_function_that_is_too_slow(made: HttpSpec, path: str, seconds: float, status: int, words: str) -> None:
    api = Api(made, lambda event: ...)
    asked = asyncio.create_task(api.ask("GET", path))
    await api.clock.turn(seconds - 0.5)
    assert not asked.done()
    await api.clock.turn(1)
    response = await asyncio.wait_for(asked, 1)
    assert (response.status, body_of(response)) == (status, {"message": words})


async def test_a_functions_url() -> None:
    api = Api(http(HttpRoute("ANY", "$default", "Fn"), kind="URL"), lambda event: {"shorthand": True})
    response = await api.ask("PUT", "/any/path")
    assert (response.status, response.body) == (200, b'{"shorthand":true}')
    assert (api.event["version"], api.event["routeKey"], api.event["rawPath"]) == ("2.0", "$default", "/any/path")
    api.answer = lambda event: FAILURE
    assert (await api.ask("GET", "/")).status == 502


async def test_a_mock() -> None:
    api = Api(rest(HttpRoute("OPTIONS", "/x", "", target=HttpMock(200, {"access-control-allow-origin": "*"}))))
    response = await api.ask("OPTIONS", "/prod/x")
    assert (response.status, header(response, "access-control-allow-origin"), response.body) == (200, "*", b"")


# ---- CORS


def preflight(origin: str) -> Headers:
    return [("origin", origin), ("access-control-request-method", "PUT")]


async def test_a_preflight_is_answered_without_a_route() -> None:
    api = Api(http(cors=CORS))
    response = await api.ask("OPTIONS", "/anywhere", preflight("https://a.example"))
    assert response.status == 204
    assert dict(response.headers) == {
        "access-control-allow-origin": "https://a.example",
        "vary": "Origin",
        "access-control-expose-headers": "x-two",
        "access-control-allow-methods": "GET,PUT",
        "access-control-allow-headers": "x-one",
        "access-control-max-age": "60",
    }
    assert api.events == []
    response = await api.ask("OPTIONS", "/all/x", preflight("https://c.example"))
    assert (response.status, response.headers) == (204, [])
    # Without the question it is a request like any other.
    assert (await api.ask("OPTIONS", "/all/x")).body == b"done"
    assert (await api.ask("OPTIONS", "/anywhere")).status == 404


async def test_answers_have_the_apis_own_headers() -> None:
    def answer(event: Any) -> Any:
        return {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "mine", "X-One": "1"}}

    api = Api(http(cors=CORS), answer)
    response = await api.ask("GET", "/things/1", [("origin", "https://a.example")])
    assert header(response, "access-control-allow-origin") == "https://a.example"
    assert header(response, "x-one") == "1"
    for headers in ([("origin", "https://c.example")], []):
        assert header(await api.ask("GET", "/things/1", headers), "access-control-allow-origin") is None
    # What the API says itself a browser may read as well.
    response = await api.ask("GET", "/nowhere", [("origin", "https://a.example")])
    assert (response.status, header(response, "access-control-expose-headers")) == (404, "x-two")
    api = Api(http(), answer)
    assert header(await api.ask("GET", "/things/1"), "access-control-allow-origin") == "mine"


@pytest.mark.parametrize(
    ("origins", "credentials", "allowed"),
    [
        (("*",), False, "*"),
        (("*",), True, "https://a.example"),
        (("https://*",), False, "https://a.example"),
        (("http://*",), False, None),
    ],
)
async def test_origins(origins: tuple[str, ...], credentials: bool, allowed: str | None) -> None:
    api = Api(http(cors=Cors(origins, credentials=credentials)))
    response = await api.ask("GET", "/things/1", [("origin", "https://a.example")])
    assert header(response, "access-control-allow-origin") == allowed
    assert header(response, "access-control-allow-credentials") == ("true" if credentials else None)


# ---- authorizers


def guarded(spec: HttpAuthorizerSpec, made: Any = http) -> HttpSpec:
    found: HttpSpec = made(*(replace(route, authorizer=spec) for route in ROUTES))
    return found


SIMPLE = HttpAuthorizerSpec("L", "Auth", "2.0", ("$request.header.Authorization",), simple=True)
DONE = {"statusCode": 200}


async def test_a_simple_answer() -> None:
    def auth(event: Any) -> Any:
        return {"isAuthorized": event["identitySource"] == ["yes"], "context": {"user": "u", "list": [1]}}

    api = Api(guarded(SIMPLE), {"Auth": auth, "Fn": lambda event: DONE})
    response = await api.ask("GET", "/things/5", query="a=1")
    assert (response.status, body_of(response), api.events) == (401, {"message": "Unauthorized"}, [])
    response = await api.ask("GET", "/things/5", [("authorization", "no")])
    assert (response.status, body_of(response)) == (403, {"message": "Forbidden"})
    assert (await api.ask("GET", "/things/5", [("Authorization", "yes")], query="a=1")).status == 200
    (function, asked), (_, event) = api.events[-2:]
    assert function == "Auth"
    assert (asked["version"], asked["type"]) == ("2.0", "REQUEST")
    assert asked["routeArn"] == "arn:aws:execute-api:us-east-1:123456789012:abc/$default/GET/things/5"
    assert (asked["routeKey"], asked["queryStringParameters"]) == ("GET /things/{id}", {"a": "1"})
    assert "body" not in asked
    assert event["requestContext"]["authorizer"] == {"lambda": {"user": "u", "list": [1]}}


def policy(effect: str, resource: str, **rest: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
    return {"principalId": "me", "policyDocument": {"Statement": [statement]}, **rest}


async def test_a_policy_of_format_1() -> None:
    spec = replace(SIMPLE, format="1.0", simple=False, sources=("$request.header.Auth", "$request.querystring.q"))
    answers = {"Auth": lambda event: policy("Allow", "*/GET/things/5", context={"n": 5}), "Fn": lambda event: DONE}
    routes = [HttpRoute("GET", "/things/{id}", "Fn", format="1.0", authorizer=spec)]
    api = Api(http(*routes), answers)
    assert (await api.ask("GET", "/things/5", [("auth", "a")])).status == 401
    assert (await api.ask("GET", "/things/5", [("auth", "a")], query="q=b")).status == 200
    asked, event = api.events[0][1], api.events[1][1]
    assert (asked["version"], asked["identitySource"], asked["authorizationToken"]) == ("1.0", "a,b", "a,b")
    assert asked["methodArn"].endswith(":abc/$default/GET/things/5")
    assert event["requestContext"]["authorizer"] == {"n": 5, "principalId": "me"}
    assert (await api.ask("GET", "/things/6", [("auth", "a")], query="q=b")).status == 403


async def test_a_token_of_a_rest_api() -> None:
    sources = ("method.request.header.Authorization",)
    spec = HttpAuthorizerSpec("L", "Auth", "token", sources, ttl=300)
    answers = {"Auth": lambda event: policy("Allow", "*", context={"n": 5}), "Fn": lambda event: DONE}
    api = Api(guarded(spec, rest), answers)
    response = await api.ask("GET", "/prod/things/5")
    assert (response.status, header(response, "x-amzn-errortype")) == (401, "UnauthorizedException")
    assert (await api.ask("GET", "/prod/things/5", [("authorization", "t")])).status == 200
    assert api.events[0] == (
        "Auth",
        {
            "type": "TOKEN",
            "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abc/prod/GET/things/5",
            "authorizationToken": "t",
        },
    )
    assert api.event["requestContext"]["authorizer"] == {"principalId": "me", "n": "5"}


async def test_an_answer_counts_for_its_time() -> None:
    spec = replace(SIMPLE, simple=False, ttl=60)
    answers = {"Auth": lambda event: policy("Allow", "*/things/5"), "Fn": lambda event: DONE}
    api = Api(guarded(spec), answers)

    async def ask(path: str, who: str) -> tuple[int, int]:
        response = await api.ask("GET", path, [("authorization", who)])
        return response.status, sum(function == "Auth" for function, _ in api.events)

    assert await ask("/things/5", "a") == (200, 1)
    # The same policy, for something else.
    assert await ask("/things/6", "a") == (403, 1)
    assert await ask("/things/5", "b") == (200, 2)
    await api.clock.turn(61)
    assert await ask("/things/5", "a") == (200, 3)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (FunctionFailed("Exception", "Unauthorized"), 401),
        (FunctionFailed("Exception", "other"), 500),
        ({"isAuthorized": "yes"}, 500),
        ("no", 500),
    ],
)
async def test_authorizers_that_fail(answer: Any, status: int) -> None:
    api = Api(guarded(SIMPLE), lambda event: answer)
    assert (await api.ask("GET", "/things/5", [("authorization", "a")])).status == status


async def test_a_preflight_of_a_guarded_route_needs_authority() -> None:
    api = Api(replace(guarded(SIMPLE), cors=CORS))
    assert (await api.ask("OPTIONS", "/all/x", preflight("https://a.example"))).status == 401
    assert (await api.ask("OPTIONS", "/things/5", preflight("https://a.example"))).status == 204


# ---- HTTP endpoints


@asynccontextmanager
async def endpoint(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"ontent-" in line), 0)
        seen.append(head + await reader.readexactly(length))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()
        await server.wait_closed()


async def test_a_request_is_passed_on() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"
    async with endpoint(answer) as (url, seen):
        api = Api(http(HttpRoute("ANY", "/p/{rest+}", "", target=HttpProxy("ANY", f"{url}/base/{{rest}}?k=v"))))
        response = await api.ask("PUT", "/p/a/b", [("x-one", "1"), ("host", "here")], b"body", "q=1")
    assert (response.status, response.body, header(response, "location")) == (302, b"ok", "/x")
    assert [value for name, value in response.headers if name == "set-cookie"] == ["a=1", "b=2"]
    (request,) = seen
    assert request.startswith(b"PUT /base/a/b?k=v&q=1 HTTP/1.1\r\n")
    assert b"x-one: 1\r\n" in request
    assert b"here" not in request
    assert request.endswith(b"\r\n\r\nbody")


async def test_an_endpoint_that_is_not_there() -> None:
    api = Api(http(HttpRoute("GET", "/p", "", target=HttpProxy("GET", "http://127.0.0.1:1/"))))
    assert (await api.ask("GET", "/p")).status == 500
    assert "http://127.0.0.1:1/" in api.notes[0]


# ---- addresses


def test_addresses() -> None:
    def made(name: str, **rest: Any) -> HttpApi:
        return HttpApi(
            HttpSpec(name, f"id{name.lower()}", [], **rest), Api(http()).submit, Settings(), "h", Clock(), Journal()
        )

    url, first, second = made("Url", kind="URL"), made("First"), made("Second", stages={"v1": {}, "v2": {}})
    addresses = Addresses([url, first, second])
    found = addresses.find("127.0.0.1:3000", "/a/b")
    assert found is not None
    assert (found.api, found.path, found.claims) == (first, "/a/b", False)
    for host, path in (
        ("idsecond.execute-api.localhost:3000", "/v1/x"),
        ("idsecond.execute-api.us-east-1.amazonaws.com", "/v1/x"),
        ("localhost", "/_apis/idsecond/v1/x"),
        ("localhost", "/_apis/Second/v1/x"),
    ):
        found = addresses.find(host, path)
        assert found is not None
        assert (found.api, found.path, found.claims) == (second, "/v1/x", True)
    assert addresses.find("idurl.lambda-url.localhost", "/")[0] is url  # type: ignore[index]
    found = addresses.find("localhost", "/_apis/Url")
    assert found is not None
    assert (found.api, found.path) == (url, "/")
    assert addresses.find("localhost", "/_apis/other/x")[:2] == (first, "/_apis/other/x")  # type: ignore[index]
    assert Addresses([url]).find("localhost", "/") is None
    assert addresses.urls("http://h") == [
        ("http://h/_apis/idurl/", "Url"),
        ("http://h/", "First"),
        ("http://h/_apis/idsecond/v1/", "Second"),
        ("http://h/_apis/idsecond/v2/", "Second"),
    ]


# ---- signatures, tokens, API keys, and what is not run


def signatures(now: float) -> Signatures:
    return Signatures({"local": "secret"}.get, Settings(), lambda: now)


def signed(method: str, url: str, service: str, body: bytes = b"") -> Headers:
    request = AWSRequest(method, url, {"Host": "host:1"}, body)
    SigV4Auth(Credentials("local", "secret"), service, "us-east-1").add_auth(request)
    return [(name.lower(), value) for name, value in request.headers.items()]


@pytest.mark.parametrize(
    ("kind", "service", "words", "error"),
    [
        ("HTTP", "execute-api", "Forbidden", None),
        ("REST", "execute-api", "Missing Authentication Token", "MissingAuthenticationTokenException"),
        ("URL", "lambda", "Forbidden", None),
    ],
)
async def test_a_route_that_asks_for_a_signature(kind: str, service: str, words: str, error: str | None) -> None:
    form = "1.0" if kind == "REST" else "2.0"
    spec = HttpSpec("Api", "abc", [HttpRoute("ANY", "/{path+}", "Fn", format=form, iam=True)], kind)
    api = Api(spec, signatures=signatures(time.time()))
    refused = await api.ask("GET", "/a b", query="x=1")
    assert (refused.status, body_of(refused), header(refused, "x-amzn-errortype")) == (403, {"message": words}, error)
    headers = signed("POST", "http://host:1/a%20b?x=1", service, b"text")
    assert (await api.ask("POST", "/a b", headers, b"text", "x=1", "/a%20b")).status == 200
    context = api.event["requestContext"]
    found = context["identity"] if kind == "REST" else context["authorizer"]["iam"]
    assert (found["accessKey"], found["userArn"]) == ("local", "arn:aws:iam::123456789012:user/local")
    assert (await api.ask("POST", "/a b", headers, b"other", "x=1", "/a%20b")).status == 403
    assert "refused" in api.notes[0]
    # Where nobody checks signatures, nobody has to sign.
    assert (await Api(spec).ask("GET", "/a")).status == 200


TOKEN = TokenSpec("Jwt", "https://issuer.example", ("app",), scopes=("read",))


class Claims(Tokens):
    """Takes every token for what it says itself."""

    async def check(self, spec: TokenSpec, token: str) -> dict[str, Any]:
        match token:
            case "lost":
                raise KeysUnavailable("no keys")
            case "narrow":
                raise TokenRefused(403, "the token has none of the scopes")
        return {"sub": token, "scope": "read", "exp": 5}


async def test_a_route_that_asks_for_a_token() -> None:
    api = Api(http(HttpRoute("GET", "/", "Fn", authorizer=TOKEN)), tokens=Claims(Settings()))
    missing = await api.ask("GET", "/")
    assert (missing.status, body_of(missing)) == (401, {"message": "Unauthorized"})
    assert header(missing, "www-authenticate") == "Bearer"
    lost = await api.ask("GET", "/", [("authorization", "lost")])
    assert (lost.status, api.notes) == (401, ["no keys"])
    about = 'Bearer scope="read" error="invalid_token" error_description="OIDC discovery endpoint communication error"'
    assert header(lost, "www-authenticate") == about
    assert (await api.ask("GET", "/", [("authorization", "narrow")])).status == 403
    assert (await api.ask("GET", "/", [("authorization", "me")])).status == 200
    claims = {"sub": "me", "scope": "read", "exp": "5"}
    assert api.event["requestContext"]["authorizer"] == {"jwt": {"claims": claims, "scopes": ["read"]}}


async def test_a_rest_apis_route_that_asks_for_a_pools_token() -> None:
    pool = replace(TOKEN, cognito=True, sources=("method.request.header.Auth",))
    spec = HttpSpec("Api", "abc", [HttpRoute("GET", "/", "Fn", format="1.0", authorizer=pool)], "REST", {"prod": {}})
    api = Api(spec, tokens=Claims(Settings()))
    refused = await api.ask("GET", "/prod")
    assert (refused.status, header(refused, "x-amzn-errortype")) == (401, "UnauthorizedException")
    assert (await api.ask("GET", "/prod", [("auth", "me")])).status == 200
    claims = {"sub": "me", "scope": "read", "exp": "5"}
    assert api.event["requestContext"]["authorizer"] == {"claims": claims}


async def test_a_route_that_asks_for_a_key() -> None:
    route = HttpRoute("GET", "/", "Fn", format="1.0", key_required=True)
    keys = {"prod": {"0123456789": "id"}}
    api = Api(HttpSpec("Api", "abc", [route], "REST", {"prod": {}, "test": {}}, api_keys=keys))
    for path, headers, status in (
        ("/prod", [], 403),
        ("/prod", [("x-api-key", "other")], 403),
        ("/prod", [("x-api-key", "0123456789")], 200),
        ("/test", [("x-api-key", "0123456789")], 403),
    ):
        assert (await api.ask("GET", path, headers)).status == status


async def test_what_is_guarded_by_something_that_is_not_run_lets_nobody_in() -> None:
    api = Api(http(HttpRoute("GET", "/", "Fn", closed="something")))
    response = await api.ask("GET", "/")
    assert (response.status, body_of(response), api.events) == (403, {"message": "Forbidden"}, [])
