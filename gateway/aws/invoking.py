"""Lets moto's topics, rules and buckets invoke the gateway's functions: moto would start containers for its own."""

import contextlib
import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gateway.triggers.inputs import target_input
from gateway.triggers.patterns import matches

Invoke = Callable[[str, str, str], None]
"""Hands an event to a function: its ARN, the event's text, and the service that it comes from."""


def install(invoke: Invoke) -> None:
    """Change moto's SNS, EventBridge and S3 in this process."""
    _topics(invoke)
    _rules(invoke)
    _buckets(invoke)


def _topics(invoke: Invoke) -> None:
    from moto.sns import models

    subscription: Any = models.Subscription
    others = subscription.publish

    def publish(self: Any, message: str, message_id: str, **more: Any) -> None:
        if self.protocol != "lambda":
            others(self, message, message_id, **more)
            return
        attributes, matcher = more.get("message_attributes") or {}, self._filter_policy_matcher
        if matcher is not None and not matcher.matches(attributes, message):
            return
        if more.get("message_structure") == "json":
            message = self._parse_message_structure(message, self.protocol)
        invoke(
            self.endpoint, json.dumps(_notification(self, message, message_id, more.get("subject"), attributes)), "sns"
        )

    subscription.publish = publish


def _notification(subscription: Any, message: str, message_id: str, subject: Any, attributes: Any) -> dict[str, Any]:
    """Return the event of a message. https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html"""
    from moto.core.utils import iso_8601_datetime_with_milliseconds

    found = {name: {"Type": value["Type"], "Value": _text(value["Value"])} for name, value in attributes.items()}
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": subscription.arn,
                "Sns": {
                    "Type": "Notification",
                    "MessageId": message_id,
                    "TopicArn": subscription.topic.arn,
                    "Subject": subject,
                    "Message": message,
                    "Timestamp": iso_8601_datetime_with_milliseconds(),
                    "SignatureVersion": "1",
                    "Signature": "local",
                    "SigningCertUrl": "https://sns.us-east-1.amazonaws.com/local.pem",
                    "UnsubscribeUrl": f"https://sns.us-east-1.amazonaws.com/?SubscriptionArn={subscription.arn}",
                    "MessageAttributes": found,
                },
            }
        ]
    }


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _rules(invoke: Invoke) -> None:
    from moto.events import models

    rule: Any = models.Rule
    elsewhere = rule.send_to_targets

    def send_to_targets(self: Any, original_event: Any, transform_input: bool = True) -> None:
        pattern, event = self.event_pattern.get_pattern(), _event(original_event)
        # moto takes a rule without a pattern, a schedule's, for one that matches all, and asks for no state.
        if not pattern or self.state == "DISABLED" or not matches(pattern, event):
            return
        for target in self.targets:
            text = target_input(target if transform_input else {}, event, self.arn)
            if not _deliver(self, target, text, invoke):
                one = copy.copy(self)
                one.targets = [target]
                with contextlib.suppress(NotImplementedError):
                    elsewhere(one, original_event, transform_input)

    rule.send_to_targets = send_to_targets


def _event(given: Any) -> dict[str, Any]:
    """Return an event as targets get it."""
    time = given["time"]
    if not isinstance(time, str):
        time = datetime.fromtimestamp(float(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**{name: value for name, value in given.items() if name != "ingestion-time"}, "time": time}


def _deliver(rule: Any, target: Any, text: str, invoke: Invoke) -> bool:
    """Hand an event to a function, a queue or a topic; tells whether the target is one of those."""
    from moto.sns.models import sns_backends
    from moto.sqs.models import sqs_backends

    service, region, account = target["Arn"].split(":")[2:5]
    if service == "lambda":
        invoke(target["Arn"], text, "events")
    elif service == "sqs":
        group = target.get("SqsParameters", {}).get("MessageGroupId")
        name = target["Arn"].rpartition(":")[2]
        sqs_backends[account][region].send_message(queue_name=name, message_body=text, group_id=group)
    elif service == "sns":
        sns_backends[account][region].publish(message=text, arn=target["Arn"])
    return service in ("lambda", "sqs", "sns")


def _buckets(invoke: Invoke) -> None:
    from moto.s3 import notifications

    def invoked(account_id: str, event_body: Any, fn_arn: str, region_name: str) -> None:
        invoke(fn_arn, json.dumps(event_body), "s3")

    notifications._invoke_awslambda = invoked
