"""What a room's people share: keys from its link, and texts sealed with them (docs/chat.md, "Link, keys, seals").

For clients, and never loaded by a Lambda handler: the server has no keys.
"""

import base64
import hashlib
import json
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION = "fleeting/1"

ROUNDS = 600_000
"""Of PBKDF2-HMAC-SHA-256: OWASP's Password Storage Cheat Sheet, 2023."""

ROOM_BYTES = 12
SECRET_BYTES = 16
NONCE_BYTES = 12
PERSON_BYTES = 12

PADDING = 64
"""Bytes of whose multiples a sealed value's length is."""


class SealError(ValueError):
    """A sealed text that does not open: another key, another place, or changed on its way."""


def encode(data: bytes) -> str:
    """Return bytes in base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of a base64url text; ValueError if it is none."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def random_id(size: int = ROOM_BYTES) -> str:
    """Return `size` random bytes as text: a room, a file, a message."""
    return encode(secrets.token_bytes(size))


def digest(text: str) -> str:
    """Return the SHA-256 of a text, as the server keeps it of the door and of the owner's key."""
    return encode(hashlib.sha256(text.encode()).digest())


def person_of(room: str, me: str) -> str:
    """Return the public id of whoever holds the secret `me`."""
    return encode(hashlib.sha256(f"{VERSION} person {room} {me}".encode()).digest()[:PERSON_BYTES])


@dataclass(frozen=True, slots=True)
class Link:
    """A room's link: where it is served, its id, and the secret that only its fragment holds."""

    origin: str
    room: str
    secret: str

    @classmethod
    def new(cls, origin: str) -> "Link":
        return cls(origin.rstrip("/"), random_id(ROOM_BYTES), random_id(SECRET_BYTES))

    @classmethod
    def parse(cls, url: str) -> "Link":
        """Read a link; ValueError, with a sentence for people, if it is none or lacks its secret."""
        parts = urlsplit(url)
        before, r, room = parts.path.rpartition("/r/")
        if parts.scheme not in ("http", "https") or not parts.netloc or not r or not room:
            raise ValueError(f"{url!r} is no link of a room: they look like https://host/r/room#secret")
        try:
            is_whole = len(decode(parts.fragment)) == SECRET_BYTES
        except ValueError:
            is_whole = False
        if not is_whole:
            raise ValueError("This link is not complete: what stands behind # is the room's key")
        return cls(f"{parts.scheme}://{parts.netloc}{before}", room, parts.fragment)

    def __str__(self) -> str:
        return f"{self.origin}/r/{self.room}#{self.secret}"


class Keys:
    """A room's keys; `door` is what opens it."""

    def __init__(self, room: str, secret: str, passphrase: str = "") -> None:
        material = decode(secret)
        if passphrase:
            password = unicodedata.normalize("NFKC", passphrase).encode()
            salt = f"{VERSION} passphrase {room}".encode()
            material += hashlib.pbkdf2_hmac("sha256", password, salt, ROUNDS, 32)
        self.room = room
        self.door = encode(_derived(material, room, "door"))
        self._content = AESGCM(_derived(material, room, "content"))

    def seal(self, kind: str, value: Any, *place: str | int) -> str:
        """Seal a JSON value for its place: what stands behind the room in the additional data."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return self.seal_bytes(kind, text + b" " * (-len(text) % PADDING), *place)

    def open(self, kind: str, sealed: str, *place: str | int) -> Any:
        """Return the value in a sealed text; SealError if it does not open at this place."""
        try:
            return json.loads(self.open_bytes(kind, sealed, *place))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise SealError("what was sealed is no JSON") from error

    def seal_bytes(self, kind: str, data: bytes, *place: str | int) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return encode(nonce + self._content.encrypt(nonce, data, self._place(kind, place)))

    def open_bytes(self, kind: str, sealed: str, *place: str | int) -> bytes:
        try:
            data = decode(sealed)
            return self._content.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], self._place(kind, place))
        except (InvalidTag, ValueError) as error:
            raise SealError(f"a {kind} that does not open here") from error

    def _place(self, kind: str, place: tuple[str | int, ...]) -> bytes:
        return json.dumps([VERSION, kind, self.room, *place], ensure_ascii=False, separators=(",", ":")).encode()


def _derived(material: bytes, room: str, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, room.encode(), f"{VERSION} {purpose}".encode()).derive(material)
