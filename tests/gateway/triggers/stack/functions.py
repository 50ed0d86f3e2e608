"""Functions that other things invoke than a WebSocket API; what they see they put on a queue."""

import json
import os
from typing import Any

import boto3


def tell(value: Any) -> None:
    boto3.client("sqs").send_message(QueueUrl=os.environ["SEEN"], MessageBody=json.dumps(value))


def seen(event: Any, context: Any) -> None:
    tell({"function": context.function_name, "event": event, "stream": os.environ["STREAM"]})


def caller(event: Any, context: Any) -> Any:
    """Invoke another function, and return what that gave."""
    answer = boto3.client("lambda").invoke(**event["call"], Payload=json.dumps(event["payload"]))
    return {
        "status": answer["StatusCode"],
        "error": answer.get("FunctionError"),
        "payload": json.loads(answer["Payload"].read() or b"null"),
    }


def called(event: Any, context: Any) -> Any:
    print("called with", event)
    if event.get("fail"):
        tell({"function": "Called", "event": event})
        raise ValueError("failed on purpose")
    return {"got": event}
