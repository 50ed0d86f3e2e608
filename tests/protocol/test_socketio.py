"""Socket.IO 5: the specification's examples, Node's rules, the habits of clients."""

import math
from decimal import Decimal
from typing import Any

import pytest

from protocol.errors import ProtocolError
from protocol.socketio import (
    MAX_ATTACHMENTS,
    MAX_ID,
    PROTOCOL,
    RESERVED_EVENTS,
    Packet,
    PacketType,
    Pending,
    decode_header,
    encode,
    reassemble,
    split_query,
)

CONNECT = PacketType.CONNECT
DISCONNECT = PacketType.DISCONNECT
EVENT = PacketType.EVENT
ACK = PacketType.ACK
CONNECT_ERROR = PacketType.CONNECT_ERROR


def slot(number: Any) -> str:
    return f'{{"_placeholder":true,"num":{number}}}'


def header_with(count: int) -> str:
    return f'5{count}-["a",{",".join(slot(number) for number in range(count))}]'


def test_numbers_of_the_protocol() -> None:
    assert PROTOCOL == 5
    assert [packet_type.name for packet_type in PacketType] == [
        "CONNECT",
        "DISCONNECT",
        "EVENT",
        "ACK",
        "CONNECT_ERROR",
        "BINARY_EVENT",
        "BINARY_ACK",
    ]
    assert [packet_type.value for packet_type in PacketType] == [0, 1, 2, 3, 4, 5, 6]


SPECIFICATION = [
    (Packet(CONNECT), ["0"]),
    (Packet(CONNECT, data={"sid": "wZX3oN0bSVIhsaknAAAI"}), ['0{"sid":"wZX3oN0bSVIhsaknAAAI"}']),
    (Packet(CONNECT, data={"token": "123"}), ['0{"token":"123"}']),
    (Packet(CONNECT, "/admin"), ["0/admin,"]),
    (Packet(CONNECT, "/admin", {"sid": "oSO0OpakMV_3jnilAAAA"}), ['0/admin,{"sid":"oSO0OpakMV_3jnilAAAA"}']),
    (Packet(CONNECT, "/admin", {"token": "123"}), ['0/admin,{"token":"123"}']),
    (Packet(CONNECT_ERROR, data={"message": "Not authorized"}), ['4{"message":"Not authorized"}']),
    (Packet(CONNECT_ERROR, "/random", {"message": "Invalid namespace"}), ['4/random,{"message":"Invalid namespace"}']),
    (Packet(EVENT, data=["foo"]), ['2["foo"]']),
    (Packet(EVENT, "/admin", ["bar"]), ['2/admin,["bar"]']),
    (Packet(EVENT, data=["message", 1, "2", {"3": [True]}]), ['2["message",1,"2",{"3":[true]}]']),
    (Packet(EVENT, data=["baz", b"\1\2\3\4"]), [f'51-["baz",{slot(0)}]', b"\1\2\3\4"]),
    (Packet(EVENT, "/admin", ["baz", b"\1\2", b"\3\4"]), [f'52-/admin,["baz",{slot(0)},{slot(1)}]', b"\1\2", b"\3\4"]),
    (Packet(EVENT, data=["foo"], id=12), ['212["foo"]']),
    (Packet(ACK, data=[], id=12), ["312[]"]),
    (Packet(EVENT, "/admin", ["foo"], 13), ['2/admin,13["foo"]']),
    (Packet(ACK, "/admin", ["bar"], 13), ['3/admin,13["bar"]']),
    (Packet(EVENT, data=["foo", b"\1\2\3\4"], id=14), [f'51-14["foo",{slot(0)}]', b"\1\2\3\4"]),
    (Packet(ACK, data=["bar"], id=14), ['314["bar"]']),
    (Packet(ACK, data=["bar", b"\1\2\3\4"], id=15), [f'61-15["bar",{slot(0)}]', b"\1\2\3\4"]),
    (Packet(ACK, "/admin", [b"\1"], 1), [f"61-/admin,1[{slot(0)}]", b"\1"]),
    (Packet(DISCONNECT), ["1"]),
    (Packet(DISCONNECT, "/admin"), ["1/admin,"]),
]

