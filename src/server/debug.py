"""What the server does, packet by packet, for whoever asks: the variable DEBUG, as Socket.IO's own has it.

``DEBUG=socket.io:*,-socket.io:room`` names scopes, with ``*`` for any text and ``-`` for those to leave out.

| scope | one line for each |
|---|---|
| `engine` | frame in and out, with its connection |
| `engine:polling` | request of long polling |
| `engine:upgrade` | step of an upgrade |
| `engine:outbox` | frame that has to wait, or is given up |
| `socket.io:client` | packet of a client |
| `socket.io:server` | event that is sent, and to whom |
| `socket.io:room` | socket that enters or leaves a room |
| `socket.io:ack` | acknowledgement that is asked for, or comes |
| `socket.io:recovery` | client that comes back |
"""

import logging
import re
from fnmatch import fnmatchcase

ROOT = "fleeting"

_scopes: set[str] = set()


def scope(name: str) -> logging.Logger:
    """Return the logger of a scope."""
    _scopes.add(name)
    return logging.getLogger(f"{ROOT}.{name}")


def enable(patterns: str) -> list[str]:
    """Log the scopes that are named at level DEBUG, and no others; returns them."""
    named = [pattern for pattern in re.split(r"[\s,]+", patterns) if pattern]
    wanted = [pattern for pattern in named if not pattern.startswith("-")]
    left_out = [pattern[1:] for pattern in named if pattern.startswith("-")]
    enabled = sorted(name for name in _scopes if _fits(name, wanted) and not _fits(name, left_out))
    for name in _scopes:
        logging.getLogger(f"{ROOT}.{name}").setLevel(logging.DEBUG if name in enabled else logging.NOTSET)
    return enabled


def _fits(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
