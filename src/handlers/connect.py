"""$connect: stores the session and orders its open packet. Its status answers the upgrade."""

from typing import Any

from aws import clients
from handlers import wiring
from handlers.environ import environ_of

_engine = wiring.engine(clients.sqs)


@wiring.guarded(lambda event: {"statusCode": 500})
def handler(event: wiring.Event, context: Any) -> dict[str, Any]:
    connection_id = event["requestContext"]["connectionId"]
    query = event.get("queryStringParameters") or {}
    return {"statusCode": _engine.open(connection_id, query, environ_of(event))}
