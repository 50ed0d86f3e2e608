"""What steps.mjs does, with python-socketio's clients: python -m tests.e2e.clients.script sync|async URL OPTIONS.

Both clients run the same coroutine; the threaded one's methods block in it, and give their result at once.
"""

import asyncio
import inspect
import json
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import socketio

EVENTS = {"greeting": 1, "echoed": 5, "question": 1, "answered": 2, "picture": 2, "said": 1, "welcome": 1}
"""How many arguments the application gives an event; a client may see an offset after them."""

PATIENCE = 30
PRIVATE = "/private"
NOWHERE = "http://127.0.0.1:9/?"
UNCLOSED = "Unclosed "
"""What aiohttp's complaints begin with when the collector finds what python-engineio left open.

It does not read what answers its posts, and may open a session anew after it closed its own.
"""


def tell(step: str, came: Any) -> None:
    print(json.dumps([step, plain(came)], ensure_ascii=False), flush=True)


def plain(value: Any) -> Any:
    """Return what of a value is JSON, as steps.mjs does."""
    if isinstance(value, bytes):
        return {"bytes": len(value), "sum": sum(value)} if len(value) > 100 else {"bytes": list(value)}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


async def done(result: Any) -> Any:
    """Return what a method of either client gives."""
    return await result if inspect.isawaitable(result) else result


