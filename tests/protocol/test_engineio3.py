"""Engine.IO 3: what engine.io-parser 2.2.1 writes and reads, written down, and what is refused."""

import base64
from collections.abc import Callable

import engineio.packet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import engineio as engineio4
from protocol.engineio import MAX_PACKETS, Packet, PacketType
from protocol.engineio3 import (
    PROTOCOL,
    decode_packet,
    decode_payload,
    encode_packet,
    encode_payload,
    frame,
    payload,
)
from protocol.errors import ProtocolError

MESSAGE = PacketType.MESSAGE
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PACKETS = st.builds(Packet, st.sampled_from(PacketType), TEXT) | st.builds(Packet, st.just(MESSAGE), st.binary())
BYTES_1_TO_4 = bytes([1, 2, 3, 4])


def test_protocol_version() -> None:
    assert PROTOCOL == 3


@pytest.mark.parametrize(
    ("packet", "text"),
    [
        (Packet(PacketType.OPEN, "{}"), "0{}"),
        (Packet(PacketType.CLOSE), "1"),
        (Packet(PacketType.PING, "probe"), "2probe"),
        (Packet(PacketType.PONG, "probe"), "3probe"),
        (Packet(MESSAGE, "hello"), "4hello"),
        (Packet(MESSAGE, "b4"), "4b4"),
        (Packet(MESSAGE), "4"),
        (Packet(MESSAGE, BYTES_1_TO_4), "b4AQIDBA=="),
        (Packet(MESSAGE, b""), "b4"),
        (Packet(PacketType.UPGRADE), "5"),
        (Packet(PacketType.NOOP), "6"),
    ],
)
def test_packets(packet: Packet, text: str) -> None:
    assert encode_packet(packet) == text
    assert decode_packet(text) == packet
    assert frame(engineio4.encode_packet(packet)) == text


@pytest.mark.parametrize(
    ("packets", "text"),
    [
        ([Packet(MESSAGE, "hello")], "6:4hello"),
        ([Packet(MESSAGE, "hello"), Packet(PacketType.PING), Packet(MESSAGE, "world")], "6:4hello1:26:4world"),
        ([Packet(MESSAGE, "€")], "2:4€"),
        ([Packet(MESSAGE, "😀"), Packet(MESSAGE, "é")], "3:4😀2:4é"),
        ([Packet(MESSAGE, "a😀b"), Packet(PacketType.PING, "probe")], "5:4a😀b6:2probe"),
        ([Packet(MESSAGE, "hello"), Packet(MESSAGE, BYTES_1_TO_4)], "6:4hello10:b4AQIDBA=="),
        ([Packet(MESSAGE, b"")], "2:b4"),
        ([Packet(MESSAGE, "1:4\x1e")], "5:41:4\x1e"),
    ],
)
def test_payloads(packets: list[Packet], text: str) -> None:
    assert encode_payload(packets) == text
    assert decode_payload(text.encode()) == packets
    assert payload([frame(engineio4.encode_packet(packet)) for packet in packets]) == text


@pytest.mark.parametrize(
    ("packets", "body"),
    [
        ([Packet(MESSAGE, "hello"), Packet(MESSAGE, BYTES_1_TO_4)], "0006ff3468656c6c6f 0105ff0401020304"),
        ([Packet(MESSAGE, "€😀"), Packet(MESSAGE, BYTES_1_TO_4)], "0008ff34e282acf09f9880 0105ff0401020304"),
        ([Packet(MESSAGE, b"")], "0101ff04"),
        ([Packet(MESSAGE, b"\7" * 9), Packet(MESSAGE, b"\1" * 123)], f"010100ff04{'07' * 9} 01010204ff04{'01' * 123}"),
        (
            [Packet(MESSAGE, "€€€€"), Packet(PacketType.PONG), Packet(MESSAGE, b"\x00\xff")],
            "000103ff34e282ace282ace282ace282ac 0001ff33 0103ff0400ff",
        ),
        ([Packet(MESSAGE, b"\xff\xff")], "0103ff04ffff"),
    ],
)
def test_binary_payloads(packets: list[Packet], body: str) -> None:
    assert decode_payload(bytes.fromhex(body)) == packets


