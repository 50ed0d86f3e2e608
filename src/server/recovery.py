"""Connection state recovery (Socket.IO 4.6): a client that comes back gets its socket, and what it has missed.

Every event is written down before it is sent, under an offset that its recipients get with it; a client that comes
back shows the last one it has. So what it missed is what was written later, to the rooms that it was in.

Nothing is guessed. Two events that two functions send at the same moment may reach a client in either order, and if its
connection breaks just between them, nobody knows whether it has the one that is not the last: then it does not get its
socket back, as after a longer absence. The moment is `SETTLED`; what takes longer is marked as late. What one process
sends, which does one thing at a time, is in order.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from protocol.socketio import PacketType
from server.debug import scope
from server.emission import Emission, packet_frames, spoken
from server.outbox import Outbox
from server.ports import PortError, Ports, Unavailable
from server.records import Connection, Dialect, Member, Membership, Packet, Parked, Stays, polling_id

log = scope("socket.io:recovery")

SKEW = 50
"""Milliseconds by which the clocks of two functions may differ (Amazon Time Sync keeps them within a few)."""

SETTLED = 250
"""Milliseconds after its offset's time at which an event is with everybody who is connected, unless it is late."""

LATE = 10_000
"""The same for an event that is late: sent by the queue, or again to a busy recipient."""

VISIBLE = 200
"""Milliseconds in which the places of one who comes back are written; if it takes longer, it is done again."""

WRITTEN = 250
"""Milliseconds in which an event is written down; for one that takes longer the sender looks closer."""

EARLIER = 60_000
"""A connection that ends this long before its two hours was cut for its age, give or take: nobody has left."""

_OFFSET = re.compile("[0-9a-f]{11}-[0-9a-f]{8}-[0-9a-f]{8}")
_PID = re.compile("[0-9A-Za-z_-]{1,64}[.][0-9A-Za-z_-]{1,64}")


def stamp(at: int) -> str:
    """Return a text that sorts after the offsets of before that time (Unix milliseconds), and before those of then."""
    return f"{at:011x}"


def time_of(offset: str) -> int:
    """Return an offset's time in Unix milliseconds."""
    return int(offset[:11], 16)


def sender_of(offset: str) -> str:
    """Return what the offsets of one process have in common: their order is the one in which they were sent."""
    return offset[12:20]


