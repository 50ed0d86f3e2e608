"""$default: one frame. What is returned rides the route response: one text frame to the client, and no call."""

from typing import Any

from aws import clients
from handlers import wiring

_engine = wiring.engine(clients.connections)


def _cut(event: wiring.Event) -> dict[str, Any]:
    """A frame was accepted and could not be handled: the client must learn of it, and comes back."""
    try:
        _engine.drop(event["requestContext"]["connectionId"])
    except Exception:
        wiring.log.exception("the connection could not be closed")
    return {"statusCode": 200}


@wiring.guarded(_cut)
def handler(event: wiring.Event, context: Any) -> dict[str, Any]:
    connection_id = event["requestContext"]["connectionId"]
    answer = _engine.receive(connection_id, event.get("body") or "", wiring.deadline(context))
    return {"statusCode": 200} if answer is None else {"statusCode": 200, "body": answer}