class Person:
    """A client in one of its namespaces, and what it hears there."""

    def __init__(self, client: Any, namespace: str = "/") -> None:
        self.client = client
        self.namespace = namespace
        self.heard: list[list[Any]] = []
        self.extras = 0
        for event in EVENTS:
            client.on(event, self._hears(event), namespace=namespace)
        client.on("connect", lambda: self.heard.append(["connect"]), namespace=namespace)
        client.on("disconnect", lambda reason: self.heard.append(["disconnect", reason]), namespace=namespace)
        client.on("connect_error", lambda error: self.heard.append(["refused", error]), namespace=namespace)

    def _hears(self, event: str) -> Callable[..., Any]:
        def hear(*args: Any) -> Any:
            count = EVENTS[event]
            self.extras = max(self.extras, len(args) - count)
            self.heard.append(["said mark"] if args[0] == "mark" else [event, *args[:count]])
            return ("six", {"by": ["seven 😀"]}) if event == "question" else None

        return hear

    @property
    def sid(self) -> str | None:
        sid: str | None = self.client.get_sid(self.namespace)
        return sid

    async def next(self, wanted: str) -> list[Any]:
        """Take the next event of that name."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for event in self.heard:
                if event[0] == wanted:
                    self.heard.remove(event)
                    return event
            await asyncio.sleep(0.005)
        raise AssertionError(f"never came: {wanted}, but {self.heard}")

    async def texts(self) -> list[str]:
        """Take what was said before the mark; sorted, as the threaded client has a thread for each event."""
        await self.next("said mark")
        return self.said()

    def said(self) -> list[str]:
        """Take what was said so far."""
        for thread in threading.enumerate():
            if thread.name.endswith("(_handle_eio_message)"):
                thread.join(PATIENCE)
        texts = [text for name, *args in self.heard if name == "said" for text in args]
        self.heard = [event for event in self.heard if event[0] != "said"]
        return sorted(texts)

    async def call(self, event: str, *args: Any) -> Any:
        return await done(self.client.call(event, args, namespace=self.namespace, timeout=PATIENCE))

    async def emit(self, event: str, *args: Any) -> None:
        await done(self.client.emit(event, args, namespace=self.namespace))


async def run(make: Callable[..., Any], url: str, options: dict[str, Any]) -> None:
    transports = options.get("transports")
    hall, quiet = (f"{room} {random.random()}" for room in ("hall", "quiet"))
    people: list[Person] = []

    def somebody(namespace: str = "/", **settings: Any) -> Person:
        people.append(Person(make(**settings), namespace))
        return people[-1]

    async def connect(person: Person, namespaces: list[str], auth: Any = None) -> None:
        connecting = person.client.connect(
            url, auth=auth, transports=transports, namespaces=namespaces, wait_timeout=PATIENCE
        )
        await done(connecting)

    async def refused(namespace: str) -> list[Any]:
        person = somebody(namespace, reconnection=False)
        try:
            await connect(person, [namespace])
        except socketio.exceptions.ConnectionError:
            return await person.next("refused")
        raise AssertionError(f"{namespace} was not refused")

    # ------------------------------------------------------------------ connecting
    star = somebody(reconnection_delay=0.5, randomization_factor=0)
    guest = Person(star.client, PRIVATE)
    people.append(guest)
    await connect(star, ["/", PRIVATE], {"token": "sesame"})
    tell("connect", [await star.next("connect"), await star.next("greeting"), await star.call("whoami") == star.sid])
    tell("no auth", await refused(PRIVATE))
    tell("auth", [await guest.next("connect"), await guest.next("welcome"), await guest.call("whoami") == guest.sid])
    tell("unknown namespace", await refused("/unknown"))

    # ------------------------------------------------------------------ events, acknowledgements, binary data
    await star.emit("echo", 1, -1.5, "é\u2028😀\x1e", {"ключ": [None, True, {}]}, "last")
    tell("echo", await star.next("echoed"))
    tell("acknowledgement", await star.call("reverse", "é", {"a": [1]}, "😀"))
    await star.emit("ask", 42)
    tell("question", [await star.next("question"), await star.next("answered")])
    tell("binary to the client", [await star.call("fetch"), await star.next("picture")])
    if transports == ["polling"]:  # over WebSocket this client sends bytes, and API Gateway takes text alone
        values = [b"\x00\x01\xfe\xff", {"b": b"\x08\x09", "list": [1, [b"\x07", None]]}, "é"]
        answers = [await star.call("describe", *values), await star.call("describe", "again", *values)]
        tell("binary from the client", answers)

    # ------------------------------------------------------------------ rooms
    friend = somebody()
    await connect(friend, ["/"])
    await friend.next("connect")
    await friend.next("greeting")

    async def said(*who: Person) -> list[list[str]]:
        await friend.call("say", [person.sid for person in who], "mark")
        return [await person.texts() for person in who]

    joined = [await star.call("join", hall), await friend.call("join", hall), await friend.call("join", quiet)]
    await friend.call("say", hall, "1 to both")
    await friend.call("whisper", hall, "2 not to myself")
    await star.call("confide", hall, quiet, "3 not to the quiet")
    await star.call("say", [hall, quiet], "4 once")
    if transports == ["websocket"]:  # one that polls has what is volatile only if it polls at this very moment
        await star.call("murmur", hall, "5 now or never")
    tell("rooms", [joined, await said(star, friend)])
    stays = await star.call("leave", hall)
    await friend.call("say", hall, "without you")
    tell("left", [stays, await said(star, friend)])

    # ------------------------------------------------------------------ a broken connection
    tell("transports", [star.client.transport()])
    tell("nothing else", [person.heard for person in (star, guest, friend)])
    await star.call("join", hall)
    sids = [star.sid, guest.sid]
    url = star.client.connection_url
    star.client.connection_url = NOWHERE  # it tries again, but does not come back before everything was said
    await disrupt(star, friend)
    await star.next("disconnect")
    await guest.next("disconnect")
    star.said()
    await friend.call("say", hall, "missed")
    await friend.call("murmur", hall, "dropped")
    await friend.call("say", [hall, quiet], "missed, too")
    star.client.connection_url = url
    await star.next("connect")
    await guest.next("connect")
    sockets = [[False, person.sid == sid] for person, sid in zip((star, guest), sids, strict=True)]
    known = await star.next("greeting")
    tell("reconnect", [sockets, known, await star.call("whoami") == star.sid, *await said(star)])
    await star.call("join", hall)
    await friend.call("say", hall, "again")
    tell("in the room again", await said(star))

    # ------------------------------------------------------------------ disconnected by the server
    await guest.emit("hang_up")
    tell("disconnected from a namespace", [await guest.next("disconnect"), await star.call("reverse", 1, 2)])
    await star.emit("hang_up")
    tell("disconnected", await star.next("disconnect"))
    tell("offsets", max(person.extras for person in people))
    for person in people:
        await done(person.client.disconnect())


async def disrupt(star: Person, friend: Person) -> None:
    """Break a client's connection under it."""
    engine = star.client.eio
    if engine.current_transport == "websocket":
        await done(getattr(engine.ws, "abort", engine.ws.close)())
        return
    engine.base_url = NOWHERE
    await friend.call("say", star.sid, "wake")  # so that the request that waits has its answer


def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell of what went wrong, but for what the client left open."""
    if not context["message"].startswith(UNCLOSED):
        loop.default_exception_handler(context)


async def main(client: str, url: str, options: str) -> None:
    kinds: dict[str, Callable[..., Any]] = {"sync": socketio.Client, "async": socketio.AsyncClient}
    warnings.filterwarnings("ignore", UNCLOSED, ResourceWarning)
    asyncio.get_running_loop().set_exception_handler(complain)
    await run(kinds[client], url, json.loads(options))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
