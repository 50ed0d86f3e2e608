"""A server on in-memory ports, with clients that speak through it."""

import json
import re
from typing import Any

from protocol.engineio import SEPARATOR
from server import Server
from server.engine import Engine
from server.polling import Polling
from server.ports import Unavailable
from server.recovery import Recovery
from tests.memory import World

HANDSHAKE = {"EIO": "4", "transport": "polling"}


class Rig:
    """A world and a server in it; `client()` connects one."""

    def __init__(
        self,
        sio: Server | None = None,
        *,
        interval: float = 120,
        timeout: float = 60,
        recovery: float = 0,
        world: World | None = None,
        **options: Any,
    ) -> None:
        self.world = world or World()
        self.sio = sio or Server(**options)
        silence = interval + timeout + 120
        self.sio.bind(self.world.ports, Recovery(self.world.ports, recovery, silence) if recovery else None)
        self.engine = Engine(self.sio, ping_interval=interval, ping_timeout=timeout)
        self._count = 0

    def client(self, *namespaces: str, auth: Any = None) -> "Client":
        self._count += 1
        client = Client(self, f"conn{self._count}=")
        status = self.engine.open(client.id, {"EIO": "4", "transport": "websocket"}, {"HTTP_X": client.id})
        assert status == 200
        self.run_queue()
        client.take()
        for namespace in namespaces:
            client.join(namespace, auth)
        return client

    def elsewhere(self) -> Engine:
        """Return an engine that shares nothing with this one but the world: another process."""
        sio = Server(namespaces="*")
        sio.bind(self.world.ports)
        return Engine(sio, ping_interval=120, ping_timeout=60)

    def run_queue(self) -> None:
        """Do what waits in the queue, and what that puts there; what fails comes back after a second."""
        while self.world.queue.jobs:
            try:
                self.engine.deliver(self.world.queue.jobs[0][1], self.world.deadline)
            except Unavailable:
                self.world.clock += 1_000
            else:
                self.world.queue.jobs.pop(0)


class Client:
    """One connection: sends frames, and takes what came for it, posts first and the route response last."""

    def __init__(self, rig: Rig, connection_id: str) -> None:
        self.id = connection_id
        self.sids: dict[str, str] = {}
        self.rig = rig
        self._answers: list[str] = []

    def send(self, frame: str) -> None:
        wire = self.rig.world.wire
        before = len(wire.posts)
        answer = self.rig.engine.receive(self.id, frame, self.rig.world.deadline)
        assert len(wire.posts) >= before
        if answer is not None:
            wire.posts.append((self.id, answer))

    def join(self, namespace: str = "/", auth: Any = None) -> str:
        prefix = "40" if namespace == "/" else f"40{namespace},"
        self.send(prefix + (json.dumps(auth) if auth is not None else ""))
        (frame,) = [frame for frame in self.take() if frame.startswith(prefix)]
        self.sids[namespace] = json.loads(frame.removeprefix(prefix))["sid"]
        return self.sids[namespace]

    @property
    def sid(self) -> str:
        return self.sids["/"]

    def emit(self, event: str, *args: Any, id: int | None = None, namespace: str = "/") -> None:
        prefix = "42" if namespace == "/" else f"42{namespace},"
        self.send(f"{prefix}{'' if id is None else id}{json.dumps([event, *args])}")

    def take(self) -> list[str]:
        """Return the frames that came since the last time."""
        wire = self.rig.world.wire
        frames = wire.frames(self.id)
        wire.posts = [(to, frame) for to, frame in wire.posts if to != self.id]
        return frames


class Poller:
    """A client that polls."""

    def __init__(self, rig: Rig, *namespaces: str) -> None:
        self.rig = rig
        self.polling = Polling(rig.sio)
        self.opened = self.ask("GET", HANDSHAKE)
        self.session: str = json.loads(self.opened[1:])["sid"]
        self.sids: dict[str, str] = {}
        for namespace in namespaces:
            self.post("40" if namespace == "/" else f"40{namespace},")
            (frame,) = self.poll()
            self.sids[namespace] = json.loads(frame[frame.index("{") :])["sid"]

    def ask(self, method: str, query: dict[str, str], body: bytes = b"") -> str:
        return self.polling.answer(method, query, body, {"HTTP_X": "y"}, self.rig.world.deadline)

    @property
    def query(self) -> dict[str, str]:
        return {**HANDSHAKE, "sid": self.session}

    def poll(self) -> list[str]:
        return self.ask("GET", self.query).split(SEPARATOR)

    def post(self, *frames: str) -> None:
        assert self.ask("POST", self.query, SEPARATOR.join(frames).encode()) == "ok"


def asked(client: Client) -> int:
    """Return the id in the only frame that came, which asks."""
    (frame,) = client.take()
    found = re.match(r"42(?:/\w+,)?(\d+)\[", frame)
    assert found, frame
    return int(found[1])
