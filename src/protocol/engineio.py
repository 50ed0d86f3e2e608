"""Engine.IO 4: packets, the payloads of long polling, and the handshake, as text.

https://github.com/socketio/engine.io-protocol
"""

import binascii
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from protocol import strict_json
from protocol.errors import ProtocolError, excerpt

PROTOCOL = 4
SEPARATOR = "\x1e"
MAX_PACKETS = 10_000


class PacketType(enum.Enum):
    """The first character of a packet."""

    OPEN = "0"
    CLOSE = "1"
    PING = "2"
    PONG = "3"
    MESSAGE = "4"
    UPGRADE = "5"
    NOOP = "6"


_TYPES = {member.value: member for member in PacketType}


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet; its data is bytes in a MESSAGE only."""

    type: PacketType
    data: str | bytes = ""

    def __post_init__(self) -> None:
        if self.type is not PacketType.MESSAGE and not isinstance(self.data, str):
            raise ValueError(f"{self.type.name} packet cannot hold binary data")


def encode_packet(packet: Packet) -> str:
    """The packet as text, binary data as "b" and base64.

    Raises ValueError for lone surrogates, which cannot be sent as UTF-8.
    """
    if not isinstance(packet.data, str):
        return "b" + binascii.b2a_base64(packet.data, newline=False).decode("ascii")
    if not strict_json.is_utf8(packet.data):
        raise ValueError(f"{packet.type.name} packet holds a lone surrogate")
    return packet.type.value + packet.data


def decode_packet(text: str) -> Packet:
    """The packet in a text frame, or in one part of a payload.

    Data after the type is kept for every type ("2probe"). Base64 may have line breaks and may lack
    its padding, as in Node; any other character outside its alphabet is an error, unlike in Node.
    """
    if not text:
        raise ProtocolError("packet is empty")
    if text[0] == "b":
        return Packet(PacketType.MESSAGE, _decode_base64(text[1:]))
    packet_type = _TYPES.get(text[0])
    if packet_type is None:
        raise ProtocolError(f"packet type is unknown: {excerpt(text)}")
    if not strict_json.is_utf8(text):
        raise ProtocolError(f"packet holds a lone surrogate: {excerpt(text)}")
    return Packet(packet_type, text[1:])


def encode_payload(packets: Sequence[Packet]) -> str:
    """The packets as one body of a long-polling request or response.

    Raises ValueError if there are none, or if the data of one holds the separator.
    """
    if not packets:
        raise ValueError("payload has no packets")
    parts = [encode_packet(packet) for packet in packets]
    for part in parts:
        if SEPARATOR in part:
            raise ValueError(f"packet holds the separator of payloads: {excerpt(part)}")
    return SEPARATOR.join(parts)


def decode_payload(text: str, *, max_packets: int = MAX_PACKETS) -> list[Packet]:
    """The packets of a body, at least one and at most `max_packets`; if one is wrong, none."""
    count = text.count(SEPARATOR) + 1
    if count > max_packets:
        raise ProtocolError(f"payload has {count} packets, more than {max_packets}")
    return [decode_packet(part) for part in text.split(SEPARATOR)]


class Handshake(NamedTuple):
    """What the server says in the open packet: times in milliseconds, `max_payload` in bytes."""

    sid: str
    upgrades: tuple[str, ...]
    ping_interval: int
    ping_timeout: int
    max_payload: int

    def packet(self) -> Packet:
        """The open packet."""
        fields = {
            "sid": self.sid,
            "upgrades": self.upgrades,
            "pingInterval": self.ping_interval,
            "pingTimeout": self.ping_timeout,
            "maxPayload": self.max_payload,
        }
        return Packet(PacketType.OPEN, strict_json.dumps(fields))

    @classmethod
    def parse(cls, packet: Packet) -> Self:
        """The handshake in an open packet; fields it does not know are ignored."""
        if packet.type is not PacketType.OPEN or not isinstance(packet.data, str):
            raise ProtocolError(f"packet is not an open packet but {packet.type.name}")
        fields = strict_json.loads(packet.data)
        if not isinstance(fields, dict):
            raise ProtocolError(f"handshake is not an object: {excerpt(packet.data)}")
        return cls(
            _text_field(fields, "sid"),
            _upgrades_field(fields),
            _integer_field(fields, "pingInterval"),
            _integer_field(fields, "pingTimeout"),
            _integer_field(fields, "maxPayload"),
        )


def _text_field(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ProtocolError(f"handshake has no text in {name}")
    return value


def _integer_field(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ProtocolError(f"handshake has no whole number in {name}")
    return value


def _upgrades_field(fields: dict[str, Any]) -> tuple[str, ...]:
    value = fields.get("upgrades")
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ProtocolError("handshake has no list of names in upgrades")
    return tuple(value)


def _decode_base64(text: str) -> bytes:
    # Java's client breaks its base64 into lines.
    body = text.replace("\r", "").replace("\n", "")
    digits = body.rstrip("=")
    missing = -len(digits) % 4
    if len(body) - len(digits) > missing:
        raise ProtocolError(f"base64 has too much padding: {excerpt(text)}")
    try:
        return binascii.a2b_base64(digits + "=" * missing, strict_mode=True)
    except ValueError as error:
        raise ProtocolError(f"base64 cannot be read: {excerpt(text)}") from error
