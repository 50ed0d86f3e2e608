"""What a rule's target gets, with the examples of EventBridge's documentation."""

import json
from typing import Any

import pytest

from gateway.triggers.inputs import at_path, target_input

EVENT: dict[str, Any] = {
    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "time": "2015-11-11T21:29:54Z",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
    "detail": {"instance-id": "i-0123456789", "state": 'RUN "now"', "tags": {"a": 1}, "none": None},
}
ARN = "arn:aws:events:us-east-1:123456789012:rule/bus/example"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", EVENT),
        ("$.source", "aws.ec2"),
        ("$.detail-type", EVENT["detail-type"]),
        ("$.detail.tags.a", 1),
        ("$.resources[0]", EVENT["resources"][0]),
        ("$.resources[1]", None),
        ("$.detail.absent.more", None),
    ],
)
def test_paths(path: str, expected: Any) -> None:
    assert at_path(EVENT, path) == expected


def test_the_event_a_part_of_it_or_a_text() -> None:
    assert json.loads(target_input({}, EVENT, ARN)) == EVENT
    assert target_input({"InputPath": "$.detail.tags"}, EVENT, ARN) == '{"a": 1}'
    assert target_input({"Input": '{"fixed": true}'}, EVENT, ARN) == '{"fixed": true}'


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('"instance <instance> is in <state>"', '"instance i-0123456789 is in RUN \\"now\\""'),
        ('{"instance" : <instance>, "state": <state>}', '{"instance" : "i-0123456789", "state": "RUN \\"now\\""}'),
        ('{"all": <tags>, "text": "tags <tags>"}', '{"all": {"a": 1}, "text": "tags {\\"a\\": 1}"}'),
        ('{"none": <none>, "text": "<none>"}', '{"none": "", "text": ""}'),
        ('"<unknown>"', '"<unknown>"'),
        ('"<aws.events.rule-name> <aws.events.rule-arn>"', f'"example {ARN}"'),
        ("<aws.events.event.ingestion-time>", '"2015-11-11T21:29:54Z"'),
        ("<aws.events.event.json>", json.dumps(EVENT)),
    ],
)
def test_transformers(template: str, expected: str) -> None:
    paths = {"instance": "$.detail.instance-id", "state": "$.detail.state", "tags": "$.detail.tags"}
    paths["none"] = "$.detail.none"
    target = {"InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}
    assert target_input(target, EVENT, ARN) == expected
    json.loads(expected)
