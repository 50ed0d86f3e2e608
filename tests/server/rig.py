"""A server on in-memory ports, with clients that speak through it."""

import json
from typing import Any

from server import Server
from server.engine import Engine
from server.ports import Unavailable
from server.recovery import Recovery
from tests.memory import World


class Rig:
    """A world and a server in it; `client()` connects one."""

    def __init__(
        self,
        sio: Server | None = None,
        *,
        interval: float = 120,
        timeout: float = 60,
        recovery: float = 0,
        **options: Any,
    ) -> None:
        self.world = World()
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
        self._rig = rig
        self._answers: list[str] = []

    def send(self, frame: str) -> None:
        wire = self._rig.world.wire
        before = len(wire.posts)
        answer = self._rig.engine.receive(self.id, frame, self._rig.world.deadline)
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
        wire = self._rig.world.wire
        frames = wire.frames(self.id)
        wire.posts = [(to, frame) for to, frame in wire.posts if to != self.id]
        return frames
