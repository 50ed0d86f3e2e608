"""The core of an HTTP API, a REST API or a function's URL, without sockets: a request in, an answer out."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway import ids
from gateway.clock import Clock
from gateway.functions.runtime_api import Submit
from gateway.functions.worker import FunctionFailed
from gateway.http.authorizers import Authorizers
from gateway.http.cors import is_preflight, preflight_response, with_cors
from gateway.http.events import (
    HttpContext,
    HttpRequest,
    HttpResponse,
    InvalidAnswer,
    error_response,
    http_event,
    http_response,
    proxy_event,
    proxy_response,
)
from gateway.http.proxy import Unreachable, forward
from gateway.journal import Journal, Requested
from gateway.routing import match_http
from gateway.settings import Settings
from gateway.template.specs import HttpMock, HttpRoute, HttpSpec
from gateway.websocket.authorizers import NotAuthorized

_Words = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class _Refusals:
    """Status, words and error type of what a kind of API says by itself."""

    no_stage: _Words
    no_route: _Words
    too_large: _Words
    failed: _Words
    invalid: _Words
    slow: _Words


_HTTP = _Refusals(
    (404, "Not Found", ""),
    (404, "Not Found", ""),
    (413, "Request Entity Too Large", ""),
    (500, "Internal Server Error", ""),
    (500, "Internal Server Error", ""),
    (503, "Service Unavailable", ""),
)
_REST = _Refusals(
    (403, "Forbidden", "ForbiddenException"),
    (403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
    (413, "Request Too Long", "RequestTooLargeException"),
    (502, "Internal server error", "InternalServerErrorException"),
    (502, "Internal server error", "InternalServerErrorException"),
    (504, "Endpoint request timed out", "InternalServerErrorException"),
)
# [R] A function's URL tells of its function as of a gateway that is no good.
_URL = replace(_HTTP, failed=(502, "Internal Server Error", ""), invalid=(502, "Internal Server Error", ""))
_KINDS = {"HTTP": _HTTP, "REST": _REST, "URL": _URL}
_TYPES = {401: "UnauthorizedException", 403: "AccessDeniedException", 500: "AuthorizerConfigurationException"}


class HttpApi:
    """One API. `submit` invokes a function; `note(text)` tells of an answer that is none."""

    def __init__(
        self,
        spec: HttpSpec,
        submit: Submit,
        settings: Settings,
        domain_name: str,
        clock: Clock,
        journal: Journal,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.spec = spec
        self._submit = submit
        self._settings = settings
        self._domain_name = domain_name
        self._note = note
        self._clock = clock
        self._journal = journal
        self._refusals = _KINDS[spec.kind]
        self._rest = spec.kind == "REST"
        self._binary_types = spec.binary_types if self._rest else None
        self._authorizers = Authorizers(submit, settings, clock, rest=self._rest)

    async def handle(self, request: HttpRequest, domain_name: str | None = None) -> HttpResponse:
        """Answer a request; what goes wrong is an answer too. `domain_name` is the host, if the request chose it."""
        request_id, began = ids.new_request_id() if self._rest else ids.new_id(), self._clock.monotonic()
        response = await self._answer(request, request_id, domain_name or self._domain_name)
        if self.spec.cors is not None and not (request.method == "OPTIONS" and is_preflight(request)):
            response = with_cors(self.spec.cors, request.header("origin"), response)
        self._journal.write(
            Requested(
                self._clock.now(),
                request_id,
                self.spec.logical_id,
                request.method,
                request.path,
                response.status,
                len(request.body),
                len(response.body),
                self._clock.monotonic() - began,
            )
        )
        return response

    async def _answer(self, request: HttpRequest, request_id: str, domain_name: str) -> HttpResponse:
        refusals = self._refusals
        if len(request.body) > self._settings.http_body_limit:
            return error_response(*refusals.too_large)
        stage, path = self._stage(request.path)
        if stage is None:
            return error_response(*refusals.no_stage)
        found = match_http(self.spec.routes, request.method, path)
        preflight = self.spec.cors is not None and is_preflight(request)
        if found is None and not preflight:
            return error_response(*refusals.no_route)
        context = HttpContext(self.spec.api_id, self._settings.account_id, domain_name, stage, self.spec.stages[stage])
        asked = _Asked(request, request_id, path, stage, context, self._clock.now())
        if found is not None and found[0].authorizer is not None:
            try:
                asked = replace(asked, context=replace(context, granted=await self._authorize(asked, *found)))
            except NotAuthorized as error:
                if str(error) != error.message:
                    self._note(str(error))
                return error_response(error.status, error.message, _TYPES[error.status] if self._rest else "")
        if self.spec.cors is not None and preflight:
            return preflight_response(self.spec.cors, request.header("origin") or "")
        assert found is not None
        return await self._run(asked, *found)

    def _stage(self, path: str) -> tuple[str | None, str]:
        """Return the stage that a path begins with, and the rest; what begins with none is `$default`'s."""
        name, slash, rest = path[1:].partition("/")
        if name in self.spec.stages and name != "$default":
            return name, slash + rest or "/"
        return ("$default", path) if "$default" in self.spec.stages else (None, path)

    async def _authorize(self, asked: "_Asked", route: HttpRoute, parameters: dict[str, str]) -> dict[str, object]:
        spec = route.authorizer
        assert spec is not None
        account = f"{self._settings.region}:{self._settings.account_id}"
        # [D] A path begins without its slash here.
        place = f"{self.spec.api_id}/{asked.stage}/{asked.request.method}/{asked.path.lstrip('/')}"
        resource = f"arn:{self._settings.partition}:execute-api:{account}:{place}"
        event = self._event(asked, route, parameters, "1.0" if spec.format == "token" else spec.format)
        return dict(await self._authorizers.authorize(spec, event, resource, asked.request_id))

    def _event(self, asked: "_Asked", route: HttpRoute, parameters: dict[str, str], form: str) -> dict[str, object]:
        trace_id = ids.new_trace_id(asked.now)
        if form == "2.0":
            return http_event(
                asked.context, asked.request, route.key, parameters, asked.request_id, trace_id, asked.now
            )
        return proxy_event(
            asked.context,
            asked.request,
            route.path,
            parameters,
            asked.request_id,
            trace_id,
            asked.now,
            self._binary_types,
        )

    async def _run(self, asked: "_Asked", route: HttpRoute, parameters: dict[str, str]) -> HttpResponse:
        settings, refusals, request_id = self._settings, self._refusals, asked.request_id
        if isinstance(route.target, HttpMock):
            return HttpResponse(route.target.status, [*route.target.headers.items(), ("x-amzn-requestid", request_id)])
        longest = settings.rest_timeout if self._rest else settings.http_timeout
        try:
            # [D] A function's URL waits as long as the function may run.
            async with self._clock.timeout(900 if self.spec.kind == "URL" else min(route.timeout or longest, longest)):
                if route.target is not None:
                    response = await forward(route.target, asked.request, parameters)
                    return replace(response, headers=[*response.headers, ("apigw-requestid", request_id)])
                event = self._event(asked, route, parameters, route.format)
                payload = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
                answer = json.loads(
                    await self._submit(route.function, payload.encode("utf-8", "surrogatepass"), request_id)
                )
            if route.format == "2.0":
                return http_response(answer, request_id, settings)
            accept = asked.request.header("accept") or ""
            return proxy_response(answer, request_id, settings, accept, self._binary_types)
        except TimeoutError:
            return error_response(*refusals.slow)
        except FunctionFailed:
            return error_response(*refusals.failed)
        except Unreachable as error:
            self._note(f"{self.spec.logical_id} {route.key}: {error}")
            return error_response(*refusals.failed)
        except (InvalidAnswer, ValueError) as error:
            self._note(f"{route.function} did not return an HTTP answer: {error}")
            return error_response(*refusals.invalid)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request on its way: `path` is what follows the stage, `now` in seconds since 1970."""

    request: HttpRequest
    request_id: str
    path: str
    stage: str
    context: HttpContext
    now: float