def test_a_length_may_begin_with_zeros() -> None:
    assert decode_payload(b"06:4hello") == [Packet(MESSAGE, "hello")]
    assert decode_payload(bytes.fromhex("000006ff3468656c6c6f")) == [Packet(MESSAGE, "hello")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("7", "unknown"),
        ("b", "not a message"),
        ("bAQIDBA==", "not a message"),
        ("b6AQ==", "not a message"),
        ("b٤AQ==", "not a message"),
        ("b4AQ===", "base64"),
        ("b4!", "base64"),
        ("4\ud800", "surrogate"),
    ],
)
def test_packets_that_are_wrong(text: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode_packet(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no packets"),
        ("0:", "empty"),
        ("1:", "ends before"),
        ("6:4hell", "ends before"),
        ("6:4helloo", "no length"),
        ("6:4hello1", "no length"),
        ("6:4hello0:", "empty"),
        ("6:4hello\n", "no length"),
        ("a:4", "no length"),
        (":4", "no length"),
        ("6", "no length"),
        ("-1:4", "no length"),
        ("1.0:4", "no length"),
        ("1e0:4", "no length"),
        (" 1:4", "no length"),
        ("٦:4hello", "no length"),
        ("2:4😀", "within a character"),
        ("3:4a😀1:2", "within a character"),
        ("99999999999:4", "no length"),
        ("1:9", "unknown"),
        ("4hello", "no length"),
        ("4hello\x1e4hello", "no length"),
        ("3:bAQ", "not a message"),
        ("\ufeff1:4", "no length"),
        ("\x021:4", "no length"),
    ],
)
def test_payloads_that_are_wrong(text: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode_payload(text.encode())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("00", "no length"),
        ("00ff34", "no length"),
        ("0001", "no length"),
        ("000a ff 34", "no length"),
        ("0031 ff 34", "no length"),
        ("00" + "00" * 10 + "01ff34", "no length"),
        ("0001ff34 02 01ff34", "no length"),
        ("0001ff34 31 3a34", "no length"),
        ("0001ff", "ends before"),
        ("0002ff34", "ends before"),
        ("0000ff", "empty"),
        ("0001ff39", "unknown"),
        ("0002ff34e2", "UTF-8"),
        ("0004ff34eda080", "UTF-8"),
        ("0100ff", "not a message"),
        ("0101ff34", "not a message"),
        ("0101ff02", "not a message"),
        ("0102ff0641", "not a message"),
    ],
)
def test_binary_payloads_that_are_wrong(body: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode_payload(bytes.fromhex(body))


def test_text_that_is_not_utf8() -> None:
    with pytest.raises(ProtocolError, match="UTF-8"):
        decode_payload(b"2:4\xff")


def test_number_of_packets() -> None:
    assert len(decode_payload(b"1:2" * MAX_PACKETS)) == MAX_PACKETS == 10_000
    assert len(decode_payload(b"1:21:2", max_packets=2)) == 2
    for body in (b"1:2" * (MAX_PACKETS + 1), b"\0\1\xff2" * (MAX_PACKETS + 1)):
        with pytest.raises(ProtocolError, match="more than 1000"):
            decode_payload(body)
    with pytest.raises(ProtocolError, match="more than 1 "):
        decode_payload(b"1:21:2", max_packets=1)


def test_what_cannot_be_written() -> None:
    for write in (encode_payload, payload):
        with pytest.raises(ValueError, match="no packets"):
            write([])
    with pytest.raises(ValueError, match="surrogate"):
        encode_packet(Packet(MESSAGE, "\ud800"))


def test_errors_do_not_repeat_what_arrived() -> None:
    bodies = ["x" * 10**6, "9" * 10**6, "1000000:b4" + "!" * 10**6, "1000000:" + "x" * 10**6, "500001:4" + "😀" * 10**6]
    for body in (*(text.encode() for text in bodies), b"\0" * 10**6, b"\xff" * 10**6):
        with pytest.raises(ProtocolError) as caught:
            decode_payload(body)
        # A character may be two escapes of six.
        assert len(str(caught.value)) < 350


@given(PACKETS)
def test_packets_survive(packet: Packet) -> None:
    assert decode_packet(encode_packet(packet)) == packet


@given(st.lists(PACKETS, min_size=1))
def test_payloads_survive(packets: list[Packet]) -> None:
    assert decode_payload(encode_payload(packets).encode()) == packets


def binary_payload(packets: list[Packet]) -> bytes:
    """Return what a browser posts, written as engine.io-parser does."""
    body = b""
    for packet in packets:
        binary = not isinstance(packet.data, str)
        data = b"\4" + packet.data if isinstance(packet.data, bytes) else encode_packet(packet).encode()
        body += bytes([binary, *map(int, str(len(data))), 255]) + data
    return body


@given(st.lists(PACKETS, min_size=1))
def test_binary_payloads_survive(packets: list[Packet]) -> None:
    assert decode_payload(binary_payload(packets)) == packets


@given(st.lists(PACKETS, min_size=1))
def test_each_length_is_what_javascript_counts(packets: list[Packet]) -> None:
    text = encode_payload(packets)
    for packet in packets:
        part = encode_packet(packet)
        head = f"{len(part.encode('utf-16-be')) // 2}:{part}"
        assert text.startswith(head)
        text = text[len(head) :]
    assert text == ""


@given(st.binary())
def test_binary_in_text_is_base64(data: bytes) -> None:
    assert encode_packet(Packet(MESSAGE, data)) == "b4" + base64.b64encode(data).decode()


@given(st.builds(Packet, st.sampled_from(PacketType), TEXT.map("x{}".format)))
def test_text_packets_are_those_of_engineio_4(packet: Packet) -> None:
    """python-engineio, which speaks version 4, reads them."""
    theirs = engineio.packet.Packet(encoded_packet=encode_packet(packet))
    assert (str(theirs.packet_type), theirs.data) == (packet.type.value, packet.data)


def accepts_or_refuses(read: Callable[[], object]) -> None:
    try:
        read()
    except ProtocolError as error:
        assert str(error)  # noqa: PT017


@given(st.text(st.characters()))
@pytest.mark.parametrize("prefix", ["", "b", "b4", "4"])
def test_any_text_is_read_or_refused(prefix: str, text: str) -> None:
    accepts_or_refuses(lambda: decode_packet(prefix + text))


@given(
    st.binary() | st.text("0123456789:4b😀é").map(str.encode) | st.lists(st.sampled_from(b"\0\1\2\4\xff2:")).map(bytes)
)
@pytest.mark.parametrize("prefix", [b"", b"1:2", b"2:", b"\0\1\xff", b"\1\1\xff\4\0", b"\0\3\xff4"])
def test_any_body_is_read_or_refused(prefix: bytes, body: bytes) -> None:
    accepts_or_refuses(lambda: decode_payload(prefix + body))
