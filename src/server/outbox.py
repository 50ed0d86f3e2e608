"""An invocation's outbox: what its handlers emit, held until they are done, then sent.

Each recipient's frames keep their order; recipients are served in parallel, and whoever asked for all of this after
them. What can't be sent now goes to the queue: rooms over `INLINE_LIMIT`, recipients that stay busy, and whatever would
outlive the invocation.
"""

import random
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from server import jobs
from server.debug import scope
from server.emission import spoken
from server.ports import Gone, PortError, Ports, Rejected, Unavailable
from server.records import Member, Membership, is_polling

log = scope("engine:outbox")
traffic = scope("engine")

INLINE_LIMIT = 100
"""Most recipients of one emit that the invocation serves itself."""

SHARDS = 8
"""Groups of the queue among which a larger room is divided; a recipient is always in the same one."""

PAUSES = (0.05, 0.15, 0.45)
"""Seconds between two tries at a busy recipient, each with a jitter of half of it either way."""

LAST_PAUSES = (0.05, 0.15, 0.45, 1.0, 2.0)
"""The same when it is the queue's turn, after which the connection is given up."""

MARGIN = 2_000
"""Milliseconds before the invocation's end at which sending stops, so that the queue can take the rest."""

_PARALLEL = 16


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_PARALLEL, thread_name_prefix="outbox")


