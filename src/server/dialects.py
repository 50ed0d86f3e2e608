"""What tells one client's dialect from another's, and what is read and written differently for it."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from protocol import engineio, engineio3
from protocol.engineio import PacketType
from protocol.errors import ProtocolError
from server.records import Connection, Dialect, is_polling

VERSIONS = (str(engineio.PROTOCOL), str(engineio3.PROTOCOL))
"""What a client may ask for as EIO."""

_PYTHON_TIME = re.compile(r"[0-9]+\.[0-9]+")

# Whose handlers get all arguments of an event, and would find the offset among them.
_KNOW_NO_OFFSET = ("Dart/", "okhttp/", "python", "Python")

EARLY = 2_000
"""Milliseconds in which the client in C++ may have sent something before it got the open packet."""


def dialect_of(query: Mapping[str, str], environ: Mapping[str, Any], *, websocket: bool) -> Dialect:
    """Return how a client wants its packets, by what it shows as it connects.

    It does not say whether it knows offsets. JavaScript's client does; it sends no ``t`` over WebSocket, where those in
    Python and C++ do, and over polling a ``t`` that is not the time in seconds.
    """
    if query.get("EIO") == str(engineio3.PROTOCOL):
        return Dialect.EIO3
    knows = "t" not in query if websocket else not _PYTHON_TIME.fullmatch(query.get("t", ""))
    knows = knows and not (websocket and query.get("transport") == "polling")  # Dart
    agent = str(environ.get("HTTP_USER_AGENT", ""))
    return Dialect.OFFSETS if knows and not agent.startswith(_KNOW_NO_OFFSET) else Dialect.PLAIN


def decode(text: str, dialect: Dialect) -> engineio.Packet:
    """Return the packet in a text frame. Raises ProtocolError."""
    return engineio3.decode_packet(text) if dialect is Dialect.EIO3 else engineio.decode_packet(text)


def answer_to(packet: engineio.Packet, dialect: Dialect) -> str | None:
    """Return the answer to a packet of the heartbeat; ProtocolError for one in the wrong direction."""
    if (packet.type is PacketType.PING) is not (dialect is Dialect.EIO3):
        raise ProtocolError(f"{packet.type.name} is not for a client of this version to send")
    if packet.type is PacketType.PONG:
        return None
    return engineio.encode_packet(engineio.Packet(PacketType.PONG, packet.data))


def may_overtake_open(connection: Connection, now: int) -> bool:
    """Tell whether an answer might arrive before the open packet, which is on its way through the queue.

    Only the client in C++ does not wait for it; its ``t`` over WebSocket is no decimal number.
    """
    if is_polling(connection.id) or connection.origin or now - connection.born > EARLY:
        return False
    sent = dict(parse_qsl(str(connection.environ.get("QUERY_STRING", "")))).get("t")
    return sent is not None and not _PYTHON_TIME.fullmatch(sent)