NODE = [
    (Packet(EVENT, data=["a"], id=0), ['20["a"]']),
    (Packet(EVENT, data=["a"], id=MAX_ID), ['29007199254740991["a"]']),
    (Packet(EVENT, data=[1, 2]), ["2[1,2]"]),
    (Packet(EVENT, data=[1.5]), ["2[1.5]"]),
    (Packet(EVENT, data=[""]), ['2[""]']),
    (Packet(EVENT, data=["message"]), ['2["message"]']),
    (Packet(EVENT, "/a/b-c:1", ["x"], 1), ['2/a/b-c:1,1["x"]']),
    (Packet(EVENT, "/é", ["é€😀"]), ['2/é,["é€😀"]']),
    (
        Packet(EVENT, data=["a", None, {"k": [b"x", {"z": b"y"}]}]),
        [f'52-["a",null,{{"k":[{slot(0)},{{"z":{slot(1)}}}]}}]', b"x", b"y"],
    ),
    (Packet(ACK, data=["connect"], id=1), ['31["connect"]']),
    (Packet(ACK, data=[]), ["3[]"]),
    (Packet(CONNECT_ERROR, data="no"), ['4"no"']),
    (Packet(CONNECT_ERROR, data=""), ['4""']),
    (Packet(CONNECT, data={}), ["0{}"]),
    (Packet(CONNECT, id=1, data={}), ["01{}"]),
    (Packet(DISCONNECT, id=1), ["11"]),
]


@pytest.mark.parametrize(("packet", "parts"), SPECIFICATION + NODE)
def test_packets(packet: Packet, parts: list[Any]) -> None:
    assert encode(packet) == parts
    assert reassemble(parts[0], parts[1:]) == packet


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0/custom", Packet(CONNECT, "/custom")),
        ("0/custom,", Packet(CONNECT, "/custom")),
        ("0/", Packet(CONNECT)),
        ("0/,", Packet(CONNECT)),
        ("01", Packet(CONNECT, id=1)),
        ('0/,{"token":"123"}', Packet(CONNECT, data={"token": "123"})),
        ('2/,["a"]', Packet(EVENT, data=["a"])),
        ("1/custom", Packet(DISCONNECT, "/custom")),
        ("0/chat?token=x,", Packet(CONNECT, "/chat?token=x")),
        ('0/chat?token=x,{"a":1}', Packet(CONNECT, "/chat?token=x", {"a": 1})),
        ('0/custom{"a":1}', Packet(CONNECT, '/custom{"a":1}')),
        ('2 [ "a" , 1 ] ', Packet(EVENT, data=["a", 1])),
        ('2007["a"]', Packet(EVENT, data=["a"], id=7)),
        ('20000000000000007["a"]', Packet(EVENT, data=["a"], id=7)),
        ('2["a",{"b":1,"b":2}]', Packet(EVENT, data=["a", {"b": 2}])),
        ('2["\\ud800"]', Packet(EVENT, data=["\ud800"])),
        ('2["a\\u001e"]', Packet(EVENT, data=["a\x1e"])),
        ('2["Connect"]', Packet(EVENT, data=["Connect"])),
        ('2["a","connect"]', Packet(EVENT, data=["a", "connect"])),
    ],
)
def test_odd_forms(text: str, packet: Packet) -> None:
    assert decode_header(text) == packet


def test_separator_in_data_is_escaped() -> None:
    assert encode(Packet(EVENT, data=["a\x1eb"])) == ['2["a\\u001eb"]']


def test_lone_surrogates_are_escaped() -> None:
    assert encode(Packet(EVENT, data=["\ud800", {"\udfff": 1}])) == ['2["\\ud800",{"\\udfff":1}]']


@pytest.mark.parametrize("binary", [b"\1\2", bytearray(b"\1\2"), memoryview(b"\1\2"), memoryview(b"\1x\2x")[::2]])
def test_every_kind_of_bytes(binary: Any) -> None:
    parts = encode(Packet(EVENT, data=("a", (binary,))))
    assert parts == [f'51-["a",[{slot(0)}]]', b"\1\2"]
    assert type(parts[1]) is bytes


@pytest.mark.parametrize("packet_type", [PacketType.BINARY_EVENT, EVENT])
def test_content_decides_whether_a_packet_is_binary(packet_type: PacketType) -> None:
    assert encode(Packet(packet_type, data=["a"])) == ['2["a"]']
    assert encode(Packet(packet_type, data=["a", b"\1"])) == [f'51-["a",{slot(0)}]', b"\1"]
    assert encode(Packet(PacketType.BINARY_ACK, data=[], id=1)) == ["31[]"]


