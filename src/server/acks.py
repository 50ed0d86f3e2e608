"""Acknowledgements from clients: who was asked, and the callback that gets the answer in another process.

A callback cannot be kept in memory, so it is kept by name, with its arguments: a function of a module, registered by
`Server.callback` or found by its module and name.
"""

import importlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from protocol import engineio, socketio
from protocol.socketio import PacketType
from server import jobs
from server.debug import scope
from server.emission import Emission, packet_frames
from server.exceptions import PacketTooLargeError, TooManyAskedError
from server.ports import Ports, Rejected
from server.records import Asked, Question
from server.registry import call

log = scope("socket.io:ack")

Callback = Callable[..., Any]

MAX_ASKED = 1_000
"""Most recipients of one emit with a callback: all that are awaited are in one record."""

MAX_ID = 2**31 - 1
"""Largest id of a packet: the clients in C++ and Java keep it in 32 bits."""

TRIES = 5

LONGEST_TIMER = 900
"""Seconds that SQS delays a message; a longer timeout is waited for in parts."""


class Callbacks:
    """The functions that may be callbacks, by name."""

    def __init__(self) -> None:
        self._functions: dict[str, Callback] = {}

    def add(self, name: str, function: Callback) -> None:
        self._functions[name] = function

    def find(self, name: str) -> Callback:
        """Return the function of that name; LookupError if there is none."""
        if name in self._functions:
            return self._functions[name]
        module, _, path = name.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in path.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError, ValueError) as error:
            raise LookupError(f"there is no callback {name!r}") from error
        if not callable(found):
            raise LookupError(f"{name!r} is no function")
        return found  # type: ignore[no-any-return]

    def describe(self, callback: Callback | str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Return a callback's name and arguments. Raises ValueError for what another process could not find."""
        args: tuple[Any, ...] = ()
        kwargs: dict[str, Any] = {}
        while isinstance(callback, partial):
            args, kwargs, callback = (*callback.args, *args), {**callback.keywords, **kwargs}, callback.func
        if isinstance(callback, str):
            return callback, args, kwargs
        for name, function in self._functions.items():
            if function == callback:  # each look at a method makes a new one
                return name, args, kwargs
        module, path = getattr(callback, "__module__", None), getattr(callback, "__qualname__", "<>")
        name = f"{module}:{path}"
        if not module or "<" in path or self._missing(name, callback):
            raise ValueError(
                f"callback {path} cannot be found again by another process, which may get the answer: define it at the "
                "top of a module, or register it with @sio.callback; functools.partial gives it what it needs to know"
            )
        return name, args, kwargs

    def call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], values: Sequence[Any] = ()) -> None:
        """Call the function of that name, with values behind the arguments that were kept; LookupError as `find`."""
        call(partial(self.find(name), *args, **kwargs), *values)

    def _missing(self, name: str, callback: Callback) -> bool:
        try:
            return self.find(name) is not callback
        except LookupError:
            return True


class Acks:
    """Asks, and takes the answers, on behalf of a server."""

    def __init__(self, ports: Ports, callbacks: Callbacks) -> None:
        self._ports = ports
        self._callbacks = callbacks

    def ask(self, emission: Emission, sids: Sequence[str]) -> int:
        """Note that these sockets are asked, and start the time; returns the id for the packet."""
        question = emission.question
        assert question
        if len(sids) > MAX_ASKED:
            raise TooManyAskedError(f"{len(sids)} sockets, and an emit with a callback asks at most {MAX_ASKED}")
        until = self._ports.now() + int(question.timeout * 1000)
        asked = Asked(emission.namespace, frozenset(sids), {}, question, until)
        number = self._open(asked)
        log.debug("%d asks %d sockets, for %s", number, len(sids), question.callback or "whoever waits")
        if question.collects:
            if sids:
                self._start(number, until)
            else:
                self._call(asked)
        return number

    def _open(self, asked: Asked) -> int:
        for _ in range(TRIES):
            number = random.randrange(1, MAX_ID)
            if not asked.waiting or self._ports.questions.open(number, asked):
                return number
        raise RuntimeError("no free id for an acknowledgement")

    def _start(self, number: int, until: int) -> None:
        seconds = -(-(until - self._ports.now()) // 1000)
        self._ports.timers.start(jobs.to_json(jobs.TimeUp(number)), max(0, min(seconds, LONGEST_TIMER)))

    def answered(self, number: int, namespace: str, sid: str, values: list[Any], frame: int) -> None:
        """Take one socket's answer; `frame` is its number in the queue, by which a second delivery is known."""
        try:
            packed = packet_frames(PacketType.ACK, "/", values, 0)
            asked = self._ports.questions.answer(number, namespace, sid, packed, frame, self._ports.now())
        except (PacketTooLargeError, Rejected) as error:
            log.warning("what %s answered to %d cannot be kept: %s", sid, number, error)
            return
        log.debug("%d is answered by %s", number, sid)
        if asked is None:
            log.info("%s answered %d, which nobody waits for (any more)", sid, number)
        elif not asked.question.collects:
            self._run(asked.question, values)
        elif not asked.waiting and self._ports.questions.end(number):
            self._call(asked)

    def time_up(self, number: int) -> None:
        """Call the callback with the answers that came, unless all came and it was called."""
        asked = self._ports.questions.close(number, self._ports.now())
        if asked is not None and asked.until > self._ports.now():
            self._start(number, asked.until)
        elif asked is not None:
            self._call(asked)

    def wait(self, number: int, until: int) -> list[Any] | None:
        """Wait for the only answer; None if it does not come in time."""
        pauses = (0.02, 0.03, 0.05, 0.1)
        for n in range(1_000_000):
            asked = self._ports.questions.read(number)
            if asked is not None and asked.answers:
                return values_of(next(iter(asked.answers.values())))
            if self._ports.now() >= until:
                return None
            self._ports.sleep(pauses[min(n, len(pauses) - 1)])
        return None

    def _call(self, asked: Asked) -> None:
        answers = {sid: values_of(frames) for sid, frames in asked.answers.items()}
        self._run(asked.question, [answers, sorted(asked.waiting)])

    def _run(self, question: Question, values: Sequence[Any]) -> None:
        if not question.callback:
            return  # somebody waits for it
        try:
            self._callbacks.call(question.callback, question.args, question.kwargs, values)
        except Exception:
            log.exception("the callback %s failed", question.callback)


def values_of(frames: Sequence[str]) -> list[Any]:
    """Return the values in the frames of an ACK."""
    header, *attachments = (engineio.decode_packet(frame).data for frame in frames)
    packet = socketio.reassemble(str(header), [bytes(each) for each in attachments if isinstance(each, bytes)])
    assert isinstance(packet, socketio.Packet)
    return list(packet.data)


def as_json(args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raise ValueError for what a callback's stored arguments cannot be."""
    try:
        json.dumps([list(args), kwargs])
    except (TypeError, ValueError) as error:
        raise ValueError(f"a callback's arguments are kept as JSON: {error}") from error
