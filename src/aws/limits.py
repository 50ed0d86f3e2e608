"""How often something was done, in DynamoDB: an item for each window, one write for each use."""

from aws import keys
from aws.table import Table, key, number
from aws.updates import Update

# There were not as many as there may be.
IS_BELOW = "(attribute_not_exists(used) OR used < :limit)"


class DynamoLimits:
    """Fills `server.ports.Limits`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def count(self, name: str, limit: int, until: int) -> bool:
        update = Update("use", spread=True).increase("used").assign("ttl", number(until + keys.LIMIT_TTL))
        update.when(IS_BELOW, limit=number(limit))
        return update.run(self._table, key(keys.of_limit(name, until), keys.LIMIT))[1]
