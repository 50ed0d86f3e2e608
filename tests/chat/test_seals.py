"""Links, keys and seals."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.seals import NONCE_BYTES, PADDING, Keys, Link, SealError, decode, encode, person_of, random_id

ROOM, SECRET = "m98JkV_7qXeyCJfO", "FIC-5LBXeGctQLC2Q_mV9A"
KEYS = Keys(ROOM, SECRET)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_what_is_sealed_opens_at_its_place(value: object) -> None:
    sealed = KEYS.seal("message", value, "person", "id")
    assert KEYS.open("message", sealed, "person", "id") == value


@given(st.text(max_size=300))
def test_a_length_tells_no_more_than_its_step(text: str) -> None:
    sealed = decode(KEYS.seal("message", text, "person", "id"))
    assert (len(sealed) - NONCE_BYTES - 16) % PADDING == 0


@pytest.mark.parametrize(
    ("kind", "place"),
    [("name", ("person", "id")), ("message", ("other", "id")), ("message", ("person", "other")), ("message", ())],
)
def test_what_was_moved_does_not_open(kind: str, place: tuple[str, ...]) -> None:
    sealed = KEYS.seal("message", "hi", "person", "id")
    with pytest.raises(SealError):
        KEYS.open(kind, sealed, *place)


@pytest.mark.parametrize(
    "keys",
    [Keys(random_id(), SECRET), Keys(ROOM, random_id(16)), Keys(ROOM, SECRET, "passphrase")],
    ids=["another room", "another secret", "a passphrase"],
)
def test_nobody_else_opens_it_or_gets_in(keys: Keys) -> None:
    with pytest.raises(SealError):
        keys.open("title", KEYS.seal("title", "Tea"))
    assert keys.door != KEYS.door


def test_a_passphrase_is_the_same_however_it_is_typed() -> None:
    assert Keys(ROOM, SECRET, "é").door == Keys(ROOM, SECRET, "e\u0301").door
    assert Keys(ROOM, SECRET, "é").door != Keys(ROOM, SECRET, "e").door


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_a_changed_text_does_not_open(at: int) -> None:
    data = bytearray(decode(KEYS.seal("title", "Tea")))
    data[at] ^= 1
    with pytest.raises(SealError):
        KEYS.open("title", encode(bytes(data)))


@pytest.mark.parametrize("text", ["", "?", "AAAA", "ä" * 80, "A" * 1000])
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(SealError):
        KEYS.open("title", text)


def test_every_seal_has_a_nonce_of_its_own() -> None:
    assert len({decode(KEYS.seal("title", "Tea"))[:NONCE_BYTES] for _ in range(200)}) == 200


def test_a_person_is_another_one_in_each_room() -> None:
    me = random_id(16)
    assert person_of(ROOM, me) == person_of(ROOM, me)
    assert len({person_of(ROOM, me), person_of(random_id(), me), person_of(ROOM, random_id(16))}) == 3
    assert len(decode(person_of(ROOM, me))) == 12


def test_a_link_is_read_as_it_is_written() -> None:
    link = Link.new("https://chat.example/")
    assert Link.parse(str(link)) == link
    assert Link.parse(f"https://chat.example/live/r/{ROOM}#{SECRET}").origin == "https://chat.example/live"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"https://chat.example/r/{ROOM}", "not complete"),
        (f"https://chat.example/r/{ROOM}#short", "not complete"),
        (f"https://chat.example/r/{ROOM}#{'ä' * 22}", "not complete"),
        ("https://chat.example/", "no link"),
        (f"ftp://chat.example/r/{ROOM}#{SECRET}", "no link"),
        (ROOM, "no link"),
    ],
)
def test_what_is_no_link_says_so(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Link.parse(url)


def test_the_place_is_what_the_document_says() -> None:
    """A seal made by hand, as docs/chat.md has it, opens."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    content = HKDF(SHA256(), 32, ROOM.encode(), b"fleeting/1 content").derive(decode(SECRET))
    place = json.dumps(["fleeting/1", "reaction", ROOM, "p", "i"], separators=(",", ":")).encode()
    sealed = bytes(12) + AESGCM(content).encrypt(bytes(12), b'{"n":1}   ', place)
    assert KEYS.open("reaction", encode(sealed), "p", "i") == {"n": 1}
