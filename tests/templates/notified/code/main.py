import json
import os
from urllib.parse import unquote_plus

import boto3

sns, events, s3 = boto3.client("sns"), boto3.client("events"), boto3.client("s3")
# Put together as samples do: from an id, and from a host without a scheme.
composed = f"https://{os.environ['API_ID']}.execute-api.{os.environ['AWS_REGION']}.amazonaws.com/live"
by_id = boto3.client("apigatewaymanagementapi", endpoint_url=composed)
by_host = boto3.client("apigatewaymanagementapi", endpoint_url="https://" + os.environ["ENDPOINT"])


def say(event, context):
    kind = event["body"]
    said = {"kind": kind, "connection": event["requestContext"]["connectionId"]}
    text = json.dumps(said)
    if kind in ("topic", "letter"):
        attributes = {"kind": {"DataType": "String", "StringValue": kind}}
        sns.publish(TopicArn=os.environ["TOPIC"], Message=text, Subject="said", MessageAttributes=attributes)
    elif kind == "bucket":
        s3.put_object(Bucket=os.environ["BUCKET"], Key=f"{said['connection']}.dat", Body=b"not told")
        s3.put_object(Bucket=os.environ["BUCKET"], Key=f"{said['connection']}.txt", Body=b"told")
    else:
        entry = {"Source": "chat", "DetailType": "Said", "Detail": text, "EventBusName": os.environ["BUS"]}
        events.put_events(Entries=[entry])
    return {"statusCode": 200}


def by_topic(event, context):
    message = event["Records"][0]["Sns"]
    answer(
        json.loads(message["Message"]), f"topic {message['Subject']} {message['MessageAttributes']['kind']['Value']}"
    )


def by_queue(event, context):
    for record in event["Records"]:
        answer(json.loads(record["body"]), "letter")


def by_bus(event, context):
    answer(event["detail"], event["detail"].get("text") or f"{event['detail-type']} {event['time'][-1]}")


def by_bucket(event, context):
    key = unquote_plus(event["Records"][0]["s3"]["object"]["key"])
    by_id.post_to_connection(ConnectionId=key.removesuffix(".txt"), Data=key.rpartition(".")[2])


def answer(said, text):
    by_host.post_to_connection(ConnectionId=said["connection"], Data=text)
