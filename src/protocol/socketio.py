"""Socket.IO 5: packets to header texts with their binary attachments, and back.

https://github.com/socketio/socket.io-protocol. What it leaves open is decided as in Node's
socket.io-parser 4.2; where this module is stricter, the function says so.
"""

import enum
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from protocol import strict_json
from protocol.engineio import SEPARATOR
from protocol.errors import ProtocolError, excerpt

PROTOCOL = 5
MAX_ATTACHMENTS = 10
MAX_ID = 2**53 - 1
"""The largest whole number that JavaScript counts to."""

RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)


class PacketType(enum.IntEnum):
    """The first character of a packet. BINARY_EVENT and BINARY_ACK exist on the wire only."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


_TYPES = {str(member.value): member for member in PacketType}
_TO_BINARY = {PacketType.EVENT: PacketType.BINARY_EVENT, PacketType.ACK: PacketType.BINARY_ACK}
_FROM_BINARY = {binary: plain for plain, binary in _TO_BINARY.items()}

_PLACEHOLDER = '"_placeholder":true'
_REST = re.compile(r"(?:(/[^,]*),?)?([0-9]*)(.*)", re.DOTALL)


class Packet(NamedTuple):
    """One packet, its attachments in their places as bytes.

    `data` is for CONNECT an object or None, for DISCONNECT None, for CONNECT_ERROR an object or a
    string, for EVENT a list of the event's name (a string, or a number as in Node) and its arguments,
    for ACK a list of arguments. `id` asks for an acknowledgement, or is the one acknowledged.
    """

    type: PacketType
    namespace: str = "/"
    data: Any = None
    id: int | None = None


class Pending(NamedTuple):
    """A packet that waits for attachments. It comes from `decode_header`, or again from `reassemble`.

    `packet` has placeholders where its attachments will be, `header` is the text it was read from.
    """

    header: str
    packet: Packet
    expected: int
    attachments: tuple[bytes, ...] = ()

    @property
    def missing(self) -> int:
        """How many attachments have yet to come; at least one."""
        return self.expected - len(self.attachments)

    def attach(self, attachment: bytes) -> "Packet | Pending":
        """With the next attachment: the packet if that was the last one, else what still waits."""
        attachments = (*self.attachments, bytes(attachment))
        if len(attachments) < self.expected:
            return self._replace(attachments=attachments)
        return self.packet._replace(data=_fill(self.packet.data, attachments))


def encode(packet: Packet) -> list[str | bytes]:
    """The header, and after it the attachments in order.

    An EVENT or ACK that holds bytes, bytearray or memoryview is written as BINARY_EVENT or BINARY_ACK,
    one that does not as EVENT or ACK, whichever its type says. Raises ValueError for a namespace, id
    or data that `decode_header` would refuse, and for what `strict_json.dumps` does; TypeError for
    values that JSON has no type for, and for binary data in other packets.
    """
    packet_type = _FROM_BINARY.get(packet.type, packet.type)
    fault = _namespace_fault(packet.namespace) or _id_fault(packet.id) or _data_fault(packet_type, packet.data)
    if fault:
        raise ValueError(fault)
    attachments: list[bytes] = []
    payload = "" if packet.data is None else _encode_data(packet_type, packet.data, attachments)
    count = ""
    if attachments:
        packet_type, count = _TO_BINARY[packet_type], f"{len(attachments)}-"
    namespace = "" if packet.namespace == "/" else packet.namespace + ","
    ack_id = "" if packet.id is None else str(packet.id)
    return [f"{packet_type.value}{count}{namespace}{ack_id}{payload}", *attachments]


def decode_header(text: str, *, max_attachments: int = MAX_ATTACHMENTS) -> Packet | Pending:
    """The packet in a text, or what waits for its attachments; if the text is wrong, a ProtocolError.

    A namespace may lack its comma at the end of the text, and "/" may be written. A query in it
    ("/chat?token=x,") stays part of its name. An id is digits, up to MAX_ID. A packet of type
    BINARY_EVENT or BINARY_ACK becomes an EVENT or ACK; in any other, placeholders are plain data.

    Stricter than Node: EVENT, ACK and CONNECT_ERROR need data; every attachment has exactly one
    placeholder; numbers that overflow and data deeper than `strict_json.MAX_DEPTH` are errors.
    """
    wire_type = _TYPES.get(text[:1])
    if wire_type is None:
        raise ProtocolError(f"packet type is unknown: {excerpt(text)}")
    packet_type = _FROM_BINARY.get(wire_type, wire_type)
    if packet_type is wire_type:
        return _decode_rest(packet_type, text[1:])
    expected, rest = _take_count(text[1:], max_attachments)
    packet = _decode_rest(packet_type, rest)
    _check_placeholders(packet.data, expected)
    return Pending(text, packet, expected)


def reassemble(
    header: str, attachments: Iterable[bytes], *, max_attachments: int = MAX_ATTACHMENTS
) -> Packet | Pending:
    """What `header` and the attachments that came so far amount to; one too many is a ProtocolError."""
    result = decode_header(header, max_attachments=max_attachments)
    for attachment in attachments:
        if isinstance(result, Packet):
            raise ProtocolError(f"packet has more attachments than it says: {excerpt(header)}")
        result = result.attach(attachment)
    return result


def split_query(namespace: str) -> tuple[str, dict[str, str]]:
    """The namespace that a Socket.IO 2 client names in CONNECT ("/chat?token=x"), without the query and the query.

    Of fields with one name the last counts; what has no "=" is "".
    """
    path, _, query = namespace.partition("?")
    return path, dict(parse_qsl(query, keep_blank_values=True))


def _encode_data(packet_type: PacketType, data: Any, attachments: list[bytes]) -> str:
    def detach(value: Any) -> dict[str, Any]:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"JSON has no type for {type(value).__name__}")
        if packet_type not in _TO_BINARY:
            raise TypeError(f"{packet_type.name} packet cannot hold binary data")
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}

    payload = strict_json.dumps(data, detach)
    # An application may pass on an object that looks like a placeholder; beside real ones, every
    # receiver would take it for one, and disconnect if there is no such attachment.
    if attachments and payload.count(_PLACEHOLDER) > len(attachments):
        raise ValueError("data beside binary holds an object that reads as its placeholder")
    return payload


def _take_count(text: str, limit: int) -> tuple[int, str]:
    digits, dash, rest = text.partition("-")
    if not (dash and digits.isascii() and digits.isdigit()):
        raise ProtocolError(f"binary packet does not say how many attachments it has: {excerpt(text)}")
    count = int(digits) if len(digits) <= len(str(limit)) else limit + 1
    if count > limit:
        raise ProtocolError(f"packet has more than {limit} attachments: {excerpt(text)}")
    if count == 0:
        raise ProtocolError(f"binary packet has no attachments: {excerpt(text)}")
    return count, rest


def _decode_rest(packet_type: PacketType, text: str) -> Packet:
    match = _REST.fullmatch(text)
    assert match is not None  # every part may be empty, and the last takes all
    namespace, digits, payload = match[1] or "/", match[2], match[3]
    data = strict_json.loads(payload) if payload else None
    if payload and data is None:
        raise ProtocolError(f"{packet_type.name} packet has null for data")
    ack_id = _decode_id(digits)
    fault = _namespace_fault(namespace) or _data_fault(packet_type, data)
    if fault:
        raise ProtocolError(fault)
    return Packet(packet_type, namespace, data, ack_id)


def _decode_id(digits: str) -> int | None:
    if not digits:
        return None
    if len(digits) > len(str(MAX_ID)) or int(digits) > MAX_ID:
        raise ProtocolError(f"id is above {MAX_ID}: {excerpt(digits)}")
    return int(digits)


def _namespace_fault(namespace: str) -> str | None:
    if not namespace.startswith("/"):
        return f"namespace does not begin with a slash: {excerpt(namespace)}"
    if "," in namespace or SEPARATOR in namespace or not strict_json.is_utf8(namespace):
        return f"namespace holds a comma, a separator of payloads or a lone surrogate: {excerpt(namespace)}"
    return None


def _id_fault(ack_id: int | None) -> str | None:
    if ack_id is None or (type(ack_id) is int and 0 <= ack_id <= MAX_ID):
        return None
    return f"id is not a whole number from 0 to {MAX_ID}"


def _data_fault(packet_type: PacketType, data: Any) -> str | None:
    """What is wrong with data of that type, by the rules of Node's isPayloadValid."""
    match packet_type:
        case PacketType.CONNECT if data is not None and not isinstance(data, dict):
            return "CONNECT packet has data that is not an object"
        case PacketType.DISCONNECT if data is not None:
            return "DISCONNECT packet has data"
        case PacketType.CONNECT_ERROR if not isinstance(data, dict | str):
            return "CONNECT_ERROR packet has data that is neither an object nor a string"
        case PacketType.EVENT | PacketType.ACK if not isinstance(data, list | tuple):
            return f"{packet_type.name} packet has data that is not an array"
        case PacketType.EVENT:
            return _event_fault(data)
    return None


