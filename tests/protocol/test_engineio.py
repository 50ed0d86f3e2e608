"""Engine.IO 4: the specification's examples, the habits of clients, python-engineio as oracle."""

import base64
import json
from collections.abc import Callable
from typing import Any

import engineio.packet
import engineio.payload
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.engineio import (
    MAX_PACKETS,
    PROTOCOL,
    SEPARATOR,
    Handshake,
    Packet,
    PacketType,
    decode_packet,
    decode_payload,
    encode_packet,
    encode_payload,
)
from protocol.errors import ProtocolError

MESSAGE = PacketType.MESSAGE
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=SEPARATOR))
PACKETS = st.builds(Packet, st.sampled_from(PacketType), TEXT) | st.builds(Packet, st.just(MESSAGE), st.binary())
BYTES_1_TO_4 = bytes([1, 2, 3, 4])


def test_protocol_version() -> None:
    assert PROTOCOL == 4


@pytest.mark.parametrize(
    ("packet", "text"),
    [
        (Packet(PacketType.OPEN, "{}"), "0{}"),
        (Packet(PacketType.CLOSE), "1"),
        (Packet(PacketType.PING), "2"),
        (Packet(PacketType.PING, "probe"), "2probe"),
        (Packet(PacketType.PONG), "3"),
        (Packet(PacketType.PONG, "probe"), "3probe"),
        (Packet(MESSAGE, "hello"), "4hello"),
        (Packet(MESSAGE, "€"), "4€"),
        (Packet(MESSAGE), "4"),
        (Packet(MESSAGE, BYTES_1_TO_4), "bAQIDBA=="),
        (Packet(MESSAGE, b""), "b"),
        (Packet(PacketType.UPGRADE), "5"),
        (Packet(PacketType.NOOP), "6"),
    ],
)
def test_packets(packet: Packet, text: str) -> None:
    assert encode_packet(packet) == text
    assert decode_packet(text) == packet


@pytest.mark.parametrize(
    ("packets", "text"),
    [
        ([Packet(MESSAGE, "hello")], "4hello"),
        ([Packet(MESSAGE, "hello"), Packet(PacketType.PING), Packet(MESSAGE, "world")], "4hello\x1e2\x1e4world"),
        ([Packet(MESSAGE, "hello"), Packet(MESSAGE, BYTES_1_TO_4)], "4hello\x1ebAQIDBA=="),
        ([Packet(MESSAGE, "test1"), Packet(MESSAGE, "test2")], "4test1\x1e4test2"),
        ([Packet(MESSAGE, '2["hello"]'), Packet(MESSAGE, '2["world"]')], '42["hello"]\x1e42["world"]'),
    ],
)
def test_payloads(packets: list[Packet], text: str) -> None:
    assert encode_payload(packets) == text
    assert decode_payload(text) == packets


def test_handshake() -> None:
    handshake = Handshake("lv_VI97HAXpY6yYWAAAC", ("websocket",), 25000, 20000, 1000000)
    text = (
        '0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],'
        '"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
    )
    assert encode_packet(handshake.packet()) == text
    assert Handshake.parse(decode_packet(text)) == handshake


@given(
    st.builds(
        Handshake,
        st.text(min_size=1),
        st.lists(st.text()).map(tuple),
        st.integers(0),
        st.integers(0),
        st.integers(0),
    )
)
def test_handshakes_survive(handshake: Handshake) -> None:
    assert Handshake.parse(decode_packet(encode_packet(handshake.packet()))) == handshake


FIELDS = {"sid": "s", "upgrades": [], "pingInterval": 0, "pingTimeout": 1, "maxPayload": 2}


def test_handshake_in_another_packet() -> None:
    for packet in (Packet(MESSAGE, json.dumps(FIELDS)), Packet(PacketType.PING, json.dumps(FIELDS))):
        with pytest.raises(ProtocolError, match=f"not an open packet but {packet.type.name}"):
            Handshake.parse(packet)


def test_values_are_frozen() -> None:
    for value, name in ((Packet(MESSAGE), "data"), (Handshake("s", (), 0, 1, 2), "sid")):
        with pytest.raises(AttributeError):
            setattr(value, name, "x")
        assert not hasattr(value, "__dict__")


def test_handshake_with_fields_of_others() -> None:
    packet = Packet(PacketType.OPEN, json.dumps({**FIELDS, "more": 1}))
    assert Handshake.parse(packet) == Handshake("s", (), 0, 1, 2)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [None, "", -1, True, 1.5, {}, [1], "missing"])
def test_handshake_with_a_wrong_field(name: str, value: Any) -> None:
    fields: dict[str, Any] = {**FIELDS, name: value}
    if value == "missing":
        del fields[name]
    with pytest.raises(ProtocolError, match=name):
        Handshake.parse(Packet(PacketType.OPEN, json.dumps(fields)))


@pytest.mark.parametrize("text", ["0", "0[]", '0"sid"', "0null", "0{", "0" + "[" * 100_000, '4{"sid":"s"}', "bAQ=="])
def test_what_is_no_handshake(text: str) -> None:
    with pytest.raises(ProtocolError):
        Handshake.parse(decode_packet(text))


