import os

import boto3

ssm = boto3.client("ssm")


def policy(effect, resource, user):
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {
        "principalId": user,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"user": user, "age": 7},
    }


def handler(event, context):
    expected = ssm.get_parameter(Name=os.environ["PARAMETER"])["Parameter"]["Value"]
    given = event["queryStringParameters"]
    if given["token"] == "expired":
        raise Exception("Unauthorized")
    effect = "Allow" if given["token"] == expected else "Deny"
    return policy(effect, event["methodArn"], given.get("user", "nobody"))
