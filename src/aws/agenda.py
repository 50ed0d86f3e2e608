"""What has to happen much later, in DynamoDB: one partition, in the order of time, which the heartbeat reads."""

import secrets
from collections.abc import Iterator, Sequence

from aws import keys
from aws.table import Table, key, number, text

LAST = "~"  # sorts after everything that follows a time


class DynamoAgenda:
    """Fills `server.ports.Agenda`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, job: str, when: int) -> None:
        item = key(keys.AGENDA, f"{keys.at(when)}-{secrets.token_hex(8)}")
        self._table.put_all([{**item, "job": text(job), "ttl": number(when + keys.AGENDA_TTL)}])

    def due(self, at: int) -> Iterator[tuple[str, str]]:
        # Not a consistent read, which costs twice: what is too new to be seen is seen a minute later.
        items = self._table.query(
            KeyConditionExpression="pk = :pk AND sk < :now",
            ExpressionAttributeValues={":pk": text(keys.AGENDA), ":now": text(keys.at(at) + LAST)},
        )
        for item in items:
            yield item["sk"]["S"], item["job"]["S"]

    def remove(self, ids: Sequence[str]) -> None:
        self._table.delete_all([key(keys.AGENDA, id) for id in ids])
