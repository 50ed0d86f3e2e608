"""Topics, event buses and buckets of a template, as calls of the embedded AWS."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import TemplateError
from gateway.settings import Settings
from gateway.template.deliveries import deliveries
from gateway.template.specs import StoreSpec
from gateway.template.stack import Stack

ACCOUNT = "us-east-1:123456789012"


def stack(tmp_path: Path, **resources: Any) -> Stack:
    resources["Fn"] = {
        "Type": "AWS::Lambda::Function",
        "Properties": {"Handler": "a.b", "Runtime": "python3.13", "Code": {"ZipFile": ""}},
    }
    resources["Queue"] = {"Type": "AWS::SQS::Queue"}
    return Stack({"Resources": resources}, {}, tmp_path, "http://127.0.0.1:5000", Settings())


def test_topics_and_their_subscriptions(tmp_path: Path) -> None:
    function = {"Fn::GetAtt": ["Fn", "Arn"]}
    made = stack(
        tmp_path,
        Topic={
            "Type": "AWS::SNS::Topic",
            "Properties": {
                "FifoTopic": True,
                "ContentBasedDeduplication": "true",
                "Subscription": [{"Protocol": "lambda", "Endpoint": function}],
            },
        },
        Other={
            "Type": "AWS::SNS::Subscription",
            "Properties": {
                "TopicArn": {"Ref": "Topic"},
                "Protocol": "sqs",
                "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
                "FilterPolicy": {"a": ["b"]},
                "RawMessageDelivery": True,
            },
        },
        Lost={
            "Type": "AWS::SNS::Subscription",
            "Properties": {"TopicArn": "x", "Protocol": "lambda", "Endpoint": "arn:of:nobody"},
        },
    )
    arn = f"arn:aws:sns:{ACCOUNT}:local-Topic.fifo"
    topic, first, second = deliveries(made)
    attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    assert topic.arguments == {"Name": "local-Topic.fifo", "Attributes": attributes}
    endpoint = made.attribute("Fn", "Arn")
    assert first.arguments == {"TopicArn": arn, "Protocol": "lambda", "Endpoint": endpoint, "Attributes": {}}
    assert second.arguments["Attributes"] == {"FilterPolicy": '{"a": ["b"]}', "RawMessageDelivery": "true"}
    assert made.unsupported == {"Lost": "subscription by lambda of arn:of:nobody; nothing is sent there"}
    assert made.attribute("Topic", "TopicName") == "local-Topic.fifo"


def rule(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {"source": ["x"]}, **properties}}


def test_rules(tmp_path: Path) -> None:
    targets = [
        {"Id": "a", "Arn": {"Fn::GetAtt": ["Fn", "Arn"]}, "RoleArn": "r", "RetryPolicy": {}, "InputPath": "$.detail"},
        {"Id": "b", "Arn": f"arn:aws:states:{ACCOUNT}:stateMachine:x"},
        {"Id": "c", "Arn": f"arn:aws:sqs:{ACCOUNT}:elsewhere"},
    ]
    made = stack(
        tmp_path,
        Bus={"Type": "AWS::Events::EventBus", "Properties": {"Name": "bus"}},
        Rule=rule(EventBusName={"Ref": "Bus"}, Targets=targets),
        Off=rule(State="DISABLED"),
        Timed={"Type": "AWS::Events::Rule", "Properties": {"ScheduleExpression": "rate(1 minute)"}},
    )
    pattern = json.dumps({"source": ["x"]})
    own = {"EventBusName": "bus"}
    told = [{"Id": "a", "Arn": made.attribute("Fn", "Arn"), "InputPath": "$.detail"}]
    assert deliveries(made) == [
        StoreSpec("Bus", "events", "create_event_bus", {"Name": "bus"}),
        StoreSpec("Rule", "events", "put_rule", {"Name": "local-Rule", "EventPattern": pattern, **own}),
        StoreSpec("Rule", "events", "put_targets", {"Rule": "local-Rule", "Targets": told, **own}),
    ]
    assert set(made.unsupported) == {"Rule.b", "Rule.c"}


def test_a_pattern_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="Rule: EventPattern: source must be an object or a list of values"):
        deliveries(stack(tmp_path, Rule=rule(EventPattern={"source": "x"})))


def test_buckets_that_tell(tmp_path: Path) -> None:
    told = {
        "LambdaConfigurations": [
            {
                "Event": "s3:ObjectCreated:*",
                "Function": {"Fn::GetAtt": ["Fn", "Arn"]},
                "Filter": {"S3Key": {"Rules": [{"Name": "suffix", "Value": ".txt"}]}},
            }
        ],
        "EventBridgeConfiguration": {"EventBridgeEnabled": True},
    }
    made = stack(tmp_path, Files={"Type": "AWS::S3::Bucket", "Properties": {"NotificationConfiguration": told}})
    (call,) = deliveries(made)
    assert call.arguments["NotificationConfiguration"] == {
        "LambdaFunctionConfigurations": [
            {
                "LambdaFunctionArn": made.attribute("Fn", "Arn"),
                "Events": ["s3:ObjectCreated:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".txt"}]}},
            }
        ],
        "EventBridgeConfiguration": {},
    }
