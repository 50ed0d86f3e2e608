"""What moto's SQS does otherwise than the service, or takes too long for: replaced before it serves."""

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from moto import backends
from moto.sqs import models as sqs_models

_FIRST_SEQUENCE_NUMBER = 18_849_496_460_467_696_128  # 20 digits, as the service's
_DEDUPLICATION = 300.0  # [D] seconds


def repair() -> None:
    """Change moto in this process."""
    models: Any = sqs_models
    _repair_order(models)
    _repair_deduplication(models)
    _count_late(models)
    _delete_one(models)
    # It draws each of a handle's 185 characters by itself.
    models.generate_receipt_handle = lambda: secrets.token_urlsafe(139)[:185]
    # It builds two datetimes for each look at a message's clock, and there are several a message and request.
    models.unix_time_millis = lambda: time.time() * 1000
    # It reads moto's folder from disk at each request.
    known = list(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: known


def _repair_order(models: Any) -> None:
    """Repair the order of FIFO queues.

    A group that failed as a batch comes back with its first message last: moto takes a message whose visibility
    timeout has passed out of its set of pending ones while it walks the queue, so the first message of the group is
    still held back by the second, which is then given out before it. And sequence numbers are random or absent, where
    the service's grow.
    """
    receive, send = models.SQSBackend.receive_message, models.SQSBackend.send_message
    numbers = itertools.count(_FIRST_SEQUENCE_NUMBER, 256)

    def receive_message(self: Any, queue_name: str, *args: Any, **kwargs: Any) -> Any:
        pending = self.get_queue(queue_name).pending_messages
        pending.difference_update([message for message in pending if message.visible])
        return receive(self, queue_name, *args, **kwargs)

    def send_message(self: Any, queue_name: str, *args: Any, **kwargs: Any) -> Any:
        message = send(self, queue_name, *args, **kwargs)
        if self.get_queue(queue_name).fifo_queue:
            message.sequence_number = str(next(numbers))
        return message

    models.SQSBackend.receive_message = receive_message
    models.SQSBackend.send_message = send_message


def _repair_deduplication(models: Any) -> None:
    """Let a deduplication id count for its five minutes, in its group alone where the queue says so.

    moto forgets it with the message, asks every group, and looks through the whole queue. A message that is moved to a
    dead-letter queue is no duplicate of anything.
    """

    def add_message(self: Any, message: Any) -> None:
        if self.fifo_queue and message.deduplication_id and not message.approximate_receive_count:
            now = time.monotonic()
            seen: dict[tuple[str, str], float] = self.__dict__.setdefault("_seen", {})
            # Oldest first, as they were put in.
            while seen and next(iter(seen.values())) <= now:
                del seen[next(iter(seen))]
            scope = message.group_id if self.deduplication_scope == "messageGroup" else ""
            if (scope, message.deduplication_id) in seen:
                return
            seen[scope, message.deduplication_id] = now + _DEDUPLICATION
        with self._messages_lock:
            self._messages.append(message)
            self._messages_lock.notify_all()

    models.Queue.add_message = add_message


class _Attributes(Mapping[str, Any]):
    """A queue's attributes, each made when it is asked for."""

    def __init__(self, queue: Any, field: Callable[[str], str]) -> None:
        self._queue = queue
        self._field = field

    def __iter__(self) -> Iterator[str]:
        queue = self._queue
        yield from queue.BASE_ATTRIBUTES
        yield from queue.FIFO_ATTRIBUTES if queue.fifo_queue else ()
        yield from queue.KMS_ATTRIBUTES if queue.kms_master_key_id else ()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> Any:
        if name not in tuple(self):
            raise KeyError(name)
        value = getattr(self._queue, self._field(name))
        if isinstance(value, bool):
            return str(value).lower()
        return json.dumps(value) if name == "RedrivePolicy" and value else value


def _count_late(models: Any) -> None:
    """Count a queue's messages only where their number is asked for.

    moto makes all attributes where it needs one, several times a message: three of them walk the whole queue.
    """
    field = lru_cache(maxsize=None)(models.camelcase_to_underscores)
    models.Queue.attributes = property(lambda self: _Attributes(self, field))


def _delete_one(models: Any) -> None:
    """Take a message out of its queue where it stands; moto makes a new queue of all the others."""

    def delete_message(self: Any, receipt_handle: str) -> None:
        if receipt_handle in self.deleted_messages:
            return
        message = next((held for held in self._messages if held.had_receipt_handle(receipt_handle)), None)
        if message is None:
            raise models.ReceiptHandleIsInvalid
        self._messages.remove(message)
        self.pending_messages.discard(message)
        self.deleted_messages.update(message.all_receipt_handles)

    models.Queue.delete_message = delete_message
