"""Functions that know nothing of a gateway on this machine: their addresses come from the event."""

import json
from typing import Any

Event = dict[str, Any]


def guard(event: Event, context: Any) -> Any:
    token = event["queryStringParameters"]["token"]
    if token == "unknown":
        raise Exception("Unauthorized")
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": "Allow" if token == "good" else "Deny",
        "Resource": event["methodArn"],
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "somebody", "policyDocument": policy, "context": {"level": 7}}


def reach(event: Event, context: Any) -> Any:
    """Tell the caller, by `@connections` at the address of the event, what the event says of them."""
    import boto3

    at = event["requestContext"]
    if at["eventType"] == "MESSAGE" and "post" in event["body"]:
        client = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{at['domainName']}/{at['stage']}")
        client.post_to_connection(ConnectionId=at["connectionId"], Data=json.dumps(at).encode())
    return {"statusCode": 200, "body": "answer"}
