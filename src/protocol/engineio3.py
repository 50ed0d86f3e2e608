"""Engine.IO 3, which Socket.IO's clients 1 and 2 speak: how its packets and payloads differ from Engine.IO 4.

https://github.com/socketio/engine.io-protocol/tree/v3. What it leaves open is decided as in Node's engine.io-parser
2.2; where this module is stricter, the function says so. Packets and their types are those of `engineio`.

Socket.IO's clients 1 encode the text of payloads as UTF-8 twice. Here, as in Node since Socket.IO 2, that is text like
any other, so that theirs arrives garbled where it is not ASCII and comes by long polling.
"""

import re
from collections.abc import Iterator, Sequence

from protocol import engineio
from protocol.engineio import MAX_PACKETS, Packet, PacketType
from protocol.errors import ProtocolError, excerpt

PROTOCOL = 3

_TEXT, _BINARY = 0, 1
_END_OF_LENGTH = 0xFF
_MAX_DIGITS = 10
_LENGTH = re.compile(f"([0-9]{{1,{_MAX_DIGITS}}}):")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")


def encode_packet(packet: Packet) -> str:
    """The packet as text, binary data as "b4" and base64.

    Raises ValueError for lone surrogates, which cannot be sent as UTF-8.
    """
    return frame(engineio.encode_packet(packet))


def decode_packet(text: str) -> Packet:
    """The packet in a text frame, or in one part of a payload.

    Stricter than Node: binary data is for messages, and its base64 is as `engineio.decode_packet` takes it.
    """
    if text[:1] != "b":
        return engineio.decode_packet(text)
    if text[1:2] != PacketType.MESSAGE.value:
        raise ProtocolError(f"binary packet is not a message: {excerpt(text)}")
    return engineio.decode_packet("b" + text[2:])


def encode_payload(packets: Sequence[Packet]) -> str:
    """The packets as one body of a long-polling response, which may be text whatever the client can read.

    Raises ValueError if there are none.
    """
    return payload([encode_packet(packet) for packet in packets])


def decode_payload(body: bytes, *, max_packets: int = MAX_PACKETS) -> list[Packet]:
    """The packets of a request's body, at least one and at most `max_packets`; if one is wrong, none.

    Both forms are read: text (``<length in UTF-16 units>:<packet>…``), and what a browser posts when a packet is
    binary (see `_binary_parts`). Stricter than Node: text is valid UTF-8, and no packet is empty.
    """
    parts = _binary_parts(body) if body[:1] in (b"\0", b"\1") else _text_parts(_utf8(body))
    packets: list[Packet] = []
    for part in parts:
        if len(packets) == max_packets:
            raise ProtocolError(f"payload has more than {max_packets} packets")
        packets.append(_decode_part(part))
    if not packets:
        raise ProtocolError("payload has no packets")
    return packets


def frame(text: str) -> str:
    """The form in Engine.IO 3 of a text frame of Engine.IO 4: "b…" becomes "b4…", others are the same."""
    return f"b{PacketType.MESSAGE.value}{text[1:]}" if text.startswith("b") else text


def payload(frames: Sequence[str]) -> str:
    """Text frames as one payload. Raises ValueError if there are none."""
    if not frames:
        raise ValueError("payload has no packets")
    return "".join(f"{_units(text)}:{text}" for text in frames)


def _units(text: str) -> int:
    """The length of a text in JavaScript."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _decode_part(part: str | bytes) -> Packet:
    if isinstance(part, str):
        return decode_packet(part)
    if part[:1] != b"\4":
        raise ProtocolError("binary packet is not a message")
    return Packet(PacketType.MESSAGE, part[1:])


def _text_parts(text: str) -> Iterator[str]:
    # Lengths count UTF-16 units, so let each be one character while it is cut.
    astral = _ASTRAL.search(text) is not None
    units = _ASTRAL.sub(_surrogates, text) if astral else text
    position = 0
    while position < len(units):
        length = _LENGTH.match(units, position)
        if length is None:
            raise ProtocolError(f"payload has no length before a packet: {excerpt(units[position : position + 50])}")
        position = length.end() + int(length[1])
        if position > len(units):
            raise ProtocolError(f"payload ends before its packet does, which has {length[1]} characters")
        part = units[length.end() : position]
        yield _joined(part) if astral else part


def _surrogates(match: re.Match[str]) -> str:
    high, low = divmod(ord(match[0]) - 0x10000, 0x400)
    return chr(0xD800 + high) + chr(0xDC00 + low)


def _joined(units: str) -> str:
    try:
        return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise ProtocolError(f"packet ends within a character: {excerpt(units)}") from error


def _binary_parts(body: bytes) -> Iterator[str | bytes]:
    """What XMLHttpRequest 2 posts as application/octet-stream.

    For each packet: 0 for text or 1 for binary, its length in bytes as decimal digits (each a byte from 0 to 9),
    255, then the packet as UTF-8, or its type as a byte and its data.
    """
    position = 0
    while position < len(body):
        end = body.find(_END_OF_LENGTH, position + 1, position + _MAX_DIGITS + 2)
        digits = body[position + 1 : end]
        if body[position] not in (_TEXT, _BINARY) or end < 0 or not digits or max(digits) > 9:
            raise ProtocolError("binary payload has no length before a packet")
        start, length = end + 1, int("".join(map(str, digits)))
        if start + length > len(body):
            raise ProtocolError(f"payload ends before its packet does, which has {length} bytes")
        part = body[start : start + length]
        yield _utf8(part) if body[position] == _TEXT else part
        position = start + length


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"text is not UTF-8: {error.reason}") from error
