"""The queue's jobs, in order within a group: a job that failed holds back those of its group that follow it."""

import os
from typing import Any

from aws import clients
from aws.queue import FifoQueue
from handlers import wiring

_engine = wiring.engine(clients.connections, clients.sqs)
_queue = FifoQueue(os.environ["QUEUE_URL"])


@wiring.guarded(lambda event: _failures(event["Records"]))
def handler(event: wiring.Event, context: Any) -> dict[str, Any]:
    failed: list[wiring.Event] = []
    stopped: set[str] = set()
    for record in event["Records"]:
        group = record["attributes"]["MessageGroupId"]
        try:
            if group not in stopped:
                _engine.deliver(record["body"], wiring.deadline(context))
                continue
        except Exception:
            wiring.log.exception("job %s of group %s failed", record["messageId"], group)
        stopped.add(group)
        failed.append(record)
        _queue.retry_soon(record["receiptHandle"])  # all of them: one that stays invisible holds back its group
    return _failures(failed)


def _failures(records: list[wiring.Event]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in records]}
