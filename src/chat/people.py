"""Who somebody is in a room: a person, by a secret that only their browser has, with a socket for each tab."""

import base64
import hashlib
from typing import Any, NamedTuple

from chat.refusals import Refused

PERSON_BYTES = 12


class Visitor(NamedTuple):
    """A socket that is in a room, as its session keeps it; `name` is sealed.

    ``burns`` tells that the room burns when the last one leaves, ``spent`` what is used up of which rate
    (`chat.limits`).
    """

    room: str
    person: str
    name: str
    is_owner: bool
    burns: bool
    spent: dict[str, int]

    @classmethod
    def of(cls, session: dict[str, Any]) -> "Visitor":
        """Return who a session says its socket is; Refused if it is in no room."""
        if "room" not in session:
            raise Refused("not_in_room", "Join a room first.")
        return cls(**session)

    def as_session(self) -> dict[str, Any]:
        return self._asdict()

    def member(self, sid: str) -> dict[str, Any]:
        """Return what the others are told."""
        return {"id": sid, "person": self.person, "name": self.name, "owner": self.is_owner}


def digest(text: str) -> str:
    """Return the SHA-256 of a text in base64url, as clients send it of the door and of the owner's key."""
    return _encoded(_sha256(text))


def person_of(room: str, me: str) -> str:
    """Return the public id of whoever holds the secret `me` (docs/chat.md, "Link, keys, seals")."""
    return _encoded(_sha256(f"fleeting/1 person {room} {me}")[:PERSON_BYTES])


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
