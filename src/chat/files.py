"""Files: kept sealed and chunk by chunk, as values beside a room's messages."""

from chat.refusals import Refused
from server import Server

AT_ONCE = 4
"""Most chunks of an answer, which is one message of 128 KB at most."""


class Files:
    """The files of all rooms; a chunk is `{from, count, data}` under the name file/index."""

    def __init__(self, sio: Server) -> None:
        self._sio = sio

    def keep(self, room: str, person: str, file: str, index: int, count: int, data: str) -> None:
        """Keep one of a file's chunks; again is the same. Nobody replaces what another person uploaded."""
        journal, name = self._sio.journal(room), _name(file, index)
        there = journal.load([name])
        if there and there[name]["from"] != person:
            raise Refused("not_yours", "Somebody else's file has this id.")
        journal.store(name, {"from": person, "count": count, "data": data})

    def fetch(self, room: str, file: str, index: int, count: int) -> list[str]:
        """Return the data of some chunks."""
        names = [_name(file, each) for each in range(index, index + count)]
        found = self._sio.journal(room).load(names)
        if len(found) < count:
            raise Refused("no_such_file", "This file is not there, or not all of it.")
        return [found[name]["data"] for name in names]

    def discard(self, room: str, file: str, person: str) -> None:
        """Delete a person's file, or what there is of it; another's is left alone, since clients say which file it is.

        Its first chunk tells whose it is, and of how many parts: clients upload that one first.
        """
        journal, first = self._sio.journal(room), _name(file, 0)
        found = journal.load([first]).get(first)
        if found and found["from"] == person:
            # The first one last: it is what tells of the others, should this end half way.
            journal.discard([_name(file, each) for each in range(1, found["count"])])
            journal.discard([first])


def _name(file: str, index: int) -> str:
    return f"{file}/{index}"
