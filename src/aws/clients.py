"""The boto3 clients, with the time limits that Lambda needs, and AWS's errors as the ports' own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from server.ports import Gone, PortError, Rejected, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi.client import ApiGatewayManagementApiClient
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_sqs.client import SQSClient

_QUICK = Config(connect_timeout=1, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})

# Posts run in parallel, and are repeated by the outbox alone: the SDK's own retries could send a frame twice unseen.
# A post may hang without a limit.
_POSTING = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 1}, max_pool_connections=32)

_BUSY = {"LimitExceededException", "ThrottlingException", "TooManyRequestsException", "RequestTimeout"}


@cache
def dynamodb() -> DynamoDBClient:
    """The table's client."""
    return boto3.client("dynamodb", config=_QUICK)


@cache
def sqs() -> SQSClient:
    """The queue's client."""
    return boto3.client("sqs", config=_QUICK)


@cache
def connections() -> ApiGatewayManagementApiClient:
    """The client of @connections. Its address is configuration: an event's domain may be a CDN's or a custom one."""
    return boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["CONNECTIONS_URL"], config=_POSTING)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what boto3 raises into the ports' errors."""
    try:
        yield
    except ClientError as error:
        raise as_port_error(error) from error
    except BotoCoreError as error:  # no connection, a time limit, a broken answer
        raise Unavailable(str(error)) from error


def as_port_error(error: ClientError) -> PortError:
    """Return the port's error for AWS's: busy or broken is Unavailable, 410 is Gone, the rest is Rejected."""
    answer: Any = error.response
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    code = answer.get("Error", {}).get("Code", "")
    if code == "GoneException" or status == 410:
        return Gone(str(error))
    throttled = "Throttl" in code or "ThroughputExceeded" in code or "RequestLimit" in code
    if status == 429 or status >= 500 or code in _BUSY or throttled:
        return Unavailable(str(error))
    return Rejected(str(error))
