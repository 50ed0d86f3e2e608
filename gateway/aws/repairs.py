"""What moto does otherwise than the service, or takes too long for: replaced before it serves."""

import copy
import datetime
import itertools
import json
import secrets
import types
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

from moto import backends
from moto.core import responses as core_responses
from moto.core import utils as core_utils
from moto.dynamodb import models as dynamodb_models
from moto.dynamodb.models import table as dynamodb_table
from moto.sqs import models as sqs_models

from gateway.aws import quick
from gateway.aws.faults import Faults
from gateway.aws.metering import Work, stored
from gateway.clock import Clock

_FIRST_SEQUENCE_NUMBER = 18_849_496_460_467_696_128  # 20 digits, as the service's
_DEDUPLICATION = 300.0  # [D] seconds


def repair(clock: Clock, work: Work, faults: Faults, later: Callable[[float, str, str], object]) -> None:
    """Change moto in this process.

    `later(delay, queue, group)` is called where there will be something on a queue in `delay` seconds.
    """
    models: Any = sqs_models
    _turn_clocks(models, clock)
    _repair_order(models)
    _repair_receives(models, clock, work, faults, later)
    _repair_deduplication(models, clock, work)
    _count_late(models)
    _delete_one(models)
    _query_one_partition()
    _undo_items()
    # It draws each of a handle's 185 characters by itself, as those of a request's id.
    models.generate_receipt_handle = lambda: secrets.token_urlsafe(139)[:185]
    # It reads moto's folder from disk at each request.
    known = list(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: known
    # It looks through a class for its methods, and spells an operation in its own way, at each request.
    core: Any = core_responses
    core.method_names_from_class = cache(core.method_names_from_class)
    core.camelcase_to_underscores = cache(core.camelcase_to_underscores)
    core.gen_amzn_requestid_long = _request_id
    quick.install()


def _request_id(headers: dict[str, Any]) -> str:
    headers["x-amzn-requestid"] = found = secrets.token_hex(26).upper()
    return found


def _turn_clocks(models: Any, clock: Clock) -> None:
    """Let moto live in our time."""

    class Turned(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return datetime.datetime.fromtimestamp(clock.now(), tz)

    core: Any = core_utils
    core.datetime = types.SimpleNamespace(datetime=Turned)
    # It builds two datetimes for each look at a message's clock, and there are several a message and request.
    models.unix_time_millis = lambda: clock.now() * 1000
    models.unix_time = clock.now


def _repair_order(models: Any) -> None:
    """Let the sequence numbers of FIFO queues grow, as the service's do; moto's are random or absent."""
    send = models.SQSBackend.send_message
    numbers = itertools.count(_FIRST_SEQUENCE_NUMBER, 256)

    def send_message(self: Any, queue_name: str, *args: Any, **kwargs: Any) -> Any:
        message = send(self, queue_name, *args, **kwargs)
        if self.get_queue(queue_name).fifo_queue:
            message.sequence_number = str(next(numbers))
        return message

    models.SQSBackend.send_message = send_message


def _repair_receives(
    models: Any, clock: Clock, work: Work, faults: Faults, later: Callable[[float, str, str], object]
) -> None:
    """Receive without looking at every message several times, and as the service does.

    A group that failed as a batch comes back with its first message last: moto takes a message whose visibility
    timeout has passed out of its set of pending ones while it walks the queue, so the first message of the group is
    still held back by the second, which is then given out before it. A message past its retention stops moto's walk
    for good. And a receive that waits holds up all others: here it says how long it would, and is made again.
    """
    change = models.SQSBackend.change_message_visibility

    def receive_message(
        self: Any, queue_name: str, count: int, wait: int, visibility_timeout: int, names: Any = None
    ) -> list[Any]:
        queue = self.get_queue(queue_name)
        now = clock.now() * 1000
        found = _given_again(models, queue, now, count)
        queue.pending_messages.difference_update([held for held in queue.pending_messages if held.visible_at < now])
        pending = queue.pending_messages
        groups = {message.group_id for message in pending} if queue.fifo_queue else frozenset()
        oldest = now - queue.message_retention_period * 1000
        limit = queue.redrive_policy["maxReceiveCount"] if queue.dead_letter_queue and queue.redrive_policy else None
        gone, dead = [], []
        for message in queue._messages:
            if len(found) == count:
                break
            held = message in pending or message.group_id in groups
            if message.sent_timestamp <= oldest:
                gone.append(message)
            elif held or message.visible_at >= now or message.delayed_until > now:
                continue
            elif limit is not None and message.approximate_receive_count >= limit:
                dead.append(message)
            else:
                pending.add(message)
                message.mark_received(visibility_timeout=visibility_timeout)
                found.append(copy.copy(message))
                if (fault := faults.of_message(queue_name)) is not None:
                    queue.__dict__.setdefault("_again", []).append((now + fault.delay * 1000, message))
                    later(fault.delay, queue_name, message.group_id or "")
        for message in gone + dead:
            queue._messages.remove(message)
            pending.discard(message)
        for message in dead:
            queue.dead_letter_queue.add_message(message)
        for message in found:
            models._filter_message_attributes(message, names or [])
        work.wait, work.found = float(wait), bool(found)
        return found

    def change_message_visibility(self: Any, queue_name: str, *args: Any, **kwargs: Any) -> None:
        change(self, queue_name, *args, **kwargs)
        work.changed.append((queue_name, ""))

    models.SQSBackend.receive_message = receive_message
    models.SQSBackend.change_message_visibility = change_message_visibility


def _given_again(models: Any, queue: Any, now: float, count: int) -> list[Any]:
    """Return the messages that a fault lets out again, wherever they are by now."""
    waiting: list[tuple[float, Any]] = queue.__dict__.get("_again", [])
    due = [entry for entry in waiting if entry[0] <= now][:count]
    found = []
    for entry in due:
        waiting.remove(entry)
        message = entry[1]
        message.approximate_receive_count += 1
        again = copy.copy(message)
        again.receipt_handle = models.generate_receipt_handle()
        # Either handle deletes the message; where it is deleted already, this one finds nothing to delete.
        if message in queue._messages:
            message._old_receipt_handles.append(again.receipt_handle)
        else:
            queue.deleted_messages.add(again.receipt_handle)
        found.append(again)
    return found


def _repair_deduplication(models: Any, clock: Clock, work: Work) -> None:
    """Let a deduplication id count for its five minutes, in its group alone where the queue says so.

    moto forgets it with the message, asks every group, and looks through the whole queue. A message that is moved to a
    dead-letter queue is no duplicate of anything.
    """

    def add_message(self: Any, message: Any) -> None:
        if self.fifo_queue and message.deduplication_id and not message.approximate_receive_count:
            now = clock.monotonic()
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
        work.changed.append((self.name, message.group_id or ""))

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


def _query_one_partition() -> None:
    """Look for a query's items where they are: moto sorts the whole table for each."""
    table: Any = dynamodb_table.Table
    query = table.query

    def one_partition(self: Any, hash_key: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("index_name") or (len(args) > 6 and args[6]):
            # What an index finds is sorted anyway.
            held = list(self.items.values())
        else:
            held = [self.items[hash_key]] if hash_key in self.items else []
        items = [item for partition in held for item in partition.values()] if self.range_key_attr else held
        self.all_items = lambda: items
        try:
            return query(self, hash_key, *args, **kwargs)
        finally:
            del self.all_items

    table.query = one_partition


def _undo_items() -> None:
    """Undo a cancelled transaction item by item: moto copies whole tables before each one, and puts the copies back.

    A copy has another stream as well, so readers of the old one would never see anything again.
    """
    backend: Any = dynamodb_models.DynamoDBBackend
    transact = backend.transact_write_items
    copied: Any = dynamodb_table.Table

    def transact_write_items(self: Any, transact_items: Any) -> None:
        saved = [_saved(self, action) for entry in transact_items for action in entry.values()]
        streams = {id(shard): (shard, len(shard.items)) for table, *_ in saved if (shard := table.stream_shard)}
        # moto's copy is the table itself.
        copied.__deepcopy__ = lambda table, _memo: table
        try:
            transact(self, transact_items)
        except Exception:
            for table, key, item in saved:
                _put_back(table, key, item)
            for shard, count in streams.values():
                del shard.items[count:]
            raise
        finally:
            del copied.__deepcopy__

    def _saved(self: Any, action: Any) -> tuple[Any, Any, Any]:
        table = self.get_table(action["TableName"])
        key = action.get("Key") or action["Item"]
        return table, self.get_keys_value(table, key), copy.deepcopy(stored(table, key))

    backend.transact_write_items = transact_write_items


def _put_back(table: Any, key: tuple[Any, Any], item: Any) -> None:
    hash_key, range_key = key
    holder, name = (table.items, hash_key) if range_key is None else (table.items[hash_key], range_key)
    if item is None:
        holder.pop(name, None)
    else:
        holder[name] = item
