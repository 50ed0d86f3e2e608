"""Socket.IO 5, whatever the packet: round trips, python-socketio as oracle, and no text that does harm."""

from collections.abc import Iterator
from typing import Any

import socketio.packet
from hypothesis import assume, example, given
from hypothesis import strategies as st

from protocol.engineio import SEPARATOR, decode_payload, encode_payload
from protocol.engineio import Packet as Frame
from protocol.engineio import PacketType as FrameType
from protocol.errors import ProtocolError
from protocol.socketio import MAX_ID, RESERVED_EVENTS, Packet, PacketType, Pending, decode_header, encode, reassemble

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner), max_leaves=12
    )


ARGUMENTS = st.lists(trees(LEAVES | st.binary(max_size=8)), max_size=4)
OBJECTS = st.dictionaries(st.text(max_size=4), trees(LEAVES), max_size=4)
NAMES = st.text(max_size=8).filter(lambda name: name not in RESERVED_EVENTS) | st.integers(0, 9)
NAMESPACES = st.just("/") | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=f",{SEPARATOR}"), max_size=8
).map("/{}".format)
IDS = st.none() | st.integers(0, MAX_ID)


def made(*fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Packet]:
    return st.tuples(*fields).map(lambda values: Packet(*values))


PACKETS = st.one_of(
    made(st.just(PacketType.CONNECT), NAMESPACES, st.none() | OBJECTS),
    made(st.just(PacketType.DISCONNECT), NAMESPACES),
    made(st.just(PacketType.CONNECT_ERROR), NAMESPACES, OBJECTS | st.text()),
    made(st.just(PacketType.EVENT), NAMESPACES, st.builds(lambda n, a: [n, *a], NAMES, ARGUMENTS), IDS),
    made(st.just(PacketType.ACK), NAMESPACES, ARGUMENTS, IDS),
)


def binary_in(data: Any) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
    elif isinstance(data, list):
        for value in data:
            yield from binary_in(value)
    elif isinstance(data, dict):
        yield from binary_in(list(data.values()))


def header_and_attachments(packet: Packet) -> tuple[str, list[bytes]]:
    header, *attachments = encode(packet)
    assert isinstance(header, str)
    return header, [attachment for attachment in attachments if isinstance(attachment, bytes)]


@given(PACKETS)
def test_packets_survive(packet: Packet) -> None:
    header, attachments = header_and_attachments(packet)
    assert attachments == list(binary_in(packet.data))
    assert SEPARATOR not in header
    header.encode("utf-8")
    assert reassemble(header, attachments, max_attachments=len(attachments)) == packet


@given(PACKETS)
def test_packets_wait_for_every_attachment(packet: Packet) -> None:
    header, attachments = header_and_attachments(packet)
    for count in range(len(attachments)):
        waiting = reassemble(header, attachments[:count], max_attachments=len(attachments))
        assert isinstance(waiting, Pending)
        assert waiting.missing == len(attachments) - count
        assert waiting.attachments == tuple(attachments[:count])


@given(st.lists(PACKETS, min_size=1, max_size=4))
def test_packets_survive_polling(packets: list[Packet]) -> None:
    body = encode_payload([Frame(FrameType.MESSAGE, part) for packet in packets for part in encode(packet)])
    parts = [frame.data for frame in decode_payload(body)]
    received = []
    while parts:
        header = parts.pop(0)
        assert isinstance(header, str)
        result = decode_header(header, max_attachments=100)
        while isinstance(result, Pending):
            attachment = parts.pop(0)
            assert isinstance(attachment, bytes)
            result = result.attach(attachment)
        received.append(result)
    assert received == packets


def to_oracle(packet: Packet) -> socketio.packet.Packet:
    return socketio.packet.Packet(int(packet.type), packet.data, packet.namespace, packet.id)


def from_oracle(packet: socketio.packet.Packet) -> Packet:
    plain = {PacketType.BINARY_EVENT: PacketType.EVENT, PacketType.BINARY_ACK: PacketType.ACK}
    packet_type = PacketType(packet.packet_type)
    return Packet(plain.get(packet_type, packet_type), packet.namespace or "/", packet.data, packet.id)


def oracle_can_read(packet: Packet) -> bool:
    """It cuts off queries, and takes the beginning of a namespace for a count or its data for an id."""
    return "?" not in packet.namespace and not (packet.type is PacketType.DISCONNECT and packet.id is not None)


@given(PACKETS)
def test_the_oracle_reads_our_packets(packet: Packet) -> None:
    assume(oracle_can_read(packet))
    header, attachments = header_and_attachments(packet)
    oracle = socketio.packet.Packet(encoded_packet=header)
    assert oracle.attachment_count == len(attachments)
    for attachment in attachments:
        oracle.add_attachment(attachment)
    assert from_oracle(oracle) == packet


@given(PACKETS)
def test_we_read_the_packets_of_the_oracle(packet: Packet) -> None:
    encoded = to_oracle(packet).encode()
    header, *attachments = encoded if isinstance(encoded, list) else [encoded]
    assert reassemble(header, attachments, max_attachments=100) == packet


@given(PACKETS)
def test_the_oracle_and_we_write_the_same(packet: Packet) -> None:
    encoded = to_oracle(packet).encode()
    header, *attachments = encoded if isinstance(encoded, list) else [encoded]
    # It escapes all that is not ASCII in JSON.
    assume(header.isascii() and "\\u" not in header and "\x7f" not in header)
    assert encode(packet) == [header, *attachments]


def accepts_or_refuses(text: str) -> None:
    try:
        result = decode_header(text)
    except ProtocolError as error:
        assert str(error)  # noqa: PT017
        return
    while isinstance(result, Pending):
        result = result.attach(b"x")
    header, *_ = encode(result)
    assert isinstance(header, str)
    header.encode("utf-8")


@given(st.text(st.characters()))
@example('20["\\ud800"]')
def test_any_text_is_read_or_refused(text: str) -> None:
    accepts_or_refuses(text)


@given(st.sampled_from("0123456"), st.text('0123456789-/,?[]{}:"\\_ea.+ \n\x1e\ud800é٣'))
def test_any_text_of_the_alphabet_is_read_or_refused(packet_type: str, text: str) -> None:
    accepts_or_refuses(packet_type + text)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    accepts_or_refuses(data.decode("latin-1"))
    accepts_or_refuses(data.decode("utf-8", "replace"))
    accepts_or_refuses(data.decode("utf-8", "surrogateescape"))


PIECES = st.text('0123456789-/,[]{}"\\_', max_size=3) | st.sampled_from(
    ['{"_placeholder":true,"num":0}', '"_placeholder":true', "NaN", "1e999", "null", "connect", "\ud800", SEPARATOR]
)


@given(PACKETS, st.lists(st.tuples(st.integers(0), st.integers(0, 3), PIECES), min_size=1, max_size=3))
def test_any_damaged_packet_is_read_or_refused(packet: Packet, damages: list[tuple[int, int, str]]) -> None:
    text, _ = header_and_attachments(packet)
    for position, length, piece in damages:
        start = position % (len(text) + 1)
        text = text[:start] + piece + text[start + length :]
    accepts_or_refuses(text)
