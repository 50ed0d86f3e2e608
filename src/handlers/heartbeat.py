"""The schedule: pings the connections that are due, and closes those that fell silent."""

from typing import Any

from aws import clients
from handlers import wiring

_engine = wiring.engine(clients.connections)


@wiring.guarded(lambda event: None)
def handler(event: wiring.Event, context: Any) -> None:
    _engine.beat(wiring.deadline(context))
