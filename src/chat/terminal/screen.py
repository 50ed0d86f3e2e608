"""Talking in a room from a terminal: lines go out, lines come in, and a few commands."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.patch_stdout import patch_stdout

from chat.terminal.errors import RoomError
from chat.terminal.files import File
from chat.terminal.lines import message_line, notice, one_line, size_of
from chat.terminal.messages import Message
from chat.terminal.room import Room, first_of

HELP = """\
Write a line to say it. Commands (a message is named by its number, #12 or 12):
  /people            who is here             /reply 12 TEXT    answer a message
  /edit 12 TEXT      change an own message   /delete 12        delete it
  /react 12 👍       react, or take it back  /file PATH        send a file (4 MiB at most)
  /save 12 [PATH]    keep a message's file   /link             show the room's link
  /quit              leave                   //TEXT            a line that begins with /
For the room's owner: /lock, /unlock, /remove NAME, /burn"""

COLOURS = ("ansired", "ansigreen", "ansiyellow", "ansiblue", "ansimagenta", "ansicyan")


class Screen:
    """Shows one room, and reads what is typed."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._session: PromptSession[str] = PromptSession()
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------ what comes
    def tell(self, kind: str, what: Any) -> None:
        """Show what happens; a `Room`'s listener."""
        if isinstance(what, Message):
            style = COLOURS[sum(what.person.encode()) % len(COLOURS)] if what.person != self.room.person else "bold"
            prefix = {"changed": "~ ", "reacted": "~ "}.get(kind, "")
            show(prefix + message_line(self.room, what), style)
        elif kind != "ended":  # `run` says that, once nothing else is on the screen
            show(notice(kind, what), "ansibrightblack")

    # ------------------------------------------------------------------ what is typed
    async def run(self) -> None:
        """Talk until the room ends, or one leaves; raises RoomError if one is not let in."""
        room = self.room
        with patch_stdout():
            await room.enter(self.tell)
            left = max(0, room.expires_at - int(time.time()))
            show(f"* {one_line(room.title) or 'Untitled room'}: burns in {left // 60} minutes. /help lists commands.")
            self._people("")
            await first_of(self._read(), room.ended)
            if self._tasks and not room.ended.done():
                await asyncio.wait(self._tasks, timeout=10)  # what was typed last is still on its way
            await room.leave()
        if ended := room.ended.result():
            show(notice("ended", ended), "ansibrightblack")

    async def _read(self) -> None:
        while True:
            try:
                line = (await self._session.prompt_async("> ")).strip()
            except (EOFError, KeyboardInterrupt):
                return
            if line == "/quit":
                return
            if line:
                task = asyncio.create_task(self._do(line))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _do(self, line: str) -> None:
        try:
            if not line.startswith("/") or line.startswith("//"):
                await self.room.say(line[1:] if line.startswith("//") else line)
                return
            name, _, rest = line[1:].partition(" ")
            command = self._commands().get(name)
            if command is None:
                show(f"! There is no command /{name}; /help lists them.", "ansired")
            elif (result := command(rest.strip())) is not None:
                await result
        except (RoomError, OSError, ValueError) as error:
            show(f"! {error}", "ansired")

    def _commands(self) -> dict[str, Callable[[str], Awaitable[None] | None]]:
        room = self.room
        return {
            "help": lambda _: show(HELP),
            "people": self._people,
            "link": lambda _: show(str(room.link)),
            "reply": self._reply,
            "edit": self._edit,
            "delete": lambda rest: room.delete(self._message(rest)),
            "react": self._react,
            "file": self._file,
            "save": self._save,
            "lock": lambda _: room.lock(True),
            "unlock": lambda _: room.lock(False),
            "remove": self._remove,
            "burn": lambda _: room.burn(),
        }

    def _people(self, _: str) -> None:
        names = [
            one_line(each.name) + (" (you)" if each.id == self.room.person else " (owner)" if each.is_owner else "")
            for each in self.room.people
        ]
        show(f"* Here: {', '.join(names)}")

    def _message(self, number: str) -> Message:
        digits = number.removeprefix("#")
        message = self.room.messages.get(int(digits)) if digits.isdecimal() else None
        if message is None:
            raise ValueError(f"There is no message {number or 'without a number'} here; try /help.")
        return message

    def _split(self, rest: str, what: str) -> tuple[Message, str]:
        number, _, text = rest.partition(" ")
        message = self._message(number)
        if not text.strip():
            raise ValueError(f"Say {what} behind the number.")
        return message, text.strip()

    async def _reply(self, rest: str) -> None:
        message, text = self._split(rest, "your answer")
        await self.room.say(text, reply=message.id)

    async def _edit(self, rest: str) -> None:
        message, text = self._split(rest, "the new text")
        await self.room.edit(message, text)

    async def _react(self, rest: str) -> None:
        message, emoji = self._split(rest, "with which emoji")
        await self.room.react(message, emoji)

    async def _remove(self, name: str) -> None:
        found = [each for each in self.room.people if each.name == name]
        if len(found) != 1:
            raise ValueError(f"{len(found) or 'No'} people here are called {name!r}.")
        await self.room.remove(found[0])

    async def _file(self, path: str) -> None:
        file = File.read(Path(path).expanduser())
        show(f"* sending {file.name} ({size_of(file.size)}) …")
        await self.room.send_file(file)

    async def _save(self, rest: str) -> None:
        number, _, target = rest.partition(" ")
        message = self._message(number)
        data = await self.room.fetch_file(message)
        # Its name is its sender's: a name alone, never a path of theirs.
        name = Path(one_line(str((message.file or {})["name"])).replace("\\", "/")).name.lstrip(".") or "file"
        path = Path(target.strip()).expanduser() if target.strip() else Path(name)
        with path.open("xb") as file:  # never over a file that is there
            file.write(data)
        show(f"* saved as {path}")


def show(line: str, style: str = "") -> None:
    print_formatted_text(FormattedText([(style, line)]))
