"""Echoes by its return value; a message that names connections is posted to all of them."""

import functools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    body = event.get("body") or ""
    if body.startswith("{"):
        message = json.loads(body)
        post = functools.partial(management(message["endpoint"]).post_to_connection, Data=body[:64].encode())
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda name: post(ConnectionId=name), message["connections"]))
        return {"statusCode": 200}
    return {"statusCode": 200, "body": event["requestContext"]["connectionId"] if body == "who" else body}


@functools.cache
def management(endpoint: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(max_pool_connections=8)
    return boto3.client("apigatewaymanagementapi", region_name="us-east-1", endpoint_url=endpoint, config=config)
