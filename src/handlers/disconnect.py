"""$disconnect: tells the application, and frees what the connection held. It may never come."""

import os
from typing import Any

from aws import clients
from handlers import wiring

# Where frames come through a queue, this is one of its messages.
_engine = wiring.engine(clients.sqs if os.environ.get("FRAMES_URL") else clients.connections)


@wiring.guarded(lambda event: {"statusCode": 200})
def handler(event: wiring.Event, context: Any) -> dict[str, Any]:
    _engine.hung_up(event["requestContext"]["connectionId"], wiring.deadline(context))
    return {"statusCode": 200}
