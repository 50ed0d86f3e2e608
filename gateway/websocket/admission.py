"""Who may connect, and how often: throttling, authorizers, signatures and API keys, before `$connect` runs.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-control-access.html
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.clock import Clock
from gateway.ids import new_trace_id
from gateway.settings import Settings
from gateway.sigv4 import SignatureRefused, Signatures, SignedRequest
from gateway.template.specs import StageThrottles, WebSocketRoute, WebSocketSpec
from gateway.websocket.authorizers import NotAuthorized, authorize, identity
from gateway.websocket.events import Context, Upgrade, connect_event
from gateway.websocket.targets import Services
from gateway.websocket.throttling import Account, StageThrottle

FORBIDDEN = "Forbidden"
_CONNECT = "$connect"


class NotAdmitted(Exception):
    """The upgrade is answered with `status`, `message` and, as SDKs know it, `error_type`."""

    def __init__(self, status: int, message: str, error_type: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.error_type = error_type


class Admission:
    """The doors of one API. Without `signatures` nobody has to sign."""

    def __init__(
        self,
        spec: WebSocketSpec,
        services: Services,
        settings: Settings,
        clock: Clock,
        account: Account,
        signatures: Signatures | None,
    ) -> None:
        self._spec = spec
        self._services = services
        self._settings = settings
        self._clock = clock
        self._account = account
        self._signatures = signatures
        self._stages = {
            stage: StageThrottle(spec.throttles.get(stage, StageThrottles()), clock.monotonic) for stage in spec.stages
        }

    async def admit(self, context: Context, upgrade: Upgrade, request_id: str) -> Context:
        """Return the context of a new connection, with what is known of the caller. Raises NotAdmitted."""
        if not self._account.connections.take() or not self.takes(context.stage, _CONNECT):
            raise NotAdmitted(429, self._settings.throttled_message, "TooManyRequestsException")
        route = self._spec.routes.get(_CONNECT)
        if route is None:
            return context
        if route.iam:
            context = self._signed(context, upgrade)
        now = self._clock.now()
        event = connect_event(context, upgrade, request_id, new_trace_id(now), now)
        usage_key = ""
        if route.authorizer is not None:
            context, usage_key = await self._authorized(context, route, event)
        return self._keyed(context, event, usage_key) if route.key_required else context

    def takes(self, stage: str, route: str) -> bool:
        """Tell whether account, stage and route take one more request now."""
        return self._account.requests.take() and self._stages[stage].take(route)

    def takes_call(self) -> bool:
        """Tell whether the account takes one more call of `@connections` now."""
        return self._account.requests.take()

    def _signed(self, context: Context, upgrade: Upgrade) -> Context:
        if self._signatures is None:
            return context
        try:
            key = self._signatures.check(SignedRequest("GET", upgrade.path, upgrade.query, upgrade.headers))
        except SignatureRefused as error:
            self._services.note(f"{self._spec.logical_id}: {_CONNECT} refused: {error.message} ({error.hint})")
            raise NotAdmitted(403, error.message, error.error_type) from None
        settings = self._settings
        # [D] are the fields, [?] is what they hold for a caller of no account.
        arn = f"arn:{settings.partition}:iam::{settings.account_id}:user/{key}"
        caller = {"accountId": settings.account_id, "caller": key, "user": key, "userArn": arn}
        return replace(context, identity={**context.identity, **caller})

    async def _authorized(
        self, context: Context, route: WebSocketRoute, event: Mapping[str, Any]
    ) -> tuple[Context, str]:
        assert route.authorizer is not None
        try:
            grant = await authorize(route.authorizer, event, self._services.submit, self._settings, self._clock)
        except NotAuthorized as error:
            if error.cause:
                self._services.note(error.cause)
            name = {401: "UnauthorizedException", 403: "AccessDeniedException"}.get(error.status, "")
            raise NotAdmitted(error.status, error.message, name) from None
        return replace(context, authorizer=grant.values), grant.usage_key

    def _keyed(self, context: Context, event: Mapping[str, Any], usage_key: str) -> Context:
        selection = self._spec.key_selection
        if selection.removeprefix("$") == "context.authorizer.usageIdentifierKey":
            value = usage_key
        else:
            # `$request.header.x-api-key` looks where `route.request.header.x-api-key` does.
            value = identity(f"route.{selection.removeprefix('$')}", event)
        key_id = self._spec.api_keys.get(context.stage, {}).get(value)
        if key_id is None:
            raise NotAdmitted(403, FORBIDDEN, "ForbiddenException")
        return replace(context, identity={**context.identity, "apiKey": value, "apiKeyId": key_id})