def test_placeholders_in_text_packets_are_data() -> None:
    packet = Packet(EVENT, data=["a", {"_placeholder": True, "num": 7}])
    assert encode(packet) == [f'2["a",{slot(7)}]']
    assert decode_header(f'2["a",{slot(7)}]') == packet


@pytest.mark.parametrize("number", [0, 1, "x"])
def test_placeholders_beside_binary_are_refused(number: Any) -> None:
    with pytest.raises(ValueError, match="placeholder"):
        encode(Packet(EVENT, data=["a", b"\1", {"num": number, "_placeholder": True}]))


@pytest.mark.parametrize("value", [{"_placeholder": False, "num": 0}, {"_placeholder": 1}, '{"_placeholder":true}'])
def test_what_only_resembles_a_placeholder(value: Any) -> None:
    packet = Packet(EVENT, data=["a", b"\1", value])
    header, *attachments = encode(packet)
    assert reassemble(str(header), [b"\1"]) == packet
    assert attachments == [b"\1"]


def test_pending() -> None:
    header = f'52-/chat,7["a",{slot(1)},{{"b":{slot(0)}}}]'
    waiting = decode_header(header)
    data = ["a", {"_placeholder": True, "num": 1}, {"b": {"_placeholder": True, "num": 0}}]
    assert waiting == Pending(header, Packet(EVENT, "/chat", data, 7), 2)
    assert isinstance(waiting, Pending)
    assert waiting.missing == 2
    one = waiting.attach(b"first")
    assert isinstance(one, Pending)
    assert (one.missing, one.attachments, one.header) == (1, (b"first",), header)
    assert one == reassemble(header, [b"first"])
    packet = Packet(EVENT, "/chat", ["a", b"second", {"b": b"first"}], 7)
    assert one.attach(b"second") == packet == reassemble(header, [b"first", b"second"])
    assert waiting == decode_header(header), "what waits has not changed"


def test_values_are_frozen() -> None:
    for value in (Packet(CONNECT), decode_header(header_with(1))):
        with pytest.raises(AttributeError):
            setattr(value, value._fields[0], None)
        assert not hasattr(value, "__dict__")


def test_attachments_are_kept_as_bytes() -> None:
    assert reassemble(header_with(1), [bytearray(b"x")]) == Packet(EVENT, data=["a", b"x"])  # type: ignore[list-item]
    waiting = reassemble(header_with(2), [bytearray(b"x")])  # type: ignore[list-item]
    assert isinstance(waiting, Pending)
    assert type(waiting.attachments[0]) is bytes


@pytest.mark.parametrize("header", [header_with(1), '2["a"]'])
def test_one_attachment_too_many(header: str) -> None:
    with pytest.raises(ProtocolError, match="more attachments"):
        reassemble(header, [b"1", b"2"])


def test_number_of_attachments() -> None:
    ten, eleven = header_with(MAX_ATTACHMENTS), header_with(MAX_ATTACHMENTS + 1)
    assert MAX_ATTACHMENTS == 10
    assert isinstance(decode_header(ten), Pending)
    for header in (eleven, ten.replace("510-", "5100-"), ten.replace("510-", "5" + "1" * 10**6 + "-")):
        with pytest.raises(ProtocolError, match="more than 10 attachments"):
            decode_header(header)
    assert isinstance(decode_header(eleven, max_attachments=11), Pending)
    assert isinstance(reassemble(eleven, [b""], max_attachments=11), Pending)
    with pytest.raises(ProtocolError, match="more than 10 attachments"):
        reassemble(eleven, [])
    with pytest.raises(ProtocolError, match="more than 0 attachments"):
        decode_header(header_with(1), max_attachments=0)


