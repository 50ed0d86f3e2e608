"""The members of rooms in DynamoDB: one item for each socket in each room, one Query a page to find them."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aws import keys
from aws.clients import translated
from aws.connections import place_key
from aws.table import Item, Table, number, pack, text, unpack
from server.records import Dialect, Member, Membership

IS_THEIRS = "#connection = :id"
TAKE_OVER = "SET #connection = :new"


class DynamoRooms:
    """Fills `server.ports.Rooms`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def enter(self, namespace: str, rooms: Sequence[str | None], member: Member) -> None:
        place = {
            "connection": text(member.connection_id),
            "ttl": number(int(time.time()) + keys.CONNECTION_TTL),
        }
        if member.info is not None:
            place["info"] = pack(member.info)
        for name in ("dialect", "after"):
            if value := getattr(member, name):
                place[name] = text(value)
        self._table.put_all([place_key(Membership(namespace, room, member.sid)) | place for room in rooms])

    def leave(self, memberships: Iterable[Membership]) -> None:
        self._table.delete_all([place_key(membership) for membership in memberships])

    def evict(self, memberships: Iterable[Membership], connection_id: str) -> None:
        for membership in memberships:
            self._if_theirs(self._table.client.delete_item, membership, connection_id)

    def rehome(self, memberships: Iterable[Membership], old: str, new: str) -> None:
        client = self._table.client
        for membership in memberships:
            self._if_theirs(client.update_item, membership, old, {":new": text(new)}, UpdateExpression=TAKE_OVER)

    def _if_theirs(
        self,
        write: Callable[..., Any],
        place: Membership,
        connection_id: str,
        values: Item | None = None,
        **parameters: Any,
    ) -> None:
        """Do a write to a place if it is that connection's."""
        with translated(), contextlib.suppress(self._table.client.exceptions.ConditionalCheckFailedException):
            write(
                TableName=self._table.name,
                Key=place_key(place),
                ConditionExpression=IS_THEIRS,
                ExpressionAttributeNames={"#connection": "connection"},
                ExpressionAttributeValues={":id": text(connection_id), **(values or {})},
                **parameters,
            )

    def members(self, namespace: str, room: str | None) -> list[Member]:
        return [_member(item) for pk in keys.of_members(namespace, room) for item in self._members(pk)]

    def _members(self, pk: str) -> Iterable[Item]:
        return self._table.query(
            KeyConditionExpression="pk = :pk AND begins_with(sk, :member)",
            FilterExpression="#ttl > :now",
            ExpressionAttributeNames={"#ttl": "ttl"},
            ExpressionAttributeValues={
                ":pk": text(pk),
                ":member": text(keys.MEMBER),
                ":now": number(int(time.time())),
            },
            ConsistentRead=True,
        )


def _member(item: Item) -> Member:
    sid = item["sk"]["S"].removeprefix(keys.MEMBER)
    dialect = Dialect(item.get("dialect", {}).get("S", ""))
    return Member(sid, item["connection"]["S"], unpack(item.get("info")), dialect, item.get("after", {}).get("S", ""))
