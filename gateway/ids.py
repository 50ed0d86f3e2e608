"""Identifiers in the shapes that the service uses."""

import hashlib
import io
import os
import re
import secrets
from base64 import urlsafe_b64encode

_BLOCK = 4096
_CONNECTION_ID = re.compile(r"[A-Za-z0-9_-]{15}=")


class _Random:
    """Random bytes from the system, by the block: to ask it for each id would take longer than all else about one."""

    def __init__(self) -> None:
        self._block = io.BytesIO()
        # What a fork inherits both would use.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Take the next bytes from a new block."""
        self._block = io.BytesIO()

    def take(self, size: int) -> bytes:
        """Return so many bytes, which nobody else gets, in whatever thread."""
        taken = self._block.read(size)
        while len(taken) < size:
            block = self._block = io.BytesIO(secrets.token_bytes(_BLOCK))
            taken = block.read(size)
        return taken


_random = _Random()


def new_id() -> str:
    """Return a new connection, request or message id: 11 random bytes in base64url, 16 characters ending in `=`."""
    return urlsafe_b64encode(_random.take(11)).decode()


def is_connection_id(text: str) -> bool:
    """Tell whether `text` has the shape of a connection id; others get a 400 from `@connections`."""
    return _CONNECTION_ID.fullmatch(text) is not None


def new_request_id() -> str:
    """Return a new Lambda request id: a UUID."""
    digits = _random.take(16).hex()
    # Version and variant (RFC 9562) by hand: the standard library's class takes several times as long.
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def new_trace_id(now: float) -> str:
    """Return an X-Ray trace header value for the time `now` (seconds since 1970)."""
    return f"Root=1-{int(now):08x}-{_random.take(12).hex()}"


def api_id(stack_name: str, logical_id: str) -> str:
    """Return the id of an API: 10 lower-case characters, the same at each start."""
    digest = hashlib.sha256(f"{stack_name}/{logical_id}".encode()).hexdigest()
    # The service's ids are base 36 and hold a letter; hex with a letter in front is a subset.
    return "a" + digest[:9]