@pytest.mark.parametrize(
    "slots",
    [
        [],
        [slot(0)],
        [slot(0), slot(0)],
        [slot(1), slot(2)],
        [slot(0), slot(1), slot(1)],
        [slot(0), slot(1), slot(2)],
        [slot(0), slot(-1)],
        [slot(0), slot(1.0)],
        [slot(0), slot("true")],
        [slot("false"), slot(1)],
        [slot(0), slot('"1"')],
        [slot(0), slot("null")],
        [slot(0), slot("[]")],
        [slot(0), slot("{}")],
        [slot(0), slot("9" * 100)],
        [slot(0), '{"_placeholder":true}'],
        [slot(0), '{"_placeholder":1,"num":1}'],
        [slot(0), '{"_placeholder":"true","num":1}'],
    ],
)
def test_placeholders_that_are_wrong(slots: list[str]) -> None:
    with pytest.raises(ProtocolError, match="placeholders"):
        decode_header(f'52-["a",{",".join(slots)}]' if slots else '52-["a"]')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "type is unknown"),
        ("7", "type is unknown"),
        ("abc", "type is unknown"),
        ("-1", "type is unknown"),
        ("٢", "type is unknown"),
        ('"2"', "type is unknown"),
        ("0[]", "not an object"),
        ('0"a"', "not an object"),
        ("0null", "null"),
        ("2null", "null"),
        ("0false", "not an object"),
        ("1{}", "DISCONNECT"),
        ("1[]", "DISCONNECT"),
        ("1null", "null"),
        ("2", "not an array"),
        ("21", "not an array"),
        ("2/chat,", "not an array"),
        ("2{}", "not an array"),
        ('2"a"', "not an array"),
        ("2[]", "empty array"),
        ("2[null]", "event name"),
        ("2[true]", "event name"),
        ("2[[]]", "event name"),
        ('2[{"a":1}]', "event name"),
        ("3", "not an array"),
        ("31", "not an array"),
        ("3{}", "not an array"),
        ('3"a"', "not an array"),
        ("4", "neither an object nor a string"),
        ("4[]", "neither an object nor a string"),
        ("4false", "neither an object nor a string"),
        ('21-["a"]', "JSON"),
        ('2[ "a"', "JSON"),
        ('2["a"]]', "JSON"),
        ("2[NaN]", "JSON"),
        ("2[1e999]", "JSON"),
        ('2["a",Infinity]', "JSON"),
        ('2/chat["a"]', "not an array"),
        ('2٣["a"]', "JSON"),
        ("5", "how many attachments"),
        ('5["a"]', "how many attachments"),
        ('5-["a"]', "how many attachments"),
        ('51["a"]', "how many attachments"),
        ('5+1-["a"]', "how many attachments"),
        ('5 1-["a"]', "how many attachments"),
        ('51e0-["a"]', "how many attachments"),
        ('5٣-["a"]', "how many attachments"),
        ('5²-["a"]', "how many attachments"),
        ('50-["a"]', "no attachments"),
        ('60-["a"]', "no attachments"),
        ("51-", "not an array"),
        ("51-{}", "not an array"),
        ("51-[]", "empty array"),
        (f"51-[{slot(0)}]", "event name"),
        ("61-", "not an array"),
        (f"61-{slot(0)}", "not an array"),
        ("0/a\x1eb,", "namespace"),
        ("0/a\ud800,", "namespace"),
        ('29007199254740992["a"]', "above 9007199254740991"),
        ('200000000000000001["a"]', "above 9007199254740991"),
        ("2" + "1" * 10**6 + '["a"]', "above 9007199254740991"),
        ("5" + "1" * 10**6, "how many attachments"),
        ('51111111-["a"]', "more than 10 attachments"),
        ("2" + "[" * 100_000, "deeper than 128"),
        ('0{"a":' + '{"a":' * 100_000, "deeper than 128"),
        ("51-" + "[" * 100_000, "deeper than 128"),
        ("2[" + "9" * 10**6 + "]", "digits"),
    ],
    ids=lambda value: value[:20],
)
def test_packets_that_are_wrong(text: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason) as caught:
        decode_header(text)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
def test_reserved_events(name: str) -> None:
    for text in (f'2["{name}"]', f'51-["{name}",{slot(0)}]'):
        with pytest.raises(ProtocolError, match=f"reserved event name {name}"):
            decode_header(text)
    with pytest.raises(ValueError, match=f"reserved event name {name}"):
        encode(Packet(EVENT, data=[name]))


