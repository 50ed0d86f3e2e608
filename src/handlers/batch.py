"""A batch of a queue's messages: each is handled, and those that failed are named, so that only they come again."""

from collections.abc import Callable, Iterable
from typing import Any

from aws.queue import retry_soon
from handlers import wiring

Record = dict[str, Any]


NEEDED = 8_000
"""Milliseconds that must be left of an invocation for another message: a killed function fails all of its batch."""


def handle(
    records: Iterable[Record], do: Callable[[Record], None], urls: Iterable[str], context: Any
) -> dict[str, Any]:
    """Do what each record says, and return Lambda's partial batch response.

    One that failed holds back those of its group that follow it, and comes again in a second. `urls` are the queues'.
    """
    by_name = {url.rpartition("/")[2]: url for url in urls}
    failed: list[Record] = []
    stopped: set[str] = set()
    for record in records:
        group = record["attributes"].get("MessageGroupId", record["messageId"])
        try:
            if group not in stopped:
                if context.get_remaining_time_in_millis() < NEEDED:
                    raise TimeoutError("too little is left of this invocation for another message")
                do(record)
                continue
        except Exception:
            wiring.log.exception("message %s of group %s failed", record["messageId"], group)
        stopped.add(group)
        failed.append(record)
        # All of them: one that stays invisible holds back its group.
        if url := by_name.get(record["eventSourceARN"].rpartition(":")[2]):
            retry_soon(url, record["receiptHandle"])
    return failures(failed)


def failures(records: Iterable[Record]) -> dict[str, Any]:
    """Return the response that says of these records that they failed."""
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in records]}
