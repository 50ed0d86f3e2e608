"""A room for scripts: send and go, or a line of JSON for whatever happens."""

import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import Sequence
from typing import Any

from chat.terminal.lines import as_json, message_line, notice
from chat.terminal.messages import Message
from chat.terminal.room import Room, first_of


class Printer:
    """Prints what happens: a line of text, or with ``json_lines`` an object a line."""

    def __init__(self, room: Room, *, json_lines: bool) -> None:
        self.room = room
        self._is_json = json_lines

    def tell(self, kind: str, what: Any) -> None:
        """Print what happens; a `chat.terminal.room.Listener`."""
        if self._is_json:
            print(json.dumps(as_json(self.room, kind, what), ensure_ascii=False), flush=True)
        elif isinstance(what, Message):
            print(message_line(self.room, what), flush=True)
        else:
            print(notice(kind, what), flush=True)


async def send(room: Room, texts: Sequence[str], *, json_lines: bool) -> None:
    """Send messages and leave; raises RoomError if one is refused."""
    await room.enter()
    try:
        for text in texts:
            answer = await room.say(text)
            if json_lines:
                print(json.dumps({"type": "sent", **answer}), flush=True)
    finally:
        await room.leave()


async def follow(room: Room, *, json_lines: bool) -> None:
    """Print what happens, and say each line of standard input, until the room ends; the input's end is no reason to go.

    Raises RoomError if one is not let in.
    """
    await room.enter(Printer(room, json_lines=json_lines).tell)
    try:
        await first_of(_talk(room), room.ended)
        await room.ended
    finally:
        await room.leave()


async def _talk(room: Room) -> None:
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\r\n"))

    # A thread that nobody waits for: reading cannot be interrupted, and what is read may be no pipe.
    threading.Thread(target=read, daemon=True).start()
    while True:
        if text := await lines.get():
            await room.say(text)