def test_which_events_are_reserved() -> None:
    assert sorted(RESERVED_EVENTS) == sorted(
        ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
    )


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (Packet(CONNECT, data=[]), "not an object"),
        (Packet(CONNECT, data=""), "not an object"),
        (Packet(DISCONNECT, data={}), "has data"),
        (Packet(EVENT), "not an array"),
        (Packet(EVENT, data=[]), "empty array"),
        (Packet(EVENT, data=()), "empty array"),
        (Packet(EVENT, data="a"), "not an array"),
        (Packet(EVENT, data={"a": 1}), "not an array"),
        (Packet(EVENT, data=[None]), "event name"),
        (Packet(EVENT, data=[False]), "event name"),
        (Packet(EVENT, data=[b"a"]), "event name"),
        (Packet(PacketType.BINARY_EVENT, data=[]), "empty array"),
        (Packet(ACK, id=1), "not an array"),
        (Packet(ACK, id=1, data="a"), "not an array"),
        (Packet(PacketType.BINARY_ACK, data=b"a"), "not an array"),
        (Packet(CONNECT_ERROR), "neither an object nor a string"),
        (Packet(CONNECT_ERROR, data=["a"]), "neither an object nor a string"),
        (Packet(CONNECT, ""), "slash"),
        (Packet(CONNECT, "chat"), "slash"),
        (Packet(CONNECT, "/a,b"), "comma"),
        (Packet(CONNECT, "/a\x1eb"), "separator"),
        (Packet(CONNECT, "/\udfff"), "surrogate"),
        (Packet(EVENT, data=["a"], id=-1), "whole number"),
        (Packet(EVENT, data=["a"], id=MAX_ID + 1), "whole number"),
        (Packet(EVENT, data=["a"], id=True), "whole number"),
        (Packet(EVENT, data=["a"], id=1.0), "whole number"),  # type: ignore[arg-type]
        (Packet(EVENT, data=["a", math.nan]), "JSON"),
        (Packet(EVENT, data=[math.inf]), "JSON"),
    ],
)
def test_packets_that_cannot_be_written(packet: Packet, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        encode(packet)
    assert not isinstance(caught.value, ProtocolError), "a mistake of the caller, not of who is connected"


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (Packet(EVENT, data=["a", {1, 2}]), "no type for set"),
        (Packet(EVENT, data=["a", Decimal(1)]), "no type for Decimal"),
        (Packet(EVENT, data=["a", {b"key": 1}]), "keys must be"),
        (Packet(CONNECT, data={"a": b"x"}), "CONNECT packet cannot hold binary"),
        (Packet(CONNECT_ERROR, data={"a": b"x"}), "CONNECT_ERROR packet cannot hold binary"),
    ],
)
def test_values_that_cannot_be_written(packet: Packet, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        encode(packet)


def test_depth_is_the_same_in_both_directions() -> None:
    data: list[Any] = ["a", b"\1"]  # its placeholder is the 128th level
    for _ in range(126):
        data = ["a", data]
    header, attachment = encode(Packet(EVENT, data=data))
    assert reassemble(str(header), [b"\1"]) == Packet(EVENT, data=data)
    assert attachment == b"\1"
    with pytest.raises(ValueError, match="deeper than 128"):
        encode(Packet(EVENT, data=["a", data]))
    with pytest.raises(ProtocolError, match="deeper than 128"):
        decode_header(f'51-["a",{str(header)[3:]}]')


@pytest.mark.parametrize(
    ("namespace", "parts"),
    [
        ("/", ("/", {})),
        ("/chat", ("/chat", {})),
        ("/chat?", ("/chat", {})),
        ("/?token=x", ("/", {"token": "x"})),
        ("/chat?token=x&room=a%20b%2Cc+d", ("/chat", {"token": "x", "room": "a b,c d"})),
        ("/chat?a=1=2?&&b&c=", ("/chat", {"a": "1=2?", "b": "", "c": ""})),
        ("/chat?a=1&a=2", ("/chat", {"a": "2"})),
        ("/é?ä=€&%F0%9F%98%80=%ff%zz", ("/é", {"ä": "€", "😀": "\ufffd%zz"})),
    ],
)
def test_namespaces_with_a_query(namespace: str, parts: tuple[str, dict[str, str]]) -> None:
    """As Socket.IO 2 clients write them, by encodeURIComponent or as their user did."""
    packet = decode_header(f"0{namespace},")
    assert isinstance(packet, Packet)
    assert split_query(packet.namespace) == parts


@pytest.mark.parametrize("data", ["Not authorized", {"message": "Invalid namespace"}, {}, ""])
def test_errors_of_socketio_2(data: Any) -> None:
    """ERROR, which is CONNECT_ERROR now, has whatever the middleware said."""
    for namespace in ("/", "/chat"):
        packet = Packet(CONNECT_ERROR, namespace, data)
        [header] = encode(packet)
        assert isinstance(header, str)
        assert decode_header(header) == packet
