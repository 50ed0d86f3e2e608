"""The core of an HTTP API, without sockets: a request in, an answer out."""

import json
from collections.abc import Callable

from gateway import ids
from gateway.clock import Clock
from gateway.functions.runtime_api import Submit
from gateway.functions.worker import FunctionFailed
from gateway.http.events import (
    HttpContext,
    HttpRequest,
    HttpResponse,
    InvalidAnswer,
    error_response,
    http_event,
    http_response,
)
from gateway.journal import Journal, Requested
from gateway.routing import match_http
from gateway.settings import Settings
from gateway.template.specs import HttpSpec


class HttpApi:
    """One HTTP API. `submit` invokes a function; `note(text)` tells of an answer that is none."""

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
        self._context = HttpContext(spec.api_id, settings.account_id, domain_name)
        self._note = note
        self._clock = clock
        self._journal = journal

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer a request; what goes wrong is an answer too."""
        request_id, began = ids.new_id(), self._clock.monotonic()
        response = await self._answer(request, request_id)
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

    async def _answer(self, request: HttpRequest, request_id: str) -> HttpResponse:
        if len(request.body) > self._settings.http_body_limit:
            return error_response(413, "Request Entity Too Large")
        found = match_http(self.spec.routes, request.method, request.path)
        if found is None:
            return error_response(404, "Not Found")
        route, parameters = found
        now = self._clock.now()
        event = http_event(self._context, request, route.key, parameters, request_id, ids.new_trace_id(now), now)
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        try:
            async with self._clock.timeout(
                min(route.timeout or self._settings.http_timeout, self._settings.http_timeout)
            ):
                answer = await self._submit(route.function, payload, request_id)
            return http_response(json.loads(answer), request_id, self._settings)
        except TimeoutError:
            return error_response(503, "Service Unavailable")
        except FunctionFailed:
            return error_response(500, "Internal Server Error")
        except (InvalidAnswer, ValueError) as error:
            self._note(f"{route.function} did not return an HTTP answer: {error}")
            return error_response(500, "Internal Server Error")
