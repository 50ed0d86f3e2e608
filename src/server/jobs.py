"""What waits in the queue, as values and as JSON."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from server.records import Membership


@dataclass(frozen=True, slots=True)
class Post:
    """Send these frames, in order, to each of these connections."""

    to: tuple[str, ...]
    frames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Open:
    """Send the open packet to a connection that its `$connect` is still bringing into being."""

    connection_id: str
    born: int
    frame: str


@dataclass(frozen=True, slots=True)
class Reap:
    """The connection answered 410: end it, and take it out of the rooms in which it was found."""

    connection_id: str
    memberships: tuple[Membership, ...] = ()


Job = Post | Open | Reap

_READERS: dict[str, Callable[[dict[str, Any]], Job]] = {
    "Post": lambda job: Post(tuple(job["to"]), tuple(job["frames"])),
    "Open": lambda job: Open(**job),
    "Reap": lambda job: Reap(job["connection_id"], tuple(Membership(**each) for each in job["memberships"])),
}


def to_json(job: Job) -> str:
    """Return the job as the queue holds it: in ASCII, since SQS does not take every character."""
    return json.dumps({"job": type(job).__name__, **asdict(job)}, separators=(",", ":"))


def from_json(text: str) -> Job:
    """Return the job; ValueError if the text is none of ours."""
    try:
        fields = json.loads(text)
        return _READERS[fields.pop("job")](fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a job: {text[:200]!r}") from error
