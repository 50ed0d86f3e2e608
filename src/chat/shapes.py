"""What clients send, checked before anything else sees it: each function returns a value of one shape, or refuses."""

import re
from typing import Any

from chat.refusals import Refused, refusal_of
from server.exceptions import JournalMissingError

ID = re.compile("[A-Za-z0-9_-]{16}")
"""12 bytes in base64url: a room, a person, a file."""

DIGEST = re.compile("[A-Za-z0-9_-]{43}")
"""32 bytes: a SHA-256."""

ME = re.compile("[A-Za-z0-9_-]{22}")
"""16 bytes: the secret by which somebody is a person of a room."""

_SEALED = re.compile("[A-Za-z0-9_-]+")

LEAST_SEALED = 38
"""Characters of a sealed text that holds nothing: nonce and tag, 28 bytes."""

MAX_TITLE = 720
MAX_NAME = 400
MAX_REACTION = 400
"""Characters of a sealed text: what the contract's longest value needs if JSON escapes all of it."""

MAX_BODY = 30_000
"""Characters of a sealed message, or a file's chunk: with its event it fits into a frame of 32 KB."""

MAX_KEY = 64
"""Characters of a message's id."""

MAX_NUMBER = 10**9
"""Of a message's number or revision."""

MAX_CHUNKS = 191
"""Chunks of the largest file: 4 MiB in parts of 22,000 bytes."""


def matching(data: dict[str, Any], field: str, pattern: re.Pattern[str], refused: Refused) -> str:
    """Return a text that fits a pattern, all of it."""
    value = data.get(field)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise refused
    return value


def sealed(data: dict[str, Any], field: str, most: int, what: str) -> str:
    """Return a sealed text of at most so many characters; `what` names it in the sentence."""
    value = data.get(field)
    if not isinstance(value, str) or not _SEALED.fullmatch(value):
        raise Refused(f"bad_{field}", f"{what} must be sealed: a text in base64url.")
    if not LEAST_SEALED <= len(value) <= most:
        raise Refused(f"bad_{field}", f"{what} must have {LEAST_SEALED} to {most:,} characters, sealed.")
    return value


def room_id(data: dict[str, Any]) -> str:
    """Return a room's id; what has not its shape is the id of none."""
    return matching(data, "room", ID, refusal_of(JournalMissingError()))


def message_id(data: dict[str, Any]) -> str:
    """Return a message's id; any characters, but none of them by half."""
    value = data.get("id")
    if not isinstance(value, str) or not 0 < len(value) <= MAX_KEY or _has_half(value):
        raise Refused("bad_id", f"A message's id must have 1 to {MAX_KEY} characters.")
    return value


def number(data: dict[str, Any], field: str, least: int, most: int) -> int:
    """Return an integer between two bounds, both included."""
    value = data.get(field)
    if type(value) is not int or not least <= value <= most:  # True is an int, too
        raise Refused(f"bad_{field}", f"{field} must be a number from {least:,} to {most:,}.")
    return value


def flag(data: dict[str, Any], field: str) -> bool:
    value = data.get(field)
    if not isinstance(value, bool):
        raise Refused(f"bad_{field}", f"{field} must be true or false.")
    return value


def _has_half(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
