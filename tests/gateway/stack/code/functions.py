"""Functions of the test stack: each does one thing that a handler can do to a gateway."""

import json
import os
import signal
import sys
import time
from typing import Any

Event = dict[str, Any]

_seen = 0


def management() -> Any:
    # Imported where it is used: a process that does not need it starts in a third of the time.
    import boto3

    return boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["CONNECTIONS_URL"])


def table() -> Any:
    import boto3

    return boto3.resource("dynamodb").Table(os.environ["TABLE"])


def record(name: str, event: Event) -> None:
    """Keep an event where the tests can read it."""
    table().put_item(Item={"pk": name, "sk": f"{time.time_ns():020}", "event": json.dumps(event)})


def connect(event: Event, context: Any) -> Any:
    query = event.get("queryStringParameters", {})
    record("connect", event)
    answer = query.get("answer", "200")
    if answer == "raise":
        raise ValueError("not this client")
    if answer == "none":
        return None
    if answer == "post":
        client = management()
        try:
            client.post_to_connection(ConnectionId=event["requestContext"]["connectionId"], Data=b"too early")
        except client.exceptions.GoneException as error:
            # The status tells the test what happened.
            return {"statusCode": error.response["ResponseMetadata"]["HTTPStatusCode"] + 3}
        return {"statusCode": 500}
    result: Event = {"statusCode": int(answer) if answer.isdigit() else 200}
    if offered := event["headers"].get("Sec-WebSocket-Protocol"):
        result["headers"] = {"Sec-WebSocket-Protocol": offered.split(",")[0], "X-Dropped": "yes"}
    return result


def echo(event: Event, context: Any) -> Any:
    return {"statusCode": 200, "body": event["body"]}


def show(event: Event, context: Any) -> Any:
    """Return the event itself."""
    return {"statusCode": 200, "body": json.dumps(event)}


def count(event: Event, context: Any) -> Any:
    """Return how often this process was called, and its id."""
    global _seen
    _seen += 1
    return {"statusCode": 200, "body": json.dumps({"count": _seen, "pid": os.getpid()})}


def fail(event: Event, context: Any) -> Any:
    raise RuntimeError("failed on purpose")


def slow(event: Event, context: Any) -> Any:
    print("slow begins")
    time.sleep(float(json.loads(event["body"]).get("seconds", 30)))
    return {"statusCode": 200, "body": "slow ends"}


def die(event: Event, context: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(event: Event, context: Any) -> Any:
    sys.exit(3)


def post(event: Event, context: Any) -> Any:
    """Post numbered messages to the caller, and answer by the route response last."""
    client = management()
    for number in range(int(json.loads(event["body"])["count"])):
        client.post_to_connection(ConnectionId=event["requestContext"]["connectionId"], Data=str(number).encode())
    return {"statusCode": 200, "body": "posted"}


def drop(event: Event, context: Any) -> Any:
    management().delete_connection(ConnectionId=event["requestContext"]["connectionId"])
    return {"statusCode": 200}


def disconnect(event: Event, context: Any) -> Any:
    record("disconnect", event)
    return {"statusCode": 200}


def work(event: Event, context: Any) -> Any:
    """Handle a batch: record it, fail the messages that ask for it."""
    record("batch", event)
    failed: list[dict[str, str]] = []
    for message in event["Records"]:
        body = json.loads(message["body"])
        time.sleep(body.get("seconds", 0))
        first = message["attributes"]["ApproximateReceiveCount"] == "1"
        if failed or body.get("fail") == "always" or (body.get("fail") == "once" and first):
            failed.append({"itemIdentifier": message["messageId"]})
    record("batch-end", event)
    return {"batchItemFailures": failed}


def frames(event: Event, context: Any) -> Any:
    """Post each message back, its number and its count of receives before it; fail once from where one asks for it."""
    import base64

    import boto3

    failed: list[Event] = []
    for message in event["Records"]:
        attributes = message["attributes"]
        text = base64.b64decode(message["body"]).decode()
        kind = message["messageAttributes"]["kind"]["stringValue"]
        if kind != "MESSAGE":
            record("frames", message)
            continue
        if failed or ("fail" in text and attributes["ApproximateReceiveCount"] == "1"):
            failed.append(message)
            continue
        time.sleep(json.loads(text).get("seconds", 0) if text.startswith("{") else 0)
        answer = json.dumps([int(attributes["SequenceNumber"]), int(attributes["ApproximateReceiveCount"]), text])
        management().post_to_connection(ConnectionId=attributes["MessageGroupId"], Data=answer.encode())
    for message in failed:
        boto3.client("sqs").change_message_visibility(
            QueueUrl=os.environ["FRAMES_URL"], ReceiptHandle=message["receiptHandle"], VisibilityTimeout=1
        )
    return {"batchItemFailures": [{"itemIdentifier": message["messageId"]} for message in failed]}


def tick(event: Event, context: Any) -> Any:
    record("tick", event)


def http(event: Event, context: Any) -> Any:
    path = event["rawPath"]
    if path == "/fail":
        raise RuntimeError("failed on purpose")
    if path == "/shorthand":
        return {"plain": True}
    if path == "/invalid":
        return {"statusCode": "two hundred"}
    if path == "/cookies":
        return {"statusCode": 201, "headers": {"X-Number": 5}, "cookies": ["a=1", "b=2; Path=/"], "body": "set"}
    if path == "/binary":
        headers = {"Content-Type": "image/png"}
        return {"statusCode": 200, "headers": headers, "isBase64Encoded": True, "body": "iVBORw=="}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(event)}


def environment(event: Event, context: Any) -> Any:
    return {"statusCode": 200, "body": json.dumps(dict(os.environ, ARN=context.invoked_function_arn))}
