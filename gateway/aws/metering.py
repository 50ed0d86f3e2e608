"""Counts inside moto what DynamoDB would meter of a call, from the items themselves.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from moto.dynamodb import models
from moto.dynamodb.exceptions import ConditionalCheckFailed, TransactionCanceledException
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from gateway.meter import units

Attributes = Mapping[str, Any]


class Work:
    """What one call does; there is only ever one at a time.

    `changed` are queues with something new and the message group; `wait` is how long a receive that found nothing
    wants to wait, in seconds.
    """

    __slots__ = ("changed", "factors", "found", "read_units", "updating", "wait", "write_units")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A call begins."""
        self.write_units = 0
        self.read_units = 0.0
        self.changed: list[tuple[str, str]] = []
        self.wait = 0.0
        self.found = True
        # Of the tables whose items the call reads one by one: what a unit counts.
        self.factors: dict[str, float] = {}
        self.updating = False


work = Work()


def install() -> None:
    """Let moto count into `work`."""
    _count_writes()
    _count_gets()
    _count_queries()
    _count_statements()


def _pair(value: Any) -> tuple[str, Any]:
    if type(value) is DynamoType:
        return value.type, value.value
    return next(iter(value.items()))  # type: ignore[no-any-return]


def size(item: Attributes | None) -> int:
    """Return the size of an item's attributes in bytes, 0 for none."""
    return 0 if item is None else units.item_size(item, _pair)


def item_size(item: Any) -> int:
    """Return the size of a table's item, 0 for none. It is kept with the item: a copy has none."""
    if item is None:
        return 0
    known: int | None = item.__dict__.get("bytes")
    if known is None:
        known = item.bytes = size(item.attrs)
    return known


def _attributes(item: Any) -> Attributes | None:
    return None if item is None else item.attrs


def stored(table: Any, key: Attributes) -> Any:
    """Return the item of a key, or None. moto's own look-up leaves an empty partition behind."""
    if table.hash_key_attr not in key or (table.range_key_attr and table.range_key_attr not in key):
        return None
    found = table.items.get(DynamoType(key[table.hash_key_attr]))
    if found is not None and table.range_key_attr:
        return found.get(DynamoType(key[table.range_key_attr]))
    return found


# ---------------------------------------------------------------- writes


def _wrote(table: Any, before: Any, after: Any) -> None:
    """An item has taken another's place: the larger of both is metered, and each index in which one is."""
    work.write_units += units.write_units(max(item_size(before), item_size(after)))
    for index in table.all_indexes():
        work.write_units += _index_units(index, _attributes(before), _attributes(after))


def _index_units(index: Any, before: Attributes | None, after: Attributes | None) -> int:
    """Return the units of an index's change.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes
    """
    old, new = _entry(index, before), _entry(index, after)
    if old == new:
        return 0
    if old is None or new is None:
        return units.write_units(size(old) or size(new))
    if any(old[name] != new[name] for name in index.schema_key_attrs):
        # The old entry is deleted, and a new one put.
        return units.write_units(size(old)) + units.write_units(size(new))
    return units.write_units(max(size(old), size(new)))


def _entry(index: Any, item: Attributes | None) -> Attributes | None:
    """Return what an index holds of an item; None where it lacks one of the index's keys."""
    if item is None or any(name not in item for name in index.schema_key_attrs):
        return None
    projection = index.projection or {}
    if projection.get("ProjectionType", "ALL") == "ALL":
        return item
    names = {*index.table_key_attrs, *index.schema_key_attrs, *projection.get("NonKeyAttributes", ())}
    return {name: value for name, value in item.items() if name in names}


def _refused(before: Any) -> None:
    # [D] A condition that does not hold costs what the item there would.
    work.write_units += units.write_units(item_size(before))


