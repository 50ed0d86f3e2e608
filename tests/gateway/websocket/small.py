"""A gateway of one API in this process: sockets, but no processes beside."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from gateway.chaos.faults import NO_FAULTS, Faults
from gateway.clock import Clock
from gateway.credentials import Credentials
from gateway.functions.invoke import InvokeApi
from gateway.http.addresses import Addresses
from gateway.inspector.routes import Inspector
from gateway.journal import Journal
from gateway.settings import Settings
from gateway.shell import Server, bind
from gateway.sigv4 import SignatureRefused, Signatures
from gateway.tls import Certificate
from gateway.websocket.api import WebSocketApi
from tests.gateway.websocket.cores import SETTINGS, Functions, api


@dataclass
class Small:
    """A gateway of one API, without processes."""

    api: WebSocketApi
    settings: Settings
    clock: Clock = field(default_factory=Clock)
    journal: Journal = field(default_factory=Journal)
    credentials: Credentials = field(default_factory=lambda: Credentials({"local": "local"}))
    signatures: Signatures | None = None
    http_apis: Addresses = field(default_factory=lambda: Addresses([]))
    invoke_api: InvokeApi | None = None
    inspector: Inspector | None = None
    faults: Faults = NO_FAULTS
    refusals: list[SignatureRefused] = field(default_factory=list)

    def websocket_at(self, path: str) -> tuple[WebSocketApi, str] | None:
        return (self.api, "live") if path.strip("/") == "live" else None

    def websocket_stage(self, stage: str, connection_id: str = "") -> WebSocketApi | None:
        return self.api if stage == "live" else None

    def refused(self, error: SignatureRefused) -> None:
        self.refusals.append(error)


@contextlib.asynccontextmanager
async def serving(
    made: Certificate | None = None, functions: Functions | None = None, settings: Settings = SETTINGS
) -> AsyncIterator[tuple[Small, int]]:
    """Serve an API with a stage `live` on a free port, and yield the gateway and the port."""
    clock = Clock()
    small = Small(api(functions or Functions(default={"body": "answer"}), settings, clock), settings, clock)
    small.signatures = Signatures(small.credentials.secret_of, settings, clock.now)
    listening = bind("127.0.0.1", 0)
    server = Server(small, [listening], made)
    await server.start()
    try:
        yield small, listening.getsockname()[1]
    finally:
        small.api.close()
        await server.stop()
