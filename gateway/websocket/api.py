"""The core of a WebSocket API, without sockets: what connects, what a frame does, how a connection ends."""

import asyncio
import json
import logging
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from gateway import ids
from gateway.chaos.faults import NO_FAULTS, Faults
from gateway.clock import Clock
from gateway.journal import Connected, Disconnected, Journal, Received, Sent
from gateway.journal import Refused as UpgradeRefused
from gateway.routing import select_route
from gateway.settings import Settings
from gateway.sigv4 import Signatures
from gateway.template.specs import WebSocketRoute, WebSocketSpec
from gateway.websocket import events
from gateway.websocket.admission import FORBIDDEN, Admission, NotAdmitted
from gateway.websocket.connections import Channel, Connection, Connections, ManagementError, description
from gateway.websocket.events import Context, Upgrade
from gateway.websocket.models import Models
from gateway.websocket.targets import FAILED, IntegrationFailed, QueueTarget, Services
from gateway.websocket.throttling import Account

logger = logging.getLogger(__name__)

TIMED_OUT = "Endpoint request timed out"


@dataclass(frozen=True, slots=True)
class Refused:
    """The upgrade is answered with `status`, a JSON `body` and, for SDKs, the name of the error."""

    status: int
    body: str
    error_type: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The upgrade is answered with 101, and `subprotocol` where the function named one."""

    connection: Connection
    subprotocol: str | None
    request_id: str


class WebSocketApi:
    """One WebSocket API. `services` are what its integrations call, `account` what all APIs share.

    `signatures` check who has to sign; without them nobody has to.

    A connection's life is `connect`, then `opened` with its channel, `receive` for each text message, and one of
    `closed` (the client, or the network, ended it) and `end` (this side does).
    """

    def __init__(
        self,
        spec: WebSocketSpec,
        services: Services,
        settings: Settings,
        domain_name: str,
        clock: Clock,
        journal: Journal,
        account: Account,
        signatures: Signatures | None,
        faults: Faults = NO_FAULTS,
    ) -> None:
        self.spec = spec
        self.connections = Connections(settings)
        self._services = services
        self._settings = settings
        self._domain_name = domain_name
        self._clock = clock
        self._journal = journal
        self._faults = faults
        self._admission = Admission(spec, services, settings, clock, account, signatures)
        self._models = {
            key: Models(route.model_selection, route.models)
            for key, route in spec.routes.items()
            if route.model_selection
        }
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- connecting

    async def connect(self, upgrade: Upgrade) -> Accepted | Refused:
        """Run `$connect` and tell how to answer the upgrade; an accepted one is held until the connection exists."""
        request_id = ids.new_id()
        result = await self._connect(upgrade, request_id)
        if isinstance(result, Refused):
            api, stage = self.spec.logical_id, upgrade.stage
            self._journal.write(UpgradeRefused(self._clock.now(), request_id, api, stage, result.status))
        return result

    async def _connect(self, upgrade: Upgrade, request_id: str) -> Accepted | Refused:
        if upgrade.stage not in self.spec.stages:
            return refusal(403, FORBIDDEN)
        now = self._clock.now()
        headers = {name.lower(): value for name, value in upgrade.headers}
        context = Context(
            self.spec.api_id,
            upgrade.stage,
            self._domain_name,
            ids.new_id(),
            int(now * 1000),
            upgrade.source_ip,
            headers.get("user-agent"),
            self.spec.stages[upgrade.stage],
        )
        try:
            context = await self._admission.admit(context, upgrade, request_id)
        except NotAdmitted as error:
            return refusal(error.status, error.message, error.error_type)
        connection = Connection(context, headers.get("host", self._domain_name), now)
        subprotocol = None
        route = self.spec.routes.get("$connect")
        if route is not None:
            answer = await self._ask_connect(connection, upgrade, route, request_id)
            if isinstance(answer, Refused):
                return answer
            subprotocol = answer
        settings = self._settings
        spread = settings.connect_window_jitter
        await self._clock.sleep(settings.connect_window * random.uniform(1 - spread, 1 + spread))
        return Accepted(connection, subprotocol, request_id)

    async def _ask_connect(
        self, connection: Connection, upgrade: Upgrade, route: WebSocketRoute, request_id: str
    ) -> Refused | str | None:
        now = self._clock.now()
        event = events.connect_event(connection.context, upgrade, request_id, ids.new_trace_id(now), now)
        try:
            answer = await self._invoke(route, event)
        except TimeoutError:
            return refusal(504, TIMED_OUT)
        except IntegrationFailed as error:
            return refusal(error.status, error.message)
        status = _status(answer)
        if status is None:
            return refusal(502, FAILED)
        if not 200 <= status < 300:
            return refusal(status, FORBIDDEN if status == 403 else "")
        returned = answer.get("headers") if isinstance(answer, dict) else None
        if isinstance(returned, dict):
            for name, value in returned.items():
                if name.lower() == "sec-websocket-protocol" and isinstance(value, str):
                    return value
        return None

    def opened(self, accepted: Accepted, channel: Channel) -> None:
        """The connection exists: `@connections` reaches it."""
        connection = accepted.connection
        connection.channel = channel
        connection.opened_at = connection.active_at = self._clock.monotonic()
        self.connections.add(connection)
        context = connection.context
        self._journal.write(
            Connected(
                self._clock.now(),
                connection.id,
                accepted.request_id,
                self.spec.logical_id,
                context.stage,
                context.source_ip,
                context.user_agent,
            )
        )
        self._watch(connection)

    # ---- messages

    def receive(self, connection: Connection, text: str) -> None:
        """Handle one text message: an invocation of its own, at the same time as any other."""
        self.touch(connection)
        self._start(self._message(connection, text))

    async def _message(self, connection: Connection, text: str) -> None:
        request_id = ids.new_id()
        route = select_route(self.spec, text)
        key = None if route is None else route.key
        self._journal.write(Received(self._clock.now(), connection.id, request_id, key, text))
        if route is None:
            self._send_error(connection, FORBIDDEN, request_id)
            return
        if not self._admission.takes(connection.context.stage, route.key):
            self._send_error(connection, self._settings.throttled_message, request_id)
            return
        if route.key in self._models and not self._models[route.key].accept(text):
            # [D] This frame alone names the message instead of the request.
            self._send_error(connection, self._settings.invalid_body_message, request_id, ("messageId", ids.new_id()))
            return
        ordered = self._settings.ordered_sends and isinstance(route.target, QueueTarget)
        held = self._faults.frame(connection.id, route.key, ordered=ordered)
        if held:
            await self._clock.sleep(held)
        event = events.message_event(connection.context, route.key, text, request_id, ids.new_id(), self._clock.now())
        try:
            answer = await self._invoke(route, event)
        except TimeoutError:
            self._send_error(connection, TIMED_OUT, request_id)
        except IntegrationFailed as error:
            self._send_error(connection, error.message, request_id)
        else:
            body = answer.get("body") if route.responds and isinstance(answer, dict) else None
            if isinstance(body, str) and body:
                self._send(connection, body.encode("utf-8", "replace"), request_id)

    def _send_error(
        self, connection: Connection, message: str, request_id: str, named: tuple[str, str] | None = None
    ) -> None:
        name, value = named or ("requestId", request_id)
        # The service's own spacing: a blank after the first colon only.
        frame = f'{{"message": "{message}", "connectionId":"{connection.id}", "{name}":"{value}"}}'
        self._send(connection, frame.encode(), request_id)

    def _send(self, connection: Connection, text: bytes, cause: str) -> None:
        # Whoever closed meanwhile gets nothing, and nobody is told.
        if connection.channel is not None:
            self.touch(connection)
            connection.channel.send(text)
            self._journal.write(Sent(self._clock.now(), connection.id, cause, text))

    # ---- @connections

    def knows(self, connection_id: str) -> bool:
        """Tell whether a connection is one of this API's."""
        return self.connections.has(connection_id)

    def post(self, stage: str, connection_id: str, body: bytes, invocation: str = "") -> None:
        """Send a message to a client, on behalf of an invocation if it is one's. Raises ManagementError."""
        connection = self._managed(stage, connection_id)
        self.connections.check_post(connection, body)
        # [I] Outbound frames are text; what is no UTF-8 cannot be one.
        self._send(connection, body if _is_utf8(body) else body.decode("utf-8", "replace").encode(), invocation)

    def get(self, stage: str, connection_id: str) -> dict[str, Any]:
        """Describe a connection. Raises ManagementError."""
        return description(self._managed(stage, connection_id))

    def delete(self, stage: str, connection_id: str) -> None:
        """Close a connection; its client sees 1000. Raises ManagementError."""
        self.end(self._managed(stage, connection_id), 1000)

    def _managed(self, stage: str, connection_id: str) -> Connection:
        if not self._admission.takes_call():
            raise ManagementError(429, "LimitExceededException", self._settings.throttled_message)
        return self.connections.find(stage, connection_id)

    # ---- ends

    def cut(self, code: int, disconnect: bool) -> None:
        """End every connection, with a close frame or, by 1006, without; `$disconnect` runs where that is asked for."""
        for connection in self.connections.all():
            self.end(connection, code, disconnect)

    def end(self, connection: Connection, code: int, disconnect: bool = True) -> None:
        """Close the connection from this side, and run `$disconnect` unless that is lost."""
        reason = self._settings.disconnect_reasons.get(code, "")
        channel = connection.channel
        self.closed(connection, code, reason, disconnect)
        if channel is not None:
            channel.close(code, reason)

    def closed(self, connection: Connection, code: int, reason: str, disconnect: bool = True) -> None:
        """The connection has ended: run `$disconnect`. `code` is 1005 for a close frame without one, 1006 for none."""
        if not self.connections.remove(connection):
            return
        connection.channel = None
        if connection.timer is not None:
            connection.timer.cancel()
        reason = reason or self._settings.disconnect_reasons.get(code, "")
        request_id = ids.new_id()
        self._journal.write(Disconnected(self._clock.now(), connection.id, request_id, code, reason))
        late = self._faults.disconnecting(connection.id) if disconnect else None
        if late is not None:
            self._start(self._disconnect(connection, code, reason, request_id, late))

    async def _disconnect(self, connection: Connection, code: int, reason: str, request_id: str, late: float) -> None:
        route = self.spec.routes.get("$disconnect")
        if route is None:
            return
        if late:
            await self._clock.sleep(late)
        now = self._clock.now()
        event = events.disconnect_event(connection.context, connection.host, code, reason, request_id, now)
        try:
            await self._invoke(route, event)
        except (TimeoutError, IntegrationFailed):
            # Best effort: nobody is left to be told, and the function's own words are on the console.
            return

    def close(self) -> None:
        """The gateway stops: close every client with 1001. The service has no such moment, so no `$disconnect`."""
        for connection in self.connections.all():
            self.connections.remove(connection)
            if connection.timer is not None:
                connection.timer.cancel()
            if connection.channel is not None:
                connection.channel.close(1001, self._settings.disconnect_reasons.get(1001, ""))
        for task in self._tasks:
            task.cancel()

    # ---- clocks

    def touch(self, connection: Connection) -> None:
        """The connection is not idle."""
        connection.last_active = self._clock.now()
        connection.active_at = self._clock.monotonic()

    def _watch(self, connection: Connection) -> None:
        """Close the connection where it is too old or idle, else look again when it next could be."""
        now = self._clock.monotonic()
        left = min(
            connection.active_at + self._settings.idle_timeout - now,
            connection.opened_at + self._settings.connection_duration - now,
        )
        if left <= 0:
            self.end(connection, 1001)
        else:
            connection.timer = self._clock.call_later(left, self._watch, connection)

    # ---- integrations

    async def _invoke(self, route: WebSocketRoute, event: dict[str, Any]) -> Any:
        """Return the target's answer. Raises IntegrationFailed, or TimeoutError past the integration's timeout."""
        async with self._clock.timeout(min(route.timeout or self._settings.integration_timeout, 29.0)):
            return await route.target.call(event, self._services)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a message was lost", exc_info=error)


def refusal(status: int, message: str, error_type: str = "") -> Refused:
    """Return the answer to an upgrade that is not accepted."""
    return Refused(status, json.dumps({"message": message}, separators=(",", ":")) if message else "", error_type)


def _status(answer: Any) -> int | None:
    status = answer.get("statusCode") if isinstance(answer, dict) else None
    if isinstance(status, str) and status.isascii() and status.isdigit():
        status = int(status)
    return status if isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599 else None


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
