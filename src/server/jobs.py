"""What waits in the queue, as values and as JSON."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from server.records import Membership


class Post(NamedTuple):
    """Send these frames, in order, to each of these connections."""

    to: tuple[str, ...]
    frames: tuple[str, ...]


class Open(NamedTuple):
    """Send the open packet to a connection that its `$connect` is still bringing into being."""

    connection_id: str
    born: int
    frame: str
    joins: bool = False  # it is in the namespace / from the beginning (Socket.IO 2)


class Reap(NamedTuple):
    """The connection answered 410: end it, and take it out of the rooms in which it was found."""

    connection_id: str
    memberships: tuple[Membership, ...] = ()


class Closed(NamedTuple):
    """The connection was closed by its client, or is lost: `$disconnect` says so, behind the frames before it."""

    connection_id: str


class Disconnect(NamedTuple):
    """Disconnect a socket: somebody outside of the application wants it, and its handlers are to hear of it."""

    connection_id: str
    namespace: str
    sid: str


class TimeUp(NamedTuple):
    """The time for the answers to an emit is up."""

    number: int


class Call(NamedTuple):
    """Call a function of the application's, whose time has come; given up at `until` (Unix seconds) if it fails."""

    function: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    until: int


Job = Post | Open | Reap | Closed | Disconnect | TimeUp | Call

_READERS: dict[str, Callable[[dict[str, Any]], Job]] = {
    "Post": lambda job: Post(tuple(job["to"]), tuple(job["frames"])),
    "Open": lambda job: Open(**job),
    "Closed": lambda job: Closed(job["connection_id"]),
    "Disconnect": lambda job: Disconnect(job["connection_id"], job["namespace"], job["sid"]),
    "TimeUp": lambda job: TimeUp(job["number"]),
    "Call": lambda job: Call(job["function"], tuple(job["args"]), dict(job["kwargs"]), int(job["until"])),
    "Reap": lambda job: Reap(job["connection_id"], tuple(Membership(*each) for each in job["memberships"])),
}


MOST_BYTES = 200_000
"""Of the frames in one job, as the queue holds them: a message has 256 KB at most, recipients included."""


def parts(job: Job) -> Iterator[Job]:
    """Yield a job in as many parts as the queue needs, in order; a frame that is too large for it goes by itself."""
    if not isinstance(job, Post):
        yield job
        return
    some: list[str] = []
    room = MOST_BYTES
    for frame in job.frames:
        size = len(json.dumps(frame))
        if some and size > room:
            yield Post(job.to, tuple(some))
            some, room = [], MOST_BYTES
        some.append(frame)
        room -= size
    yield Post(job.to, tuple(some))


def to_json(job: Job) -> str:
    """Return the job as the queue holds it: in ASCII, since SQS does not take every character."""
    return json.dumps({"job": type(job).__name__, **job._asdict()}, separators=(",", ":"))


def from_json(text: str) -> Job:
    """Return the job; ValueError if the text is none of ours."""
    try:
        fields = json.loads(text)
        return _READERS[fields.pop("job")](fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a job: {text[:200]!r}") from error
