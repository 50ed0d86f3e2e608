import boto3


def handler(event, context):
    where = event["requestContext"]
    client = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{where['domainName']}/{where['stage']}")
    client.post_to_connection(ConnectionId=where["connectionId"], Data=b"Use the whoami route.")
    return {"statusCode": 200}
