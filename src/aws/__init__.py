"""The server's ports on DynamoDB, @connections and SQS: the only package that imports boto3."""

import os
import time

from aws.agenda import DynamoAgenda
from aws.connections import DynamoConnections
from aws.journals import DynamoJournals
from aws.limits import DynamoLimits
from aws.mailboxes import DynamoMailboxes
from aws.packets import DynamoPackets
from aws.questions import DynamoQuestions
from aws.queue import DelayQueue, FifoQueue
from aws.rooms import DynamoRooms
from aws.table import Table
from aws.wire import ManagementApi
from server.ports import Ports


def now() -> int:
    """Return the time in Unix milliseconds."""
    return int(time.time() * 1000)


def ports() -> Ports:
    """Return the ports on the stack that the environment names.

    TABLE, QUEUE_URL, TIMERS_URL, CONNECTIONS_URL, and FRAMES_URL where frames come through a queue.
    """
    table = Table(os.environ["TABLE"])
    queue = FifoQueue(os.environ["QUEUE_URL"])
    frames = os.environ.get("FRAMES_URL")
    return Ports(
        connections=DynamoConnections(table),
        rooms=DynamoRooms(table),
        journals=DynamoJournals(table),
        mailboxes=DynamoMailboxes(table),
        wire=ManagementApi(),
        packets=DynamoPackets(table),
        questions=DynamoQuestions(table),
        limits=DynamoLimits(table),
        agenda=DynamoAgenda(table),
        queue=queue,
        inbox=FifoQueue(frames) if frames else queue,
        timers=DelayQueue(os.environ["TIMERS_URL"]),
        now=now,
        sleep=time.sleep,
    )
