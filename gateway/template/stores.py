"""Buckets, parameters, secrets and user pools of a stack: the plain stores, each made with one call."""

import json
import secrets
import string
from collections.abc import Mapping
from functools import partial
from typing import Any

from gateway.template.specs import StoreSpec
from gateway.template.stack import Stack, true

_POOL = ("Policies", "Schema", "AliasAttributes", "AutoVerifiedAttributes", "UsernameAttributes")
_CLIENT = ("UserPoolId", "ExplicitAuthFlows", "AllowedOAuthFlows", "AllowedOAuthScopes", "CallbackURLs", "LogoutURLs")
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


def pools(stack: Stack) -> list[StoreSpec]:
    """Return the user pools."""
    return [stack.named(name, partial(_pool, stack)) for name in stack.of_type("AWS::Cognito::UserPool")]


def pool_clients(stack: Stack) -> list[StoreSpec]:
    """Return the clients of user pools, which have to be there."""
    return [stack.named(name, partial(_client, stack)) for name in stack.of_type("AWS::Cognito::UserPoolClient")]


def _pool(stack: Stack, logical_id: str, properties: Mapping[str, Any]) -> StoreSpec:
    if properties.get("LambdaConfig"):
        stack.unsupported[f"{logical_id}.LambdaConfig"] = "triggers of a user pool; none is invoked"
    arguments = {name: properties[name] for name in _POOL if name in properties}
    arguments["PoolName"] = stack.name(logical_id)
    return StoreSpec(logical_id, "cognito-idp", "create_user_pool", arguments, "UserPool.Id")


def _client(stack: Stack, logical_id: str, properties: Mapping[str, Any]) -> StoreSpec:
    arguments = {name: properties[name] for name in _CLIENT if name in properties}
    for name in ("GenerateSecret", "AllowedOAuthFlowsUserPoolClient"):
        if name in properties:
            arguments[name] = true(properties[name])
    arguments["ClientName"] = stack.name(logical_id)
    return StoreSpec(logical_id, "cognito-idp", "create_user_pool_client", arguments, "UserPoolClient.ClientId")


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
