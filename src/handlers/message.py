"""$default: frames, one by one as they come (Ingest=direct), or from a queue in their order (Ingest=ordered)."""

import base64
import os
from typing import Any

from aws import clients
from handlers import batch, wiring

_engine = wiring.engine(clients.connections)

LAST_RECEIVE = 3
"""The delivery with which the queue gives a frame up (its redrive policy): it was tried as often as before, in vain.

Not by what it raised alone: a function that was killed raises nothing.
"""


@wiring.guarded(lambda event: batch.failures(event["Records"]) if "Records" in event else _cut(event))
def handler(event: wiring.Event, context: Any) -> dict[str, Any]:
    if "Records" in event:
        return batch.handle(
            event["Records"], lambda record: _take(record, context), [os.environ["FRAMES_URL"]], context
        )
    connection_id = event["requestContext"]["connectionId"]
    answer = _engine.receive(connection_id, event.get("body") or "", wiring.deadline(context))
    # What is returned rides the route response: one text frame to the client, and no call.
    return {"statusCode": 200} if answer is None else {"statusCode": 200, "body": answer}


def _take(record: batch.Record, context: Any) -> None:
    """Handle a message of the queue: a frame in base64, as the integration's template writes it, or a job."""
    attributes, body = record["attributes"], record["body"]
    connection_id, deadline = attributes["MessageGroupId"], wiring.deadline(context)
    receives = int(attributes["ApproximateReceiveCount"])
    if receives >= LAST_RECEIVE:
        # What follows would be out of order: the client comes back.
        _engine.drop(connection_id)
        raise RuntimeError("it failed too often, and is left to the dead letters")
    if body.startswith("{"):
        _engine.deliver(body, deadline)
    else:
        frame = base64.b64decode(body, validate=True).decode()
        _engine.receive(connection_id, frame, deadline, int(attributes["SequenceNumber"]), again=receives > 1)


def _cut(event: wiring.Event) -> dict[str, Any]:
    """A frame was accepted and could not be handled: the client must learn of it, and comes back."""
    try:
        _engine.drop(event["requestContext"]["connectionId"])
    except Exception:
        wiring.log.exception("the connection could not be closed")
    return {"statusCode": 200}
