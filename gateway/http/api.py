"""The core of an HTTP API, a REST API or a function's URL, without sockets: a request in, an answer out."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway import ids
from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.functions.runtime_api import Submit
from gateway.http.authorizers import Authorizers, identity_of
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
from gateway.http.tokens import KeysUnavailable, TokenRefused, Tokens, granted
from gateway.journal import Journal, Requested
from gateway.routing import match_http
from gateway.settings import Settings
from gateway.sigv4 import SERVICE, SignatureRefused, Signatures, SignedRequest
from gateway.template.specs import HttpAuthorizerSpec, HttpMock, HttpRoute, HttpSpec, TokenSpec
from gateway.websocket.authorizers import UNAUTHORIZED, NotAuthorized

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
    """One API. `submit` invokes a function; `note(text)` tells of an answer that is none, and of who was not let in.

    `signatures` check who has to sign; without them nobody has to.
    """

    def __init__(
        self,
        spec: HttpSpec,
        submit: Submit,
        settings: Settings,
        domain_name: str,
        clock: Clock,
        journal: Journal,
        note: Callable[[str], None] = lambda text: None,
        signatures: Signatures | None = None,
        tokens: Tokens | None = None,
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
        self._signatures = signatures
        self._tokens = tokens or Tokens(settings)

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
        if found is not None:
            try:
                asked = replace(asked, context=await self._admitted(asked, *found))
            except _Refused as refused:
                return refused.response
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

    async def _admitted(self, asked: "_Asked", route: HttpRoute, parameters: dict[str, str]) -> HttpContext:
        """Return the context of a request that may go on. Raises _Refused, and NotAuthorized."""
        if route.closed:
            raise _Refused(error_response(403, "Forbidden", "ForbiddenException" if self._rest else ""))
        if route.key_required:
            given = asked.request.header("x-api-key") or ""
            if given not in self.spec.api_keys.get(asked.stage, {}):
                raise _Refused(error_response(403, "Forbidden", "ForbiddenException"))
        if route.iam and self._signatures is not None:
            return self._signed(asked, self._signatures)
        if isinstance(route.authorizer, TokenSpec):
            return await self._with_token(asked, route.authorizer)
        if route.authorizer is not None:
            return replace(asked.context, granted=await self._authorize(asked, route.authorizer, route, parameters))
        return asked.context

    def _signed(self, asked: "_Asked", signatures: Signatures) -> HttpContext:
        request, settings = asked.request, self._settings
        signed = SignedRequest(request.method, request.raw_path, request.query, request.headers, request.body)
        try:
            key = signatures.check(signed, "lambda" if self.spec.kind == "URL" else SERVICE)
        except SignatureRefused as error:
            self._note(f"{self.spec.logical_id}: {request.path} refused: {error.message} ({error.hint})")
            # [R] Only a REST API says why.
            words = (error.message, error.error_type) if self._rest else ("Forbidden", "")
            raise _Refused(error_response(403, *words)) from None
        # [D] are the fields, [?] is what they hold for a caller of no account.
        arn = f"arn:{settings.partition}:iam::{settings.account_id}:user/{key}"
        known = {"accessKey": key, "accountId": settings.account_id, "userArn": arn}
        iam = {**known, "callerId": key, "cognitoIdentity": None, "principalOrgId": None, "userId": key}
        identity = {**known, "caller": key, "user": key}
        return replace(asked.context, granted=iam, granted_by="iam", identity=identity)

    async def _with_token(self, asked: "_Asked", spec: TokenSpec) -> HttpContext:
        event = self._event(asked, HttpRoute(asked.request.method, asked.path, ""), {}, "1.0")
        token = next(filter(None, (identity_of(source, event) for source in spec.sources)), "")
        try:
            if not token:
                raise TokenRefused(401, "")
            claims = await self._tokens.check(spec, token)
        except TokenRefused as error:
            if isinstance(error, KeysUnavailable):
                self._note(error.cause)
            message = UNAUTHORIZED if error.status == 401 else "Forbidden"
            response = error_response(error.status, message, _TYPES[error.status] if self._rest else "")
            if not self._rest:
                kind = "invalid_token" if error.status == 401 else "insufficient_scope"
                about = f' scope="{" ".join(spec.scopes)}" error="{kind}" error_description="{error}"' if token else ""
                response.headers.append(("www-authenticate", f"Bearer{about}"))
            raise _Refused(response) from None
        found = granted(claims, spec.scopes)
        return replace(asked.context, granted={"claims": found["claims"]} if spec.cognito else found, granted_by="jwt")

    async def _authorize(
        self, asked: "_Asked", spec: HttpAuthorizerSpec, route: HttpRoute, parameters: dict[str, str]
    ) -> dict[str, object]:
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


class _Refused(Exception):
    """Whoever asks is not let in: that is the answer."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__()
        self.response = response


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request on its way: `path` is what follows the stage, `now` in seconds since 1970."""

    request: HttpRequest
    request_id: str
    path: str
    stage: str
    context: HttpContext
    now: float
