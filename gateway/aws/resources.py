"""Makes a stack's tables and queues on an AWS endpoint."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gateway.errors import GatewayError
from gateway.settings import Settings
from gateway.template.specs import QueueSpec, StoreSpec, TableSpec

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

# Any pair does for an AWS on this machine; the user's own keys are never used.
CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "aws_session_token": "local"}
_CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3}, max_pool_connections=32)

_EXISTS = ("BucketAlreadyOwnedByYou", "ResourceExistsException")


def clients(endpoint: str, settings: Settings) -> tuple[DynamoDBClient, SQSClient]:
    """Return clients of the AWS at `endpoint`."""
    session = boto3.Session(region_name=settings.region, **CREDENTIALS)  # type: ignore[arg-type]
    return (
        session.client("dynamodb", endpoint_url=endpoint, config=_CONFIG),
        session.client("sqs", endpoint_url=endpoint, config=_CONFIG),
    )


def streams(endpoint: str, settings: Settings) -> Any:
    """Return a client of the tables' streams on the AWS at `endpoint`."""
    session = boto3.Session(region_name=settings.region, **CREDENTIALS)  # type: ignore[arg-type]
    # boto3's types for it would be one more package, for three calls.
    return session.client("dynamodbstreams", endpoint_url=endpoint, config=_CONFIG)


def create(
    dynamodb: DynamoDBClient, sqs: SQSClient, tables: Iterable[TableSpec], queues: Iterable[QueueSpec]
) -> dict[str, str]:
    """Make what does not exist yet, and return the queues' addresses by logical id. Raises GatewayError."""
    logical_id = ""
    try:
        for table in tables:
            logical_id = table.logical_id
            _create_table(dynamodb, table)
        urls = {}
        redriven = []
        for queue in queues:
            logical_id = queue.logical_id
            urls[logical_id] = sqs.create_queue(QueueName=queue.name, Attributes=queue.attributes)["QueueUrl"]  # type: ignore[arg-type]
            redriven += [queue] if queue.redrive else []
        # Only now does every dead-letter queue exist.
        for queue in redriven:
            logical_id = queue.logical_id
            sqs.set_queue_attributes(QueueUrl=urls[logical_id], Attributes={"RedrivePolicy": str(queue.redrive)})
    except (ClientError, BotoCoreError) as error:
        raise GatewayError(f"{logical_id} cannot be created: {error}") from None
    return urls


def create_stores(
    endpoint: str, settings: Settings, stores: Iterable[StoreSpec], chosen: dict[str, str] | None = None
) -> dict[str, str]:
    """Make what does not exist yet, and return what could not be made: why, by logical id.

    The ids that the AWS chooses go to `chosen`.
    """
    session = boto3.Session(region_name=settings.region, **CREDENTIALS)  # type: ignore[arg-type]
    made: dict[str, Any] = {}
    failed = {}
    for store in stores:
        if store.service not in made:
            # Buckets in the path: their names do not resolve to this machine.
            config = _CONFIG.merge(Config(s3={"addressing_style": "path"}))
            made[store.service] = session.client(store.service, endpoint_url=endpoint, config=config)  # type: ignore[call-overload]
        try:
            answer = getattr(made[store.service], store.operation)(**store.arguments)
            if store.answer and chosen is not None:
                chosen[store.logical_id] = str(
                    functools.reduce(lambda found, name: found[name], store.answer.split("."), answer)
                )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _EXISTS:
                failed[store.logical_id] = f"cannot be created: {error}"
        except BotoCoreError as error:
            failed[store.logical_id] = f"cannot be created: {error}"
    return failed


def _create_table(dynamodb: DynamoDBClient, table: TableSpec) -> None:
    with contextlib.suppress(dynamodb.exceptions.ResourceInUseException):
        dynamodb.create_table(TableName=table.name, **table.arguments)
    dynamodb.get_waiter("table_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    if table.ttl is None:
        return
    try:
        dynamodb.update_time_to_live(
            TableName=table.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl}
        )
    except ClientError as error:
        # The answer where a table that already existed has it on.
        if error.response["Error"]["Code"] != "ValidationException":
            raise