def _count_writes() -> None:
    backend: Any = models.DynamoDBBackend
    tables: Any = Table
    put, delete = tables.put_item, tables.delete_item
    update, conditional_delete = backend.update_item, backend.delete_item
    transact = backend.transact_write_items

    def put_item(self: Any, item_attrs: Any, *args: Any, **kwargs: Any) -> Any:
        if work.updating:
            # Part of an update that makes a new item.
            return put(self, item_attrs, *args, **kwargs)
        before = stored(self, item_attrs)
        try:
            item = put(self, item_attrs, *args, **kwargs)
        except ConditionalCheckFailed:
            _refused(before)
            raise
        _wrote(self, before, item)
        return item

    def delete_item(self: Any, hash_key: Any, range_key: Any) -> Any:
        item = delete(self, hash_key, range_key)
        _wrote(self, item, None)
        return item

    def delete_if(self: Any, table_name: str, key: Any, *args: Any, **kwargs: Any) -> Any:
        before = stored(self.get_table(table_name), key)
        try:
            return conditional_delete(self, table_name, key, *args, **kwargs)
        except ConditionalCheckFailed:
            _refused(before)
            raise

    def update_item(self: Any, table_name: str, key: Any, *args: Any, **kwargs: Any) -> Any:
        table = self.get_table(table_name)
        before = stored(table, key)
        # It is changed where it stands.
        larger = item_size(before)
        kept = copy.deepcopy(before.attrs) if before is not None and table.all_indexes() else None
        if before is not None:
            del before.bytes
        work.updating = True
        try:
            item = update(self, table_name, key, *args, **kwargs)
        except ConditionalCheckFailed:
            _refused(before)
            raise
        finally:
            work.updating = False
        work.write_units += units.write_units(max(larger, item_size(item)))
        for index in table.all_indexes():
            work.write_units += _index_units(index, kept, item.attrs)
        return item

    def transact_write_items(self: Any, transact_items: Any) -> None:
        work.write_units = 0
        try:
            transact(self, transact_items)
        except TransactionCanceledException:
            # [I] A cancelled one costs what was prepared: a write of each item as it is.
            work.write_units = sum(_there(self, action) for entry in transact_items for action in entry.values())
            raise
        except Exception:
            work.write_units = 0
            raise
        else:
            # [I] A check is metered as a write of the item that it looks at.
            checks = [entry["ConditionCheck"] for entry in transact_items if "ConditionCheck" in entry]
            work.write_units += sum(_there(self, check) for check in checks)
        finally:
            # [D] Prepared and committed: twice.
            work.write_units *= 2

    def _there(backend: Any, action: Any) -> int:
        table = backend.get_table(action["TableName"])
        return units.write_units(item_size(stored(table, action.get("Key") or action["Item"])))

    tables.put_item = put_item
    tables.delete_item = delete_item
    backend.delete_item = delete_if
    backend.update_item = update_item
    backend.transact_write_items = transact_write_items


# ---------------------------------------------------------------- reads


def _count_gets() -> None:
    tables: Any = Table
    get = tables.get_item

    def get_item(self: Any, hash_key: Any, range_key: Any = None, projection_expression: Any = None) -> Any:
        item = get(self, hash_key, range_key)
        if work.factors:
            # [D] All of the item is read, whatever is projected; what is not there costs the least.
            work.read_units += units.read_units(item_size(item), consistent=True) * work.factors[self.name]
        return item.project(projection_expression) if item is not None and projection_expression else item

    tables.get_item = get_item
    _reads("get_item", lambda body: {body["TableName"]: _factor(body)})
    _reads("batch_get_item", lambda body: {name: _factor(keys) for name, keys in body["RequestItems"].items()})
    # [D] Twice a consistent read.
    _reads("transact_get_items", lambda body: {entry["Get"]["TableName"]: 2.0 for entry in body["TransactItems"]})


def _factor(request: Mapping[str, Any]) -> float:
    return 1.0 if request.get("ConsistentRead") else 0.5


def _reads(name: str, factors: Callable[[Any], dict[str, float]]) -> None:
    handle = getattr(DynamoHandler, name)

    def handler(self: Any) -> Any:
        # A table may be given by its ARN.
        work.factors = {table.rpartition("/")[2]: factor for table, factor in factors(self.body).items()}
        try:
            return handle(self)
        finally:
            work.factors = {}

    setattr(DynamoHandler, name, handler)


class _Counted:
    """A filter that counts what it is asked about: all that a query or scan has read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.size = 0

    def expr(self, item: Any) -> Any:
        """Tell whether the item passes."""
        self.size += size(item.attrs)
        return self._inner is None or self._inner.expr(item)


def _count_queries() -> None:
    # As moto's backend calls them, by position: where the filter and where the consistency stand.
    for name, filter_at, consistent_at in (("query", 9, 8), ("scan", 3, 5)):
        _count_query(name, filter_at, consistent_at)


def _count_query(name: str, filter_at: int, consistent_at: int) -> None:
    original = getattr(Table, name)

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        counter = _Counted(args[filter_at])
        result = original(self, *args[:filter_at], counter, *args[filter_at + 1 :], **kwargs)
        work.read_units += units.read_units(counter.size, consistent=bool(args[consistent_at]))
        return result

    setattr(Table, name, counted)


def _count_statements() -> None:
    """PartiQL goes past the operations. [I] A SELECT is metered as an eventually consistent read of what it returns."""
    backend: Any = models.DynamoDBBackend
    execute = backend.execute_statement

    def execute_statement(self: Any, statement: str, parameters: Any) -> Any:
        items = execute(self, statement, parameters)
        if statement.lstrip()[:6].upper() == "SELECT":
            work.read_units += units.read_units(sum(size(item) for item in items), consistent=False)
        return items

    backend.execute_statement = execute_statement
