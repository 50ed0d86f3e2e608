"""The server's ports on DynamoDB, @connections and SQS: the only package that imports boto3."""

import os
import time

from aws.connections import DynamoConnections
from aws.journals import DynamoJournals
from aws.mailboxes import DynamoMailboxes
from aws.queue import FifoQueue
from aws.rooms import DynamoRooms
from aws.table import Table
from aws.wire import ManagementApi
from server.ports import Ports


def now() -> int:
    """Return the time in Unix milliseconds."""
    return int(time.time() * 1000)


def ports() -> Ports:
    """Return the ports on the stack that the environment names: TABLE, QUEUE_URL, CONNECTIONS_URL."""
    table = Table(os.environ["TABLE"])
    return Ports(
        connections=DynamoConnections(table),
        rooms=DynamoRooms(table),
        journals=DynamoJournals(table),
        mailboxes=DynamoMailboxes(table),
        wire=ManagementApi(),
        queue=FifoQueue(os.environ["QUEUE_URL"]),
        now=now,
        sleep=time.sleep,
    )
