"""Files in sealed chunks (docs/chat.md, "Files")."""

import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat.seals import Keys, SealError, random_id
from chat.terminal.errors import RoomError

CHUNK = 22_000
MOST_BYTES = 4 * 1024 * 1024
MOST_AT_ONCE = 4
"""Chunks of one fetch."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as a message names it; `size` in bytes, `count` in chunks."""

    id: str
    name: str
    type: str
    size: int
    count: int
    data: bytes = b""

    @classmethod
    def read(cls, path: Path) -> "File":
        """Read a file that is to be sent; raises RoomError if it cannot be, OSError if it cannot be read."""
        if path.stat().st_size > MOST_BYTES:
            raise RoomError("bad_file", f"{path.name} is too large: at most {MOST_BYTES // 2**20} MiB can be sent.")
        data = path.read_bytes()
        if not data:
            raise RoomError("bad_file", f"{path.name} is empty.")
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return cls(random_id(), path.name, kind, len(data), -(-len(data) // CHUNK), data)

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "type": self.type, "size": self.size, "count": self.count}

    def chunks(self, keys: Keys, person: str) -> Iterator[str]:
        """Yield the chunks, sealed."""
        for index in range(self.count):
            data = self.data[index * CHUNK : (index + 1) * CHUNK]
            yield keys.seal_bytes("chunk", data, person, self.id, index, self.count)


def described(file: Any) -> File:
    """Read how a message describes its file; raises RoomError if that makes no sense."""
    try:
        found = File(str(file["id"]), str(file["name"]), str(file["type"]), int(file["size"]), int(file["count"]))
    except (KeyError, TypeError, ValueError):
        raise RoomError("bad_file", "This message has no file.") from None
    if not 0 < found.size <= MOST_BYTES or found.count != -(-found.size // CHUNK):
        raise RoomError("bad_file", "The file is not as its sender said.")
    return found


def opened(keys: Keys, person: str, file: File, first: int, chunks: list[str]) -> bytes:
    """Open chunks of a file, `first` being the index of the first one; raises RoomError."""
    try:
        return b"".join(
            keys.open_bytes("chunk", chunk, person, file.id, index, file.count)
            for index, chunk in enumerate(chunks, first)
        )
    except SealError:
        raise RoomError("bad_file", "The file was changed on its way.") from None