def _event_fault(data: list[Any] | tuple[Any, ...]) -> str | None:
    if not data:
        return "EVENT packet has an empty array"
    name = data[0]
    if not isinstance(name, str | int | float) or isinstance(name, bool):
        return "EVENT packet has an event name that is neither a string nor a number"
    if name in RESERVED_EVENTS:
        return f"EVENT packet has the reserved event name {name}"
    return None


def _check_placeholders(data: Any, expected: int) -> None:
    numbers = list(_placeholder_numbers(data))
    if any(type(number) is not int for number in numbers) or sorted(numbers) != list(range(expected)):
        raise ProtocolError(f"packet has {expected} attachments, but its placeholders are not one for each")


def _placeholder_numbers(data: Any) -> Iterator[Any]:
    remaining = [data]
    while remaining:
        value = remaining.pop()
        if _is_placeholder(value):
            yield value.get("num")
        elif isinstance(value, dict):
            remaining.extend(value.values())
        elif isinstance(value, list):
            remaining.extend(value)


def _is_placeholder(value: Any) -> bool:
    return isinstance(value, dict) and value.get("_placeholder") is True


def _fill(data: Any, attachments: tuple[bytes, ...]) -> Any:
    if _is_placeholder(data):
        return attachments[data["num"]]
    if isinstance(data, dict):
        return {key: _fill(value, attachments) for key, value in data.items()}
    if isinstance(data, list):
        return [_fill(value, attachments) for value in data]
    return data
