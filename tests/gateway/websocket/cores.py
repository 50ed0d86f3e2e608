"""A WebSocket API's core between functions and clients that a test plays."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gateway.chaos.faults import NO_FAULTS, Faults
from gateway.clock import Clock
from gateway.journal import Journal
from gateway.settings import Settings
from gateway.sigv4 import Signatures
from gateway.template.specs import WebSocketRoute, WebSocketSpec
from gateway.websocket.api import Accepted, WebSocketApi
from gateway.websocket.connections import Connection
from gateway.websocket.events import Upgrade
from gateway.websocket.sender import SendFailed
from gateway.websocket.targets import FunctionTarget, Services
from gateway.websocket.throttling import Account

SETTINGS = Settings(connect_window=0, integration_timeout=0.05, send_buffer_limit=200_000)


class Channel:
    """A client's side that keeps what it gets."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.ended: tuple[int, str] | None = None
        self.buffered = 0
        self.changed = asyncio.Event()

    def send(self, text: bytes) -> None:
        self.sent.append(text.decode())
        self.changed.set()

    def close(self, code: int, reason: str) -> None:
        self.ended = (code, reason)
        self.changed.set()

    async def next(self) -> str:
        async with asyncio.timeout(1):
            while not self.sent:
                self.changed.clear()
                await self.changed.wait()
        return self.sent.pop(0)


class Functions:
    """Functions of the test: a name's answer is a value, an exception, or a function of the event."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.events: list[dict[str, Any]] = []
        self.held: list[asyncio.Future[bytes]] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.refusal: SendFailed | None = None
        self.notes: list[str] = []

    @property
    def services(self) -> Services:
        return Services(self.submit, self.send, self.notes.append)

    def send(self, queue: str, lane: str, arguments: dict[str, Any]) -> asyncio.Future[None]:
        self.sent.append((queue, arguments))
        result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.refusal is not None:
            result.set_exception(self.refusal)
        elif "never" not in arguments["MessageBody"]:
            result.set_result(None)
        return result

    def submit(self, function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        event = json.loads(payload)
        self.events.append(event)
        result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        answer = self.answers.get(function, {"statusCode": 200})
        if callable(answer):
            answer = answer(event)
        if isinstance(answer, Exception):
            result.set_exception(answer)
        elif answer is ...:
            self.held.append(result)
        else:
            result.set_result(json.dumps(answer).encode())
        return result


def api(
    functions: Functions,
    settings: Settings = SETTINGS,
    clock: Clock | None = None,
    signatures: Signatures | None = None,
    faults: Faults = NO_FAULTS,
    **changes: Any,
) -> WebSocketApi:
    keys = ("$connect", "$default", "$disconnect")
    routes = {key: WebSocketRoute(key, FunctionTarget(key.strip("$")), responds=True) for key in keys}
    spec = WebSocketSpec("Api", "abcd", "\\$default", routes, {"live": {}})
    clock = clock or Clock()
    account = Account(settings, clock.monotonic)
    made = replace(spec, **changes)
    return WebSocketApi(made, functions.services, settings, "host", clock, Journal(), account, signatures, faults)


def upgrade(**changes: Any) -> Upgrade:
    return replace(Upgrade("live", [("Host", "host")], "", "192.0.2.1", 80), **changes)


async def connected(made: WebSocketApi, **changes: Any) -> tuple[Connection, Channel]:
    result = await made.connect(upgrade(**changes))
    assert isinstance(result, Accepted)
    channel = Channel()
    made.opened(result, channel)
    return result.connection, channel


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(1):
        while not condition():
            await asyncio.sleep(0)
