"""The events that were sent to rooms, in DynamoDB: beside the room's members, and so gone with a room that burns.

What was published is not written twice: the journal's entry has the packet's offset.
"""

import time
from collections.abc import Iterator, Sequence

from aws import keys
from aws.journals import as_entry, entry_key
from aws.table import Item, Table, key, number, pack, text, unpack
from aws.updates import Update
from server.records import Packet


class DynamoPackets:
    """Fills `server.ports.Packets`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def write(self, packets: Sequence[tuple[str, str | None, Packet]], until: int) -> None:
        self._table.put_all([_as_item(*each, until) for each in packets])

    def delay(self, namespace: str, room: str | None, offset: str, late: int, entry: str | None = None) -> None:
        place = _key(namespace, room, offset) if entry is None else entry_key(namespace, room or "", entry)
        Update("late").assign("late", number(late)).when(EXISTS).run(self._table, place)

    def since(self, namespace: str, room: str | None, offset: str) -> list[Packet]:
        items = self._table.query(
            KeyConditionExpression="pk = :pk AND sk BETWEEN :after AND :last",
            FilterExpression="#ttl > :now",
            ExpressionAttributeNames={"#ttl": "ttl"},
            ExpressionAttributeValues={
                ":pk": text(keys.of_packets(namespace, room)),
                ":after": text(keys.PACKET + offset + NEXT),
                ":last": text(keys.PACKET + LAST),
                ":now": number(int(time.time())),
            },
            ConsistentRead=True,
        )
        packets = [_as_packet(item) for item in items]
        if room is not None:
            packets += self._published(namespace, room, offset)
        return sorted(packets, key=lambda packet: packet.offset)

    def _published(self, namespace: str, room: str, offset: str) -> Iterator[Packet]:
        items = self._table.query(
            IndexName=keys.LOG_INDEX,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": text(keys.of_room(namespace, room))},
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=PAGE,
        )
        earliest = int(offset[:11] or "0", 16) - DISORDER
        for item in items:
            if int(item["at"]["N"]) < earliest:
                return
            if "offset" in item and item["offset"]["S"] > offset:
                yield Packet(
                    item["offset"]["S"],
                    late=int(item.get("late", {}).get("N", 0)),
                    event=item["event"]["S"],
                    entry=as_entry(item),
                )


PAGE = 50
"""Entries that are read at once, from the last one back."""

DISORDER = 5_000
"""Milliseconds by which the numbers of a journal and the times of its entries may disagree."""

EXISTS = "attribute_exists(pk)"

LAST = "~"  # sorts after every offset

NEXT = "!"  # at the end of an offset, sorts after it and before every other


def _key(namespace: str, room: str | None, offset: str) -> Item:
    return key(keys.of_packets(namespace, room), keys.PACKET + offset)


def _as_item(namespace: str, room: str | None, packet: Packet, until: int) -> Item:
    item = {**_key(namespace, room, packet.offset), "frames": pack(packet.frames), "ttl": number(until // 1000 + 1)}
    for name in ("skip", "apart"):
        if value := getattr(packet, name):
            item[name] = pack(value)
    if packet.late:
        item["late"] = number(packet.late)
    return item


def _as_packet(item: Item) -> Packet:
    return Packet(
        item["sk"]["S"].removeprefix(keys.PACKET),
        tuple(unpack(item["frames"])),
        tuple(unpack(item.get("skip")) or ()),
        tuple(unpack(item.get("apart")) or ()),
        int(item.get("late", {}).get("N", 0)),
    )