@pytest.mark.parametrize("packet_type", [each for each in PacketType if each is not MESSAGE])
def test_binary_data_is_for_messages(packet_type: PacketType) -> None:
    with pytest.raises(ValueError, match=packet_type.name):
        Packet(packet_type, b"")


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("bAQIDBA", BYTES_1_TO_4),
        ("bAQIDBA=", BYTES_1_TO_4),
        ("bAQI", b"\1\2"),
        ("bAQID", b"\1\2\3"),
        ("bAQ\nID\r\nBA==\n", BYTES_1_TO_4),
        ("b\n", b""),
        ("b+/+/", b"\xfb\xff\xbf"),
    ],
)
def test_base64_of_clients(text: str, data: bytes) -> None:
    assert decode_packet(text) == Packet(MESSAGE, data)


def test_base64_in_lines_as_java_writes_it() -> None:
    data = bytes(range(256))
    assert decode_packet("b" + base64.encodebytes(data).decode()) == Packet(MESSAGE, data)


@pytest.mark.parametrize(
    "text",
    [
        "bA",
        "b=",
        "b==",
        "bAQIDBA===",
        "bAQID=",
        "bAQI==",
        "bA===",
        "bAQ==ID",
        "bAQ=IDBA",
        "bA-_A",
        "bAQ D",
        "bé",
        "b\ud800AA",
        "b4AQIDBA==",
        "bAQIDBA==x",
    ],
)
def test_base64_that_is_wrong(text: str) -> None:
    with pytest.raises(ProtocolError, match="base64"):
        decode_packet(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("7", "unknown"),
        ("abc", "unknown"),
        (" 4", "unknown"),
        ("B", "unknown"),
        ("٤a", "unknown"),
        ("4\ud800", "surrogate"),
        ("\ud800", "unknown"),
    ],
)
def test_packets_that_are_wrong(text: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode_packet(text)


@pytest.mark.parametrize("text", ["", SEPARATOR, "4a\x1e", "\x1e4a", "4a\x1e\x1e4b", "4a\x1e9", "8:4hello"])
def test_payloads_that_are_wrong(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode_payload(text)


def test_number_of_packets() -> None:
    assert len(decode_payload(SEPARATOR.join("2" * MAX_PACKETS))) == MAX_PACKETS == 10_000
    with pytest.raises(ProtocolError, match="10001 packets, more than 10000"):
        decode_payload(SEPARATOR.join("2" * (MAX_PACKETS + 1)))
    assert len(decode_payload("2\x1e2", max_packets=2)) == 2
    with pytest.raises(ProtocolError, match="2 packets, more than 1"):
        decode_payload("2\x1e2", max_packets=1)


def test_payloads_that_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="no packets"):
        encode_payload([])
    with pytest.raises(ValueError, match="separator"):
        encode_payload([Packet(MESSAGE, "a\x1e4b")])
    with pytest.raises(ValueError, match="surrogate"):
        encode_packet(Packet(MESSAGE, "\ud800"))


def test_errors_do_not_repeat_what_arrived() -> None:
    for text in ("x" * 10**6, "b" + "!" * 10**6, "b" + "A" * (10**6 + 1), "4\ud800" + "x" * 10**6):
        with pytest.raises(ProtocolError) as caught:
            decode_packet(text)
        assert len(str(caught.value)) < 100


@given(PACKETS)
def test_packets_survive(packet: Packet) -> None:
    assert decode_packet(encode_packet(packet)) == packet


@given(st.lists(PACKETS, min_size=1))
def test_payloads_survive(packets: list[Packet]) -> None:
    assert decode_payload(encode_payload(packets)) == packets


# The oracle reads data as JSON where it can, so the texts given to it are not JSON.
ORACLE_PACKETS = st.builds(Packet, st.sampled_from(PacketType), TEXT.map("x{}".format)) | st.builds(
    Packet, st.just(MESSAGE), st.binary()
)


def to_oracle(packet: Packet) -> engineio.packet.Packet:
    return engineio.packet.Packet(int(packet.type.value), packet.data)


def from_oracle(packet: engineio.packet.Packet) -> Packet:
    return Packet(PacketType(str(packet.packet_type)), packet.data)


@given(ORACLE_PACKETS)
def test_the_oracle_and_we_write_the_same_packets(packet: Packet) -> None:
    assert encode_packet(packet) == to_oracle(packet).encode(b64=True)


@given(ORACLE_PACKETS)
def test_the_oracle_reads_our_packets(packet: Packet) -> None:
    assert from_oracle(engineio.packet.Packet(encoded_packet=encode_packet(packet))) == packet


@given(st.lists(ORACLE_PACKETS, min_size=1, max_size=16))
def test_the_oracle_and_we_write_the_same_payloads(packets: list[Packet]) -> None:
    text = encode_payload(packets)
    assert text == engineio.payload.Payload(packets=[to_oracle(packet) for packet in packets]).encode()
    assert [from_oracle(p) for p in engineio.payload.Payload(encoded_payload=text).packets] == packets


def accepts_or_refuses(read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except ProtocolError as error:
        assert str(error)  # noqa: PT017


@given(st.text(st.characters()) | st.binary().map(lambda data: data.decode("latin-1")))
@pytest.mark.parametrize("prefix", ["", "b", "0", "4", "4a\x1eb"])
def test_any_text_is_read_or_refused(prefix: str, text: str) -> None:
    accepts_or_refuses(decode_packet, prefix + text)
    accepts_or_refuses(decode_payload, prefix + text)
    accepts_or_refuses(lambda sent: Handshake.parse(decode_packet(sent)), prefix + text)


@given(st.text("AZaz09+/=\r\n-_ \x1e4b"))
def test_any_base64_is_read_or_refused(text: str) -> None:
    accepts_or_refuses(decode_packet, "b" + text)
    accepts_or_refuses(decode_payload, "b" + text)
