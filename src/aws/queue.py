"""The queues: FIFO for work that has to happen after an invocation and for frames, standard for what has its time."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aws import clients
from server.ports import PortError, Rejected, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

log = logging.getLogger("fleeting.aws:queue")

_BATCH = 10  # the most that SendMessageBatch takes …
_BATCH_BYTES = 262_144  # … and their size together (quotas of Amazon SQS)


class FifoQueue:
    """Fills `server.ports.Queue`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def put(self, jobs: Sequence[tuple[str, str]]) -> None:
        failures: list[PortError] = []
        for batch in _batches(jobs):
            try:
                self._send(batch)
            except PortError as error:  # the others may well be taken
                failures.append(error)
        if failures:
            raise failures[0]

    def _send(self, batch: Sequence[tuple[str, str]]) -> None:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            # Fresh for each job and the same when the SDK repeats a call, which is all that it has to tell apart.
            {
                "Id": str(n),
                "MessageBody": body,
                "MessageGroupId": group,
                "MessageDeduplicationId": secrets.token_hex(16),
            }
            for n, (group, body) in enumerate(batch)
        ]
        with clients.translated():
            answer = clients.sqs().send_message_batch(QueueUrl=self._url, Entries=entries)
        if failed := answer.get("Failed"):
            reasons = ", ".join(sorted({failure["Code"] for failure in failed}))
            kind = Rejected if all(failure["SenderFault"] for failure in failed) else Unavailable
            raise kind(f"SQS did not take {len(failed)} of {len(batch)} jobs: {reasons}")


class DelayQueue:
    """Fills `server.ports.Timers`: a standard queue, since a FIFO queue delays all of its messages alike."""

    def __init__(self, url: str) -> None:
        self._url = url

    def start(self, job: str, seconds: int) -> None:
        with clients.translated():
            clients.sqs().send_message(QueueUrl=self._url, MessageBody=job, DelaySeconds=seconds)


def retry_soon(url: str, receipt_handle: str) -> None:
    """Let a message that failed come back in a second; by itself it would hold up its group for minutes."""
    try:
        with clients.translated():
            clients.sqs().change_message_visibility(QueueUrl=url, ReceiptHandle=receipt_handle, VisibilityTimeout=1)
    except PortError:
        log.warning("a failed job comes back only after the queue's visibility timeout", exc_info=True)


def _batches(jobs: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    batches: list[list[tuple[str, str]]] = []
    room = 0
    for job in jobs:
        size = len(job[1].encode())
        if not batches or len(batches[-1]) == _BATCH or size > room:
            batches.append([])
            room = _BATCH_BYTES
        batches[-1].append(job)
        room -= size
    return batches
