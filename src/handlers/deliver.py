"""The queues' jobs: what has to happen after an invocation, in order within a group, and what has its time."""

import os
from typing import Any

from aws import clients
from handlers import batch, wiring

_engine = wiring.engine(clients.connections, clients.sqs)
_urls = (os.environ["QUEUE_URL"], os.environ["TIMERS_URL"])


@wiring.guarded(lambda event: batch.failures(event["Records"]))
def handler(event: wiring.Event, context: Any) -> dict[str, Any]:
    def deliver(record: batch.Record) -> None:
        _engine.deliver(record["body"], wiring.deadline(context))

    return batch.handle(event["Records"], deliver, _urls, context)
