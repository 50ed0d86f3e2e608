"""Topics, event buses and buckets of a stack, and whom they tell: each made with one call of the embedded AWS."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.errors import TemplateError
from gateway.template.sources import destination
from gateway.template.specs import StoreSpec
from gateway.template.stack import Stack, true
from gateway.triggers.patterns import PatternError, parse

_PROTOCOLS = ("lambda", "sqs")
# Of a rule's target; the rest says who may do it, and how often it is tried.
_TARGET = ("Id", "Arn", "Input", "InputPath", "InputTransformer", "SqsParameters")


def deliveries(stack: Stack) -> list[StoreSpec]:
    """Return them, in the order in which they can be made; what is told to others goes to `stack.unsupported`."""
    made: list[StoreSpec] = []
    for name in stack.of_type("AWS::Events::EventBus"):
        made.append(StoreSpec(name, "events", "create_event_bus", {"Name": stack.name(name)}))
    for name in stack.of_type("AWS::SNS::Topic"):
        made.append(StoreSpec(name, "sns", "create_topic", _topic(stack, name)))
    for name in stack.of_type("AWS::SNS::Topic"):
        for entry in stack.property(name, "Subscription") or []:
            made += _subscription(stack, name, {**entry, "TopicArn": stack.reference(name)})
    for name in stack.of_type("AWS::SNS::Subscription"):
        made += stack.named(name, lambda name, properties: list(_subscription(stack, name, properties)))
    for name in stack.of_type("AWS::Events::Rule"):
        made += stack.named(name, lambda name, properties: list(_rule(stack, name, properties)))
    for name in stack.of_type("AWS::S3::Bucket"):
        made += stack.named(name, lambda name, properties: list(_bucket(stack, name, properties)))
    return made


def _topic(stack: Stack, logical_id: str) -> dict[str, Any]:
    fifo = true(stack.property(logical_id, "FifoTopic", False))
    same = true(stack.property(logical_id, "ContentBasedDeduplication", False))
    attributes = {"FifoTopic": "true", **({"ContentBasedDeduplication": "true"} if same else {})} if fifo else {}
    return {"Name": stack.name(logical_id), "Attributes": attributes}


def _subscription(stack: Stack, logical_id: str, properties: Mapping[str, Any]) -> Iterator[StoreSpec]:
    protocol, endpoint = str(properties["Protocol"]), str(properties.get("Endpoint", ""))
    if protocol not in _PROTOCOLS or destination(stack, endpoint) is None:
        stack.unsupported[logical_id] = f"subscription by {protocol} of {endpoint}; nothing is sent there"
        return
    attributes = {}
    for name in ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery"):
        if (value := properties.get(name)) is not None:
            attributes[name] = value if isinstance(value, str) else json.dumps(value)
    arguments = {"TopicArn": properties["TopicArn"], "Protocol": protocol, "Endpoint": endpoint}
    yield StoreSpec(logical_id, "sns", "subscribe", {**arguments, "Attributes": attributes})


def _rule(stack: Stack, logical_id: str, properties: Mapping[str, Any]) -> Iterator[StoreSpec]:
    pattern = properties.get("EventPattern")
    if not pattern or properties.get("State") == "DISABLED":
        return
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    try:
        parse(text)
    except PatternError as error:
        raise TemplateError(f"EventPattern: {error}") from None
    bus = {"EventBusName": properties["EventBusName"]} if "EventBusName" in properties else {}
    targets = []
    for target in properties.get("Targets") or []:
        arn = str(target["Arn"])
        service = arn.split(":")[2] if arn.startswith("arn:") else ""
        if service in ("sns", "events", "logs") or (service in _PROTOCOLS and destination(stack, arn) is not None):
            targets.append({name: value for name, value in target.items() if name in _TARGET})
        else:
            stack.unsupported[f"{logical_id}.{target['Id']}"] = f"target {arn}; nothing is sent there"
    yield StoreSpec(logical_id, "events", "put_rule", {"Name": stack.name(logical_id), "EventPattern": text, **bus})
    if targets:
        yield StoreSpec(
            logical_id, "events", "put_targets", {"Rule": stack.name(logical_id), "Targets": targets, **bus}
        )


def _bucket(stack: Stack, logical_id: str, properties: Mapping[str, Any]) -> Iterator[StoreSpec]:
    told = properties.get("NotificationConfiguration") or {}
    found: dict[str, Any] = {}
    for given, field, arn, name in (
        ("LambdaConfigurations", "Function", "LambdaFunctionArn", "LambdaFunctionConfigurations"),
        ("QueueConfigurations", "Queue", "QueueArn", "QueueConfigurations"),
        ("TopicConfigurations", "Topic", "TopicArn", "TopicConfigurations"),
    ):
        for entry in told.get(given) or []:
            if field != "Topic" and destination(stack, str(entry[field])) is None:
                stack.unsupported[logical_id] = f"notification of {entry[field]}; nothing is sent there"
                continue
            rules = ((entry.get("Filter") or {}).get("S3Key") or {}).get("Rules")
            filtered = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
            found.setdefault(name, []).append({arn: entry[field], "Events": [entry["Event"]], **filtered})
    if told.get("EventBridgeConfiguration") is not None:
        found["EventBridgeConfiguration"] = {}
    if found:
        arguments = {"Bucket": stack.name(logical_id), "NotificationConfiguration": found}
        yield StoreSpec(logical_id, "s3", "put_bucket_notification_configuration", arguments)