class Recovery:
    """What a server keeps of clients that may come back within `window` seconds.

    Events are kept for `silence` seconds longer, in which a connection may be lost with nobody noticing.
    """

    def __init__(self, ports: Ports, window: float, silence: float) -> None:
        self._ports = ports
        self.window = int(window * 1000)
        self.retention = self.window + int(silence * 1000) + LATE
        self._sender = secrets.token_hex(4)
        self._count = 0

    def log(self) -> "Log":
        """Return the log of one invocation."""
        return Log(self._ports, self.retention, self._offset)

    def _offset(self, at: int) -> str:
        self._count += 1
        return f"{stamp(at)}-{self._sender}-{self._count:08x}"

    def pid(self, sid: str) -> str:
        """Return the secret by which a socket's client comes back; the socket is found by it while it lives, too."""
        return f"{sid}.{secrets.token_urlsafe(12)}"

    def park(self, connection: Connection, *, silent: bool) -> list[Parked]:
        """Return what to keep of a connection that ends, for those of its clients' sockets that may come back."""
        until = self._ports.now() + self.window
        return [
            Parked(
                socket.pid,
                namespace,
                replace(socket),
                {room: stays for (where, room), stays in connection.stays.items() if where == namespace},
                connection.environ,
                until,
                silent,
            )
            for namespace, socket in connection.sockets.items()
            if socket.pid
        ]

    def find(self, namespace: str, pid: Any) -> Membership | None:
        """Return where the socket of a pid would be if it is still connected; None for what is no pid."""
        if not isinstance(pid, str) or not _PID.fullmatch(pid):
            return None
        return Membership(namespace, pid.partition(".")[0], pid.partition(".")[0])

    # ------------------------------------------------------------------ coming back
    def box(self, connection: Connection, parked: Parked) -> Connection:
        """Return a box, not yet stored, in which a socket waits until the connection has it.

        It is a session that polls, and never will: should nobody come to `hand_over`, the heartbeat closes it.
        """
        name = polling_id(secrets.token_urlsafe(15))
        return Connection(name, connection.session, self._ports.now(), offered=connection.id, holds=parked)

    def missed(self, box: Connection, offset: Any) -> tuple[Packet, ...] | None:
        """Return the events that a client has missed, in order; None if that cannot be told for certain.

        The places of its socket are taken before they are read: what is sent from then on waits in the box.
        """
        parked = box.holds
        assert parked
        if offset is not None and not (isinstance(offset, str) and _OFFSET.fullmatch(offset)):
            return None
        cut = self._enter(parked, box)
        packets = list(self._packets(parked, cut, time_of(offset) if offset else parked.socket.at))
        return _missed(packets, offset, cut)

    def hand_over(self, box: Connection, connection: Connection) -> None:
        """Send what came meanwhile, until nothing is left: from then on whoever sends is told of the connection."""
        while self._ports.mailboxes.move(box.id, connection.id) is None:
            holder = secrets.token_hex(6)
            waiting = self._ports.mailboxes.lock(box.id, connection.id, holder, self._ports.now())
            if waiting is None:
                raise PortError(f"{box.id}, which held what came for {connection.id}, is gone")
            if waiting.letters:
                self.send(connection.id, self._ports.mailboxes.read(box.id, waiting.letters))
            self._ports.mailboxes.discard(box.id, holder, waiting.letters)
        try:
            self._ports.rooms.rehome(box.places(), box.id, connection.id)
        except PortError:
            log.warning("%s is found by way of %s, where it was before", connection.id, box.id, exc_info=True)

    def send(self, connection_id: str, frames: Sequence[str]) -> None:
        """Send frames now; Unavailable if the client does not take them: what comes behind must not be first."""
        outbox = Outbox(self._ports, self._ports.now() + LATE, last_try=True)
        outbox.send(connection_id, frames)
        outbox.flush()
        if outbox.stuck:
            raise Unavailable(f"{connection_id} takes no frames")

    def _enter(self, parked: Parked, box: Connection) -> str:
        """Take the places; returns the offset up to which events are read, and after which they are sent there."""
        infos = {room: stays[-1][2] for room, stays in parked.stays.items() if stays and not stays[-1][1]}
        sid = parked.socket.sid
        while True:
            now = self._ports.now()
            cut = stamp(now + VISIBLE)
            self._ports.rooms.enter(
                parked.namespace, [sid, None], Member(sid, box.id, None, Dialect.OFFSETS, after=cut)
            )
            for room, info in infos.items():
                self._ports.rooms.enter(parked.namespace, [room], Member(sid, box.id, info, Dialect.OFFSETS, after=cut))
            if self._ports.now() < now + VISIBLE - SKEW:
                break
        # Until then everything that is not sent there was written down.
        self._ports.sleep((time_of(cut) + WRITTEN + SKEW - self._ports.now()) / 1000)
        return cut

    def _packets(self, parked: Parked, cut: str, since: int) -> Iterator[Packet]:
        """Yield the events that the socket was sent, or should have been, from a while before `since`."""
        sid = parked.socket.sid
        always = ((parked.socket.at, 0, None),)
        in_rooms: dict[str, Stays] = {**parked.stays, sid: always}
        rooms: list[tuple[str | None, Stays]] = [(None, always), *in_rooms.items()]
        seen: set[str] = set()
        for room, stays in rooms:
            for packet in self._ports.packets.since(parked.namespace, room, stamp(since - LATE - SKEW)):
                at = time_of(packet.offset)
                if packet.offset in seen or packet.offset > cut or sid in packet.skip or not _was_there(stays, at):
                    continue
                if any(_was_there(in_rooms.get(each, ()), at) for each in packet.apart):
                    continue
                seen.add(packet.offset)
                yield packet


