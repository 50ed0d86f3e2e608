"""The chat in a world of its own, and people in it."""

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from server import Server
from tests.chat.person import Invitation, Person
from tests.server.rig import Rig

CLIENT_SIDE = ("chat.seals", "chat.terminal")


def forget() -> None:
    """Let the chat be imported anew: its server is made at import."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "chat"]:
        if not name.startswith(CLIENT_SIDE):
            del sys.modules[name]


class Socket:
    """A client of the rig, as clients are: `call` returns the acknowledgement, `heard` has what came beside it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.sid = self._pid = ""
        self._offset: str | None = None
        self._acks: list[Any] = []
        self._heard: list[list[Any]] = []
        self._connect()

    def _connect(self) -> None:
        self.client = self.rig.client()
        auth = {"pid": self._pid} | ({"offset": self._offset} if self._offset else {})
        self.client.send(f"40{json.dumps(auth) if self._pid else ''}")
        self._take()

    def _take(self) -> None:
        for frame in self.client.take():
            if frame.startswith("40"):
                welcome = json.loads(frame[2:])
                self.sid, self._pid = welcome["sid"], welcome.get("pid", "")
            elif frame.startswith("42"):
                event = json.loads(frame[2:])
                if self._pid:
                    self._offset = event.pop()
                self._heard.append(event)
            elif frame.startswith("431"):
                self._acks.append(json.loads(frame[3:])[0])
            elif frame == "41":
                self._heard.append(["disconnect"])
            else:
                assert frame == "2", frame

    @property
    def heard(self) -> list[list[Any]]:
        """Every event so far; ``["disconnect"]`` is the end."""
        self._take()
        return self._heard

    def news(self) -> list[list[Any]]:
        """Return what was heard since the last time."""
        news = list(self.heard)
        self._heard.clear()
        return news

    def call(self, event: str, *data: Any) -> Any:
        self.client.emit(event, *data, id=1)
        self._take()
        return self._acks.pop()

    def hang_up(self) -> None:
        """Lose the connection."""
        self.rig.engine.closed(self.client.id, "transport close", self.rig.world.deadline)

    def come_back(self) -> None:
        """Connect again, as who was there before; the clock goes on by a second."""
        self.rig.world.clock += 1_000
        self._connect()


class Chat:
    """The application on in-memory ports, a room in it, and its people."""

    def __init__(self, recovery: float = 0) -> None:
        forget()
        self.app: Any = importlib.import_module("chat.app")
        self.rig = Rig(self.app.sio, recovery=recovery)
        self.world = self.rig.world
        self.sockets: list[Socket] = []
        self.invitation = self.room(title="Tea")

    @property
    def now(self) -> int:
        return self.world.clock // 1000

    def room(self, passphrase: str = "", *, ttl: int = 3600, **options: Any) -> Invitation:
        """Create a room, as the HTTP API does."""
        rooms = importlib.import_module("chat.rooms")
        invitation = Invitation(passphrase=passphrase)
        body = invitation.body(**options)
        self.app.rooms.create(body.pop("room"), rooms.Plan(**body), ttl)
        return invitation

    def elsewhere(self) -> Any:
        """Return the rooms as another process has them."""
        sio = Server()
        sio.bind(self.world.ports, self.app.sio.recovery)
        return importlib.import_module("chat.rooms").Rooms(sio)

    def stranger(self, name: str, invitation: Invitation | None = None, **options: Any) -> Person:
        """Return somebody who is connected, and in no room."""
        socket = Socket(self.rig)
        self.sockets.append(socket)
        return Person(socket, invitation or self.invitation, name, **options)

    def person(self, name: str, invitation: Invitation | None = None, **options: Any) -> Person:
        """Return somebody who is in the room; nobody has news of it."""
        person = self.stranger(name, invitation, **options)
        person.join()
        for socket in self.sockets:
            socket.news()
        return person

    def pass_time(self, seconds: int) -> None:
        """Turn the clock, a minute at a time, as the heartbeat runs; everybody answers its pings."""
        end = self.world.clock + seconds * 1000
        while self.world.clock < end:
            self.world.clock = min(end, self.world.clock + 60_000)
            for socket in self.sockets:
                if socket.client.id in self.world.connections.records:
                    socket.client.send("3")
            self.rig.engine.beat(self.world.deadline)
            self.rig.run_queue()

    def left_over(self, room: str) -> list[str]:
        """Return what the world holds of a room, beside what is planned for its time."""
        journals = self.world.journals
        kept: dict[str, Any] = {
            "members": self.world.rooms.items,
            "heads": journals.heads,
            "entries": journals.logs,
            "values": journals.values,
            "packets": journals.packets,
            "published": journals.published,
        }
        found = [name for name, items in kept.items() if any(where[1] == room for where in items)]
        sockets = [
            socket for each in self.world.connections.records.values() for socket in each.connection.sockets.values()
        ]
        return found + ["session" for socket in sockets if (socket.data or {}).get("room") == room]


def socket_of(person: Person) -> Socket:
    assert isinstance(person.client, Socket)
    return person.client


def news_of(person: Person) -> list[list[Any]]:
    """Return what somebody has heard since the last time."""
    return socket_of(person).news()


@pytest.fixture
def chat(request: pytest.FixtureRequest) -> Iterator[Chat]:
    """The chat; its parameter are the seconds in which clients may come back to their sockets, 0 unless one asks."""
    yield Chat(getattr(request, "param", 0))
    forget()


@pytest.fixture
def recovering() -> Iterator[Chat]:
    """The chat where clients may come back to their sockets."""
    yield Chat(recovery=120)
    forget()
