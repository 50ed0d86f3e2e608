"""Buckets, parameters and secrets of a stack: the plain stores, each made with one call."""

import json
import secrets
import string
from collections.abc import Mapping
from functools import partial
from typing import Any

from gateway.template.specs import StoreSpec
from gateway.template.stack import Stack

_ALPHABET = string.ascii_letters + string.digits


def stores(stack: Stack) -> list[StoreSpec]:
    """Return the stores; raises TemplateError."""
    return [
        stack.named(logical_id, partial(make, stack))
        for kind, make in (
            ("AWS::S3::Bucket", _bucket),
            ("AWS::SSM::Parameter", _parameter),
            ("AWS::SecretsManager::Secret", _secret),
        )
        for logical_id in stack.of_type(kind)
    ]


def _bucket(stack: Stack, logical_id: str, properties: Mapping[str, Any]) -> StoreSpec:
    arguments: dict[str, Any] = {"Bucket": stack.name(logical_id)}
    # S3's oldest Region is the one that must not be named.
    if stack.settings.region != "us-east-1":
        arguments["CreateBucketConfiguration"] = {"LocationConstraint": stack.settings.region}
    return StoreSpec(logical_id, "s3", "create_bucket", arguments)


def _parameter(stack: Stack, logical_id: str, properties: Mapping[str, Any]) -> StoreSpec:
    kind, value = str(properties.get("Type", "String")), str(properties["Value"])
    arguments = {"Name": stack.name(logical_id), "Type": kind, "Value": value, "Overwrite": True}
    return StoreSpec(logical_id, "ssm", "put_parameter", arguments)


def _secret(stack: Stack, logical_id: str, properties: Mapping[str, Any]) -> StoreSpec:
    text = properties.get("SecretString")
    if text is None and (rules := properties.get("GenerateSecretString")) is not None:
        text = "".join(secrets.choice(_ALPHABET) for _ in range(int(rules.get("PasswordLength", 32))))
        if key := rules.get("GenerateStringKey"):
            text = json.dumps({**json.loads(rules.get("SecretStringTemplate", "{}")), key: text})
    arguments = {"Name": stack.name(logical_id), **({} if text is None else {"SecretString": str(text)})}
    return StoreSpec(logical_id, "secretsmanager", "create_secret", arguments)
