"""A room in which much was said: written into the table as the server would have, one message after another."""

import json
import time

from aws import keys
from chat.seals import person_of, random_id
from gateway.testing import Table
from tests.chat.person import Invitation

TEXT = "the ember travels slowly along its fuse while everybody talks of nothing that will last until tomorrow"


def fill(table: Table, invitation: Invitation, count: int) -> None:
    """Put `count` messages of three people into a room that has none."""
    room = invitation.room
    [head] = [item for item in table.items if item["pk"] == keys.of_room("/", room) and item["sk"] == keys.HEAD]
    authors = [(name, person_of(room, random_id(16))) for name in ("Ann", "Bob", "Cleo")]
    began = int(time.time() * 1000) - count * 1_000
    before: list[object] = [0, ""]
    for seq in range(1, count + 1):
        name, person = authors[seq // 4 % 3]
        id = random_id()
        text = f"{seq}: {TEXT[: seq * 37 % len(TEXT)]}"
        body = {"text": text, "name": name, "stream": person, "n": seq, "after": before}
        sealed = invitation.keys.seal("message", body, person, id)
        table.put(
            {
                "pk": head["pk"],
                "sk": keys.ENTRY + id,
                "seq": seq,
                "at": began + seq * 1_000,
                "body": json.dumps({"from": person, "body": sealed, "rev": 0}),
                "ttl": head["ttl"],
            }
        )
        before = [seq, id]
    table.put(head | {"last": count})
