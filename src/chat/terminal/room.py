"""One person in one room, over Socket.IO. It shows nothing: what happens is told to a function."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import socketio

from chat.seals import Keys, Link, SealError, person_of, random_id
from chat.terminal import files, http
from chat.terminal.errors import RoomError
from chat.terminal.messages import Message, Messages

log = logging.getLogger("fleeting.terminal")

ACK_TIMEOUT = 10
RETRY_DELAY = 2
GOODBYE = 2
MESSAGE_BYTES = 12

ENDS = {"no_such_room", "expired", "wrong_key", "locked", "removed", "full", "bad_name"}
"""Refusals at the door that no second try mends."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is in the room, with one socket or several."""

    id: str
    name: str
    is_owner: bool


Listener = Callable[[str, Any], None]
"""Is told what happens: ``message``, ``changed``, ``reacted`` (a `Message`), ``joined``, ``left``, ``removed`` (a
`Person`), ``locked`` (bool), ``status`` (``online`` or ``offline``), ``ended`` (a `RoomError`)."""


class Room:
    """A room that one is in from `enter` to `leave`; lost connections come back by themselves."""

    def __init__(self, link: Link, name: str, passphrase: str = "", owner_key: str = "") -> None:
        self.link = link
        self.name = name
        self.owner_key = owner_key
        self.keys = Keys(link.room, link.secret, passphrase)
        self._me = random_id(16)
        self.person = person_of(link.room, self._me)
        self.messages = Messages(self.keys, self.person)
        self.title = ""
        self.expires_at = 0
        self.is_locked = False
        self.ended: asyncio.Future[RoomError | None] = asyncio.get_running_loop().create_future()
        self._tell: Listener = _silent
        self._sockets: dict[str, Person] = {}
        self._is_in = asyncio.Event()
        self._sending = asyncio.Lock()
        self._joining: asyncio.Task[None] | None = None
        self._io = socketio.AsyncClient(handle_sigint=False)
        for event in ("message", "changed", "reacted", "joined", "left", "removed", "room", "burned"):
            self._io.on(event, getattr(self, f"_on_{event}"))
        self._io.on("connect", self._on_connect)
        self._io.on("disconnect", self._on_disconnect)

    @property
    def people(self) -> list[Person]:
        """Who is in the room, each once, by name."""
        return sorted({each.id: each for each in self._sockets.values()}.values(), key=lambda each: each.name.lower())

    # ------------------------------------------------------------------ coming and going
    async def enter(self, listener: Listener | None = None) -> None:
        """Connect and join, and tell what happens from then on; raises RoomError if one is not let in."""
        self._tell = listener or _silent
        socket = await http.find_socket(self.link)
        while True:
            try:
                await self._io.connect(
                    socket["url"] or self.link.origin,
                    socketio_path=socket["path"].strip("/"),
                    transports=socket.get("transports"),
                    wait_timeout=ACK_TIMEOUT,  # a cold start takes longer than its second
                )
                break
            except socketio.exceptions.ConnectionError as error:
                if "fallback" not in socket:
                    raise RoomError("unreachable", f"{self.link.origin} cannot be reached: {error}") from error
                socket = socket["fallback"]
        try:
            await self._until_in()
        except RoomError:
            await self._io.disconnect()
            raise

    async def leave(self) -> None:
        """Say goodbye and disconnect."""
        if self._is_in.is_set() and not self.ended.done():
            with contextlib.suppress(TimeoutError, socketio.exceptions.SocketIOError):
                await self._io.call("leave", {}, timeout=GOODBYE)
        self._end(None)
        # The server may be closing the connection at the same moment, and then this waits for ever.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._io.disconnect(), GOODBYE)

    def _end(self, error: RoomError | None) -> None:
        if not self.ended.done():
            self.ended.set_result(error)
            if error:
                self._tell("ended", error)

    async def _on_connect(self) -> None:
        self._stop_joining()
        self._joining = asyncio.create_task(self._join())

    def _stop_joining(self) -> None:
        if self._joining:
            self._joining.cancel()

    async def _on_disconnect(self, *_: Any) -> None:
        self._stop_joining()
        was_in = self._is_in.is_set()
        self._is_in.clear()
        if was_in and not self.ended.done():
            self._tell("status", "offline")

    async def _join(self) -> None:
        """Join, again and again until it is done or refused for good."""
        data = {
            "room": self.link.room,
            "door": self.keys.door,
            "me": self._me,
            "name": self.keys.seal("name", self.name, self.person),
        }
        if self.owner_key:
            data["owner"] = self.owner_key
        while not self.ended.done():
            try:
                answer = await self._io.call("join", data, timeout=ACK_TIMEOUT)
            except (TimeoutError, socketio.exceptions.SocketIOError) as error:
                log.info("no answer to join: %r", error)
                await asyncio.sleep(RETRY_DELAY)
                continue
            if isinstance(answer, dict) and answer.get("ok"):
                return self._entered(answer)
            refusal = RoomError.of(answer)
            if refusal.code in ENDS:
                return self._end(refusal)
            await asyncio.sleep(refusal.retry_after or RETRY_DELAY)

    def _entered(self, answer: dict[str, Any]) -> None:
        room = answer["room"]
        self.expires_at, self.is_locked = room["expires_at"], room["locked"]
        with contextlib.suppress(SealError):
            self.title = str(self.keys.open("title", room["title"])) if room["title"] else ""
        before = {each.id for each in self.people}
        is_first = not self._sockets
        self._sockets = {member["id"]: self._person(member) for member in answer["members"]}
        self._is_in.set()
        self._tell("status", "online")
        for each in self.people:
            if not is_first and each.id not in before:
                self._tell("joined", each)
        for entry in answer["history"]:
            self._on_message(entry)

    def _person(self, member: dict[str, Any]) -> Person:
        try:
            name = str(self.keys.open("name", member["name"], member["person"]))
        except SealError:
            name = "?"
        return Person(member["person"], name, bool(member.get("owner")))

    # ------------------------------------------------------------------ what happens
    def _on_message(self, entry: dict[str, Any]) -> None:
        if message := self.messages.take(entry):
            self._tell("message", message)

    def _on_changed(self, change: dict[str, Any]) -> None:
        if message := self.messages.change(change):
            self._tell("changed", message)

    def _on_reacted(self, data: dict[str, Any]) -> None:
        if message := self.messages.react(data["id"], data["person"], data["body"]):
            self._tell("reacted", message)

    def _on_joined(self, member: dict[str, Any]) -> None:
        person = self._person(member)
        is_new = person.id not in {each.id for each in self._sockets.values()}
        self._sockets[member["id"]] = person
        if is_new:
            self._tell("joined", person)

    def _on_left(self, data: dict[str, Any]) -> None:
        person = self._sockets.pop(data["id"], None)
        if person and person.id not in {each.id for each in self._sockets.values()}:
            self._tell("left", person)

    def _on_removed(self, data: dict[str, Any]) -> None:
        person = next((each for each in self.people if each.id == data["person"]), None)
        self._sockets = {id: each for id, each in self._sockets.items() if each.id != data["person"]}
        if data["person"] == self.person:
            self._end(RoomError("removed", "The room's owner has removed you."))
        elif person:
            self._tell("removed", person)

    def _on_room(self, data: dict[str, Any]) -> None:
        self.is_locked = bool(data["locked"])
        self._tell("locked", self.is_locked)

    def _on_burned(self, *_: Any) -> None:
        self._end(RoomError("burned", "The room has burned, and everything that was said in it."))

    # ------------------------------------------------------------------ doing
    async def say(self, text: str, **more: Any) -> dict[str, Any]:
        """Send a message; returns ``{seq, at}`` once it is kept. One at a time, so that they stay in order."""
        async with self._sending:
            id = random_id(MESSAGE_BYTES)
            body = self.messages.seal(id, self.name, text, **more)
            answer = await self.ask("message", {"id": id, "body": body})
            self._on_message({"id": id, "body": body, "from": self.person, "rev": 0, **answer})
            return answer

    async def edit(self, message: Message, text: str) -> None:
        rev = message.rev + 1
        body = self.messages.reseal(message, text)
        await self.ask("edit", {"id": message.id, "body": body, "rev": rev})
        self._on_changed({"id": message.id, "seq": message.seq, "body": body, "rev": rev})

    async def delete(self, message: Message) -> None:
        rev = message.rev + 1
        file = {"file": message.file["id"]} if message.file else {}
        await self.ask("delete", {"id": message.id, "rev": rev, **file})
        self._on_changed({"id": message.id, "seq": message.seq, "body": None, "rev": rev})

    async def react(self, message: Message, emoji: str) -> None:
        """Add a reaction to a message, or take it back."""
        _, emojis = message.reactions.get(self.person, (0, []))
        emojis = [each for each in emojis if each != emoji] if emoji in emojis else [*emojis, emoji]
        body = self.messages.seal_reactions(message, emojis)
        await self.ask("react", {"id": message.id, "body": body})
        self._on_reacted({"id": message.id, "person": self.person, "body": body})

    async def send_file(self, file: files.File, on_progress: Callable[[float], None] = lambda part: None) -> None:
        """Upload a file chunk by chunk, and name it in a message."""
        for index, chunk in enumerate(file.chunks(self.keys, self.person)):
            await self.ask("upload", {"file": file.id, "index": index, "count": file.count, "data": chunk})
            on_progress((index + 1) / file.count)
        await self.say("", file=file.as_json())

    async def fetch_file(self, message: Message, on_progress: Callable[[float], None] = lambda part: None) -> bytes:
        """Download the file of a message; raises RoomError, also if it is not what its author sent."""
        file = files.described(message.file)
        data = bytearray()
        for first in range(0, file.count, files.MOST_AT_ONCE):
            count = min(files.MOST_AT_ONCE, file.count - first)
            answer = await self.ask("fetch", {"file": file.id, "index": first, "count": count})
            data += files.opened(self.keys, message.person, file, first, answer["chunks"])
            on_progress((first + count) / file.count)
        if len(data) != file.size:
            raise RoomError("bad_file", "The file is not as long as its sender said.")
        return bytes(data)

    async def lock(self, locked: bool) -> None:
        await self.ask("lock", {"locked": locked})

    async def remove(self, person: Person) -> None:
        await self.ask("remove", {"person": person.id})

    async def burn(self) -> None:
        await http.burn(self.link, self.owner_key)

    async def ask(self, event: str, data: dict[str, Any]) -> dict[str, Any]:
        """Ask until there is an answer, through lost connections and limits; raises RoomError for a refusal."""
        while True:
            await self._until_in()
            try:
                answer = await self._io.call(event, data, timeout=ACK_TIMEOUT)
            except (TimeoutError, socketio.exceptions.SocketIOError) as error:
                log.info("no answer to %s: %r", event, error)
                await asyncio.sleep(RETRY_DELAY)
                continue
            if isinstance(answer, dict) and answer.get("ok"):
                return {name: value for name, value in answer.items() if name != "ok"}
            refusal = RoomError.of(answer)
            if refusal.code == "too_many":
                await asyncio.sleep(refusal.retry_after or RETRY_DELAY)
            elif refusal.code == "not_in_room":
                self._is_in.clear()
                await self._on_connect()
            else:
                raise refusal

    async def _until_in(self) -> None:
        await first_of(self._is_in.wait(), self.ended)
        if self.ended.done():
            raise self.ended.result() or RoomError("left", "You have left the room.")


async def first_of(work: Coroutine[Any, Any, Any], ended: asyncio.Future[Any]) -> None:
    """Work until that is done, or something has ended; what the work raises comes out."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task, ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()  # nothing, if it is done
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def _silent(kind: str, what: Any) -> None:
    """Listen to nothing."""