class Log:
    """Writes down what one invocation sends; fills `server.turn.Log`."""

    def __init__(self, ports: Ports, retention: int, offset: Callable[[int], str]) -> None:
        self._ports = ports
        self.retention = retention
        self._offset = offset
        self._unsettled: list[tuple[str, str | None, str, str | None]] = []  # namespace, room, offset, entry's key
        self._began = 0

    def next_offset(self) -> str:
        """Return the offset of an event that is written down elsewhere, right now."""
        return self._offset(self._ports.now())

    def write(self, emissions: Sequence[Emission]) -> list[str]:
        """Write down the events that are kept, unless they are already; returns each one's offset."""
        now = self._ports.now()
        offsets: list[str] = []
        entries: list[tuple[str, str | None, Packet]] = []
        for emission in emissions:
            if emission.published:
                offset, key = emission.published
                self._began = min(self._began, time_of(offset)) if self._unsettled else time_of(offset)
                self._unsettled += [(emission.namespace, room, offset, key) for room in emission.rooms]
                offsets.append(offset)
                continue
            offsets.append(offset := self._offset(now))
            if not (emission.volatile or emission.kept) and emission.question is None:
                packet = Packet(offset, emission.frames, emission.skip, emission.apart)
                entries += [(emission.namespace, room, packet) for room in emission.rooms]
        if entries:
            self._ports.packets.write(entries, now + self.retention)
        if not self._unsettled:
            self._began = now
        self._unsettled += [(namespace, room, packet.offset, None) for namespace, room, packet in entries]
        return offsets

    @property
    def written(self) -> str:
        """The offset after which one who comes back could not have read what was just written."""
        return stamp(self._ports.now() - WRITTEN)

    def delay(self, late: int = LATE) -> None:
        """Mark what was written as late, before it is."""
        unsettled, self._unsettled = self._unsettled, []
        for namespace, room, offset, entry in unsettled:
            self._ports.packets.delay(namespace, room, offset, late, entry)

    def settled(self) -> None:
        """Everything was sent: what took too long is marked."""
        taken = self._ports.now() - self._began
        if taken > SETTLED:
            self.delay(taken)
        self._unsettled = []


def _was_there(stays: Sequence[tuple[int, int, Any]], at: int) -> bool:
    return any(entered <= at and (not left or at <= left) for entered, left, _ in stays)


def _missed(packets: Sequence[Packet], offset: str | None, cut: str) -> tuple[Packet, ...] | None:
    """Return the events after the one that a client has, in order; None if it cannot be told which those are."""
    if offset is None:
        return tuple(sorted(packets, key=lambda each: each.offset))
    own = next((each.late for each in packets if each.offset == offset), 0)
    missed: list[Packet] = []
    for packet in sorted(packets, key=lambda each: each.offset):
        if packet.offset == offset:
            continue
        in_order = sender_of(packet.offset) == sender_of(offset) and not (own or packet.late)
        if not in_order:
            apart = time_of(packet.offset) - time_of(offset)
            # The earlier of the two may have been sent for as long as it took to settle, and so after the other.
            earlier = own if apart > 0 else packet.late
            if abs(apart) <= max(SETTLED, earlier) + SKEW:
                return None
        if packet.offset > offset:
            missed.append(packet)
    return tuple(missed)


def frames_of(namespace: str, packet: Packet) -> list[str]:
    """Return a missed event's frames, as its client would have got them."""
    frames: Sequence[str] = packet.frames
    if packet.entry is not None:
        frames = packet_frames(PacketType.EVENT, namespace, [packet.event, packet.entry.as_json()])
    return spoken(frames, Dialect.OFFSETS, packet.offset)
