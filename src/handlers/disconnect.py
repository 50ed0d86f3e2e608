"""$disconnect: tells the application, and frees what the connection held. It may never come."""

from typing import Any

from aws import clients
from handlers import wiring

_engine = wiring.engine(clients.connections, clients.sqs)


@wiring.guarded(lambda event: {"statusCode": 200})
def handler(event: wiring.Event, context: Any) -> dict[str, Any]:
    _engine.hung_up(event["requestContext"]["connectionId"], wiring.deadline(context))
    return {"statusCode": 200}
