"""An emit on its way: to whom, in which frames, and in which dialect each recipient gets them."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from protocol import engineio, engineio3, socketio
from protocol.socketio import PacketType
from server.exceptions import PacketTooLargeError
from server.records import Dialect, Question

MAX_FRAME = 131_072
"""Bytes that @connections takes in one message (API Gateway quotas)."""

ROOM_FOR_OFFSET = 40
"""Bytes that an offset may add to a frame."""

_BEFORE_ID = re.compile("4[0-9](?:[0-9]+-)?(?:/[^,]*,)?")  # types, number of attachments, namespace


class Emission(NamedTuple):
    """One emit: an event in `frames` (text frames of Engine.IO 4) to everybody in `rooms`, each socket once.

    Room None is the namespace's room of all. Not to those in ``apart``, nor to the socket ids in ``skip``.
    """

    namespace: str
    rooms: tuple[str | None, ...]
    frames: tuple[str, ...]
    apart: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    volatile: bool = False
    question: Question | None = None
    published: tuple[str, str] | None = None  # its offset, and the key of the journal's entry by which it is kept
    kept: bool = False  # written down when it was sent for the first time


def packet_frames(kind: PacketType, namespace: str, data: Any = None, id: int | None = None) -> list[str]:
    """Return a packet's text frames: its header and its attachments. Raises PacketTooLargeError."""
    parts = socketio.encode(socketio.Packet(kind, namespace, data, id))
    frames = [engineio.encode_packet(engineio.Packet(engineio.PacketType.MESSAGE, part)) for part in parts]
    if (size := max(len(frame.encode()) for frame in frames)) > MAX_FRAME - ROOM_FOR_OFFSET:
        raise PacketTooLargeError(f"{size} bytes; API Gateway sends at most {MAX_FRAME} in one message")
    return frames


def with_id(frames: Sequence[str], id: int) -> tuple[str, ...]:
    """Return an event's frames with the id that asks for an acknowledgement."""
    header, *attachments = frames
    begin = _BEFORE_ID.match(header)
    assert begin
    return (f"{begin[0]}{id}{header[begin.end() :]}", *attachments)


def spoken(frames: Iterable[str], dialect: Dialect, offset: str = "") -> list[str]:
    """Return an event's frames as a client of that dialect wants them; other packets have no `offset`."""
    own = list(frames)
    if dialect is Dialect.EIO3:
        return [engineio3.frame(frame) for frame in own]
    if dialect is Dialect.OFFSETS and offset:
        # The client takes the last argument for the offset if it is a text (socket.io-client, Socket.emitEvent).
        own[0] = f'{own[0][:-1]},"{offset}"]'
    return own
