import os

import boto3

from . import work

management = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["API_ENDPOINT"])


def handler(event, context):
    failures = []
    for record in event["Records"]:
        connection = record["messageAttributes"]["connectionId"]["stringValue"]
        try:
            management.post_to_connection(ConnectionId=connection, Data=work.done(record["body"]))
        except management.exceptions.GoneException:
            pass
        except Exception:
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
