"""DynamoDB's time to live: deletes what has expired, which moto never does.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""

from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table

# Before anything counts deletions: these are free [D].
_delete = Table.delete_item
# [D] What expired longer ago stays.
_OLDEST = 5 * 365 * 86400
_SERVICE = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}  # [D] on a stream, who has deleted it


def sweep(now: float, lag: float) -> int:
    """Delete what expired `lag` seconds before `now` or earlier, and return how many items that were."""
    tables = [
        table
        for account in dynamodb_backends.values()
        for region in account.values()
        for table in region.tables.values()
        if table.ttl.get("TimeToLiveStatus") == "ENABLED"
    ]
    return sum(_sweep(table, now - lag, now - _OLDEST) for table in tables)


def _sweep(table: Any, latest: float, oldest: float) -> int:
    name = table.ttl["AttributeName"]
    expired = [item for item in _items(table) if _expires(item, name, latest, oldest)]
    for item in expired:
        _delete(table, item.hash_key, item.range_key)
        if table.stream_shard is not None:
            table.stream_shard.items[-1].record["userIdentity"] = _SERVICE
    return len(expired)


def _items(table: Any) -> list[Any]:
    held = table.items.values()
    return [item for partition in held for item in partition.values()] if table.range_key_attr else list(held)


def _expires(item: Any, name: str, latest: float, oldest: float) -> bool:
    value = item.attrs.get(name)
    # [D] Only a number counts, in seconds since 1970.
    return value is not None and value.type == "N" and oldest < float(value.value) <= latest
