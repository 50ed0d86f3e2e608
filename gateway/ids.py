"""Identifiers in the shapes that the service uses."""

import hashlib
import re
import secrets
import uuid
from base64 import urlsafe_b64encode

_CONNECTION_ID = re.compile(r"[A-Za-z0-9_-]{15}=")


def new_id() -> str:
    """Return a new connection, request or message id: 11 random bytes in base64url, 16 characters ending in `=`."""
    return urlsafe_b64encode(secrets.token_bytes(11)).decode()


def is_connection_id(text: str) -> bool:
    """Tell whether `text` has the shape of a connection id; others get a 400 from `@connections`."""
    return _CONNECTION_ID.fullmatch(text) is not None


def new_request_id() -> str:
    """Return a new Lambda request id: a UUID."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def new_trace_id(now: float) -> str:
    """Return an X-Ray trace header value for the time `now` (seconds since 1970)."""
    return f"Root=1-{int(now):08x}-{secrets.token_hex(12)}"


def api_id(stack_name: str, logical_id: str) -> str:
    """Return the id of an API: 10 lower-case characters, the same at each start."""
    digest = hashlib.sha256(f"{stack_name}/{logical_id}".encode()).hexdigest()
    # The service's ids are base 36 and hold a letter; hex with a letter in front is a subset.
    return "a" + digest[:9]