class Outbox:
    """Collects frames and sends them in one `flush`; `deadline` is in Unix milliseconds.

    A recipient that stays busy is left to the queue. With ``last_try`` (this *is* the queue's turn) it is named in
    `stuck` instead: to put its frames behind those that came after them would break their order.
    """

    def __init__(self, ports: Ports, deadline: int, *, last_try: bool = False) -> None:
        self._ports = ports
        self._deadline = deadline - MARGIN
        self._last_try = last_try
        self.stuck: list[str] = []
        self.on_delay: Callable[[], None] = lambda: None  # called when something cannot be sent at once
        self._frames: dict[str, list[str]] = {}
        # connection id -> its events that may be dropped: the first frame of each, and how many there are
        self._volatile: dict[str, dict[int, int]] = {}
        self._found_in: dict[str, list[Membership]] = {}
        self._jobs: list[tuple[str, jobs.Job]] = []
        self._detours: dict[str, str] = {}  # connection id -> group of the queue that it waits in
        self._silenced: set[str] = set()
        self._first_home: dict[tuple[str, str], str] = {}  # (namespace, sid) -> connection id
        self._moved: dict[str, str] = {}  # the connection that took a session over -> the one it had first

    def silence(self, connection_id: str) -> None:
        """Drop everything for a connection that is closing, or gone."""
        self._silenced.add(connection_id)
        self._frames.pop(connection_id, None)

    def detour(self, connection_id: str) -> None:
        """Send what is for a connection through the queue, behind what already waits for it there."""
        self._detours.setdefault(connection_id, group_of_connection(connection_id))

    def send(self, connection_id: str, frames: Iterable[str], *, volatile: bool = False) -> None:
        """Append frames for one connection; with `volatile` they are dropped where they cannot be sent at once."""
        connection_id = self._moved.get(connection_id, connection_id)
        if connection_id in self._silenced:
            return
        if group := self._detours.get(connection_id):
            self._jobs.append((group, jobs.Post((connection_id,), tuple(frames))))
            return
        waiting = self._frames.setdefault(connection_id, [])
        start = len(waiting)
        waiting.extend(frames)
        if volatile:
            self._volatile.setdefault(connection_id, {})[start] = len(waiting) - start

    def broadcast(
        self,
        namespace: str,
        room: str | None,
        members: Sequence[Member],
        frames: Sequence[str],
        offset: str = "",
        *,
        volatile: bool = False,
    ) -> None:
        """Append an event's frames for everybody found in a room, each in the dialect of its client."""
        homes = [self._home(namespace, member) for member in members]
        dialects = {dialect: spoken(frames, dialect, offset) for dialect in {member.dialect for member in members}}
        if len(homes) > INLINE_LIMIT:
            self.on_delay()
            for dialect, own in dialects.items():
                some = [home for member, home in zip(members, homes, strict=True) if member.dialect is dialect]
                self._shard(namespace, room, some, own)
            return
        for member, home in zip(members, homes, strict=True):
            self._found_in.setdefault(home, []).append(Membership(namespace, room, member.sid))
            self.send(home, dialects[member.dialect], volatile=volatile)

    def _home(self, namespace: str, member: Member) -> str:
        """Return the connection that a member had first, should its session move while a handler emits.

        There it is known where the session went. Its frames stay together so; two homes would be served at once.
        """
        home = self._first_home.setdefault((namespace, member.sid), member.connection_id)
        if home != member.connection_id:
            self._moved[member.connection_id] = home
        return home

    def _shard(self, namespace: str, room: str | None, homes: Sequence[str], frames: Sequence[str]) -> None:
        shards: dict[str, list[str]] = {}
        for home in homes:
            if home not in self._silenced:
                group = f"{group_of(namespace, room or '')}-{zlib.crc32(home.encode()) % SHARDS}"
                shards.setdefault(group, []).append(home)
                # What comes later in this invocation must not overtake the queue.
                self._detours[home] = group
        for group, to in shards.items():
            for start in range(0, len(to), INLINE_LIMIT):
                self._jobs.append((group, jobs.Post(tuple(to[start : start + INLINE_LIMIT]), tuple(frames))))

    def flush(self, caller: str | None = None, *, rides: bool = False) -> str | None:
        """Send everything, last what is for the caller: who has an answer may tell others, who have heard before.

        With `rides` the caller's last frame is returned, to ride the route response. What could be neither sent nor
        queued is logged, not raised.
        """
        last = self._frames[caller].pop() if caller and rides and self._may_part(caller) else None
        own = {to: frames for to, frames in self._frames.items() if frames and to == caller}
        others = {to: frames for to, frames in self._frames.items() if frames and to != caller}
        leftovers: list[tuple[str, jobs.Job]] = []
        for to, rest in (self._serve(others) | self._serve(own)).items():
            if rest and to == caller and last is not None:
                rest, last = [*rest, last], None
            if rest:
                # What comes later in this invocation waits behind it.
                group = self._detours.setdefault(to, group_of_connection(to))
                leftovers.append((group, jobs.Post((to,), tuple(rest))))
        self._enqueue([*leftovers, *self._jobs])
        self._frames, self._jobs, self._volatile = {}, [], {}
        return last

    def _serve(self, frames: dict[str, list[str]]) -> dict[str, Sequence[str]]:
        """Send to some connections at the same time; returns for each what has to wait for the queue."""
        run = map if len(frames) < 2 else _pool().map
        return dict(zip(frames, run(self._deliver, frames.keys(), frames.values()), strict=True))

    def _deliver(self, connection_id: str, frames: Sequence[str]) -> Sequence[str]:
        """Send frames in order; return those that have to wait for the queue."""
        home, volatile = connection_id, self._volatile.get(connection_id, {})
        found_in = tuple(self._found_in.get(connection_id, ()))
        sent = 0
        try:
            while is_polling(connection_id):
                only_if_polled = sum(volatile.values()) == len(frames)
                websocket = self._ports.mailboxes.append(connection_id, frames, only_if_polled=only_if_polled)
                if websocket is None:
                    for frame in frames:
                        traffic.debug("%s -> %.500s", connection_id, frame)
                    return ()
                connection_id = websocket
            while sent < len(frames):
                # Once its header is sent, an event's attachments are owed.
                is_dropped = not self._post(connection_id, frames[sent], droppable=sent in volatile)
                sent += volatile[sent] if is_dropped else 1
        except Gone:
            for each in {home, connection_id}:  # its places may still be said to be those of where it was before
                self._jobs.append((group_of_connection(each), jobs.Reap(each, found_in)))
        except Unavailable as error:
            if not self._last_try:
                self.on_delay()
                log.warning("%s takes no frames for now, the queue keeps them: %s", connection_id, error)
                dropped = {n for start in volatile if start >= sent for n in range(start, start + volatile[start])}
                return [frame for n, frame in enumerate(frames) if n >= sent and n not in dropped]
            self.stuck.append(connection_id)
        except PortError:
            log.exception("frames for %s were refused, and are lost", connection_id)
        return ()

    def _may_part(self, caller: str) -> bool:
        """Tell whether the caller's last frame may be sent by itself; an event that may be dropped stays whole."""
        volatile, count = self._volatile.get(caller, {}), len(self._frames.get(caller, ()))
        return count > 0 and not any(size > 1 and start + size == count for start, size in volatile.items())

    def _post(self, connection_id: str, frame: str, *, droppable: bool) -> bool:
        """Send a frame; returns False if it was dropped."""
        pauses = LAST_PAUSES if self._last_try else () if droppable else PAUSES
        try:
            post(self._ports, connection_id, frame, deadline=self._deadline, pauses=pauses, on_delay=self.on_delay)
        except Rejected:
            log.exception("a frame for %s was refused, and is lost", connection_id)
        except Unavailable:
            if not droppable:
                raise
            return False
        return True

    def _enqueue(self, entries: Sequence[tuple[str, jobs.Job]]) -> None:
        if not entries:
            return
        try:
            self._ports.queue.put([(group, jobs.to_json(part)) for group, job in entries for part in jobs.parts(job)])
        except PortError:
            log.exception("the queue refused %d jobs, which are lost", len(entries))


def post(
    ports: Ports,
    connection_id: str,
    frame: str,
    *,
    deadline: int,
    pauses: Sequence[float] = PAUSES,
    on_delay: Callable[[], None] = lambda: None,
) -> None:
    """Post one frame, and again while the recipient is busy; raises what the last try raised."""
    for pause in (*pauses, None):
        if ports.now() > deadline:
            raise Unavailable("the invocation's time is up")
        try:
            ports.wire.post(connection_id, frame)
            traffic.debug("%s -> %.500s", connection_id, frame)
            return
        except Unavailable:
            if pause is None:
                raise
            on_delay()
            ports.sleep(pause * random.uniform(0.5, 1.5))


def group_of(namespace: str, room: str) -> str:
    """Return the queue's group for a room: SQS allows 128 characters, of a few kinds."""
    digest = zlib.crc32(f"{namespace}\n{room}".encode("utf-8", "surrogatepass"))
    return f"room-{digest:08x}"


def group_of_connection(connection_id: str) -> str:
    """Return the queues' group for what concerns one connection alone: API Gateway puts frames into it."""
    return connection_id
