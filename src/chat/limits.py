"""How often: what a person may do in a room, and what may come from an address.

A person's limits are numbers in the session of each of their sockets, so that several tabs have a measure each; those
of an address are counted in the table, under names that do not show it.
"""

import hashlib
import ipaddress
import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from chat.refusals import Refused
from server import Server

MINUTE = 60
HOUR = 3600

JOINS = 120
JOINS_WITH_PASSPHRASE = 20
"""Joins from an address to one room, in a minute: few where somebody may be guessing."""

ROOMS_PER_HOUR = 30
"""Rooms from an address, unless the environment says otherwise."""


class Rate(NamedTuple):
    """So many at once, then one a second."""

    name: str
    burst: int
    sentence: str


MESSAGES = Rate("messages", 20, "These are too many messages at once.")
ACTS = Rate("acts", 20, "These are too many changes at once.")
CHUNKS = Rate("chunks", 600, "This is too much to upload at once.")


def spend(spent: Mapping[str, int], rate: Rate, now: int) -> dict[str, int]:
    """Count one more; returns what is spent then. Refused if it is too much; `now` is in Unix milliseconds.

    The generic cell rate algorithm (ITU-T I.371): of each rate one number is kept, when all of it is there again.
    """
    restored = max(spent.get(rate.name, 0), now) + 1000
    ahead = restored - now - rate.burst * 1000
    if ahead > 0:
        raise too_many(rate.sentence, math.ceil(ahead / 1000))
    return {**spent, rate.name: restored}


def count_join(sio: Server, environ: Mapping[str, Any], room: str, *, has_passphrase: bool) -> None:
    """Count a join from an address; Refused if there were too many."""
    limit = JOINS_WITH_PASSPHRASE if has_passphrase else JOINS
    wait = sio.allow(_name("join", room, address_of(environ)), limit, MINUTE)
    if wait:
        raise too_many("Too many people came to this room from your network just now.", wait)


def count_room(sio: Server, environ: Mapping[str, Any]) -> None:
    """Count a new room from an address; Refused if there were too many. ROOMS_PER_HOUR says how many, 0 for any."""
    limit = int(os.environ.get("ROOMS_PER_HOUR", ROOMS_PER_HOUR))
    hour = str(sio.ports.now() // (HOUR * 1000))
    wait = sio.allow(_name("room", hour, address_of(environ)), limit, HOUR)
    if wait:
        raise too_many("Too many rooms were created from your network in this hour.", wait)


def too_many(sentence: str, seconds: int) -> Refused:
    """Return the refusal of what may be done again in so many seconds."""
    amount, unit = (math.ceil(seconds / MINUTE), "minute") if seconds > MINUTE else (seconds, "second")
    wait = f"{amount} {unit}{'s' * (amount != 1)}"
    return Refused("too_many", f"{sentence} Try again in {wait}.", retry_after=seconds)


def address_of(environ: Mapping[str, Any]) -> str:
    """Return the address that a request (WSGI environ) came from: of IPv6 the network, which one household has.

    Behind a CDN (PUBLIC_URL) API Gateway sees that, and adds its address to X-Forwarded-For; the CDN added the
    client's. What stands before these two anybody can have written.
    """
    address = str(environ.get("REMOTE_ADDR", ""))
    hops = str(environ.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    if os.environ.get("PUBLIC_URL") and len(hops) >= 2:
        address = hops[-2].strip()
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


def _name(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
