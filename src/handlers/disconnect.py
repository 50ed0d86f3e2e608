"""$disconnect: tells the application, and frees what the connection held. It may never come."""

from typing import Any

from aws import clients
from handlers import wiring
from server.reasons import TRANSPORT_CLOSE

_engine = wiring.engine(clients.connections)


@wiring.guarded(lambda event: {"statusCode": 200})
def handler(event: wiring.Event, context: Any) -> dict[str, Any]:
    _engine.closed(event["requestContext"]["connectionId"], TRANSPORT_CLOSE, wiring.deadline(context))
    return {"statusCode": 200}
