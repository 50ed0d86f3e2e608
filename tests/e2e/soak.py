"""A soak: people talk in a room of the chat while several kinds of things go wrong at once, all drawn from a seed.

`run` lets one seed happen, and returns what is not as docs/chat.md has it. From a shell, for many seeds:

    PYTHONPATH=src python -m tests.e2e.soak 100 140 --ingest direct
"""

import argparse
import gc
import json
import queue
import random
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from unittest import mock

import socketio
from socketio.exceptions import SocketIOError

import aws
from aws import clients
from chat.app import sio
from gateway.aws.faults import AwsFault
from gateway.chaos.rules import (
    AnyRule,
    ColdStart,
    ConnectionsError,
    Crash,
    Delay,
    Disconnect,
    Duplicate,
    Reorder,
    Throttle,
    described,
)
from gateway.settings import Settings
from gateway.testing import Gateway, Never
from server.engine import Engine
from server.recovery import Recovery
from tests.chat.person import Invitation, Person
from tests.e2e.processes import ROOT, NodeClient, in_order, until

_EXPLAINED = ("on purpose", "Unavailable", "is left to the dead letters")
"""What stands in an error's line of a log where a service has failed, once or too often."""

_TOLD = ("connection", "moved", "offered", "closing", "beat", "born", "seen", "joined")

ACK_TIMEOUT = 2.5
"""Seconds after which a client repeats what was not acknowledged."""

PATIENCE = 90
"""Seconds in which everything that is said is acknowledged in the end, whatever goes wrong."""

SOON = 25
"""Seconds in which all of it has come to everybody once nothing goes wrong any more."""

HELD_UP = 10
"""Seconds for which a function that was never started holds up its messages, in place of minutes."""

BEATS = (4, 8, 12)
"""Minutes by which the last heartbeats are ahead: who is silent has been so for too long, and for good."""

NODE = {"retries": 1_000, "ackTimeout": int(ACK_TIMEOUT * 1000), "reconnectionDelay": 200, "reconnectionDelayMax": 1000}


# ---------------------------------------------------------------- what goes wrong
@dataclass(frozen=True)
class Kind:
    """One kind of fault: its rules, what happens to the gateway meanwhile, and what a client may see of it.

    Of what is `doubled` nobody can know whether it has arrived, so it is sent again; what is `late` goes through the
    queue while what follows may go straight.
    """

    rules: Callable[[random.Random], Sequence[AnyRule]]
    happens: Callable[[Gateway, random.Random], None] | None = None
    doubled: bool = False
    late: bool = False


def _cut(gateway: Gateway, draw: random.Random) -> None:
    gateway.faults.restart(draw.choice((1001, 1006)), disconnect=draw.random() < 0.3)


def _turn(gateway: Gateway, draw: random.Random) -> None:
    gateway.clock.turn(draw.choice((61, 130, 610)))


def _post(status: Any, **options: Any) -> ConnectionsError:
    return ConnectionsError(method="POST", status=status, **options)


def _table(error: str, **options: Any) -> AwsFault:
    return AwsFault(service="dynamodb", error=error, **options)


_FED = ("MessageFunction", "DeliverFunction")
_ALL = (*_FED, "HttpFunction", "ConnectFunction", "DisconnectFunction")

KINDS: dict[str, Kind] = {
    "reordered": Kind(lambda draw: [Reorder(within=draw.choice((0.1, 0.4)), rate=draw.choice((0.3, 1.0)))]),
    "held back": Kind(lambda draw: [Delay(within=draw.choice((0.1, 0.3)))]),
    "cold": Kind(lambda draw: [ColdStart(rate=0.1, extra=draw.choice((0.0, 0.2)))]),
    "twice": Kind(lambda draw: [Duplicate(rate=draw.choice((0.3, 0.8)))]),
    "busy": Kind(lambda draw: [_post(429, rate=draw.choice((0.1, 0.5)))], late=True),
    "failing": Kind(lambda draw: [_post(draw.choice((500, 503, 504)), rate=draw.choice((0.1, 0.5)))], late=True),
    "sent all the same": Kind(lambda draw: [_post(500, when="after", rate=0.15)], doubled=True, late=True),
    "hanging": Kind(lambda draw: [_post(None, hang=4.0, rate=0.02, times=2)], doubled=True, late=True),
    "throttled table": Kind(
        lambda draw: [_table("ProvisionedThroughputExceededException", rate=draw.choice((0.05, 0.1)))], doubled=True
    ),
    "failing table": Kind(lambda draw: [_table("InternalServerError", rate=draw.choice((0.05, 0.1)))], doubled=True),
    "lost answers": Kind(
        lambda draw: [_table("InternalServerError", applied=True, rate=draw.choice((0.05, 0.1)))], doubled=True
    ),
    "cut answers": Kind(
        lambda draw: [AwsFault(service="dynamodb", cut=True, applied=draw.random() < 0.5, rate=0.05)], doubled=True
    ),
    "slow table": Kind(lambda draw: [AwsFault(service="dynamodb", delay=0.3, rate=0.1)]),
    "failing queue": Kind(
        lambda draw: [AwsFault(service="sqs", operation="SendMessageBatch", error="InternalError", rate=0.15)],
        doubled=True,
    ),
    "queue's lost answers": Kind(
        lambda draw: [
            AwsFault(service="sqs", operation="SendMessageBatch", error="InternalError", applied=True, rate=0.3)
        ]
    ),
    "killed before": Kind(lambda draw: [Crash(function=draw.choice(_ALL), when="before", rate=0.1, times=2)]),
    "killed during": Kind(
        lambda draw: [
            Crash(function=draw.choice(_ALL), when="during", calls=draw.randrange(1, 8), rate=0.1, times=3),
            Crash(function=draw.choice(_FED), when="during", within=0.2, rate=0.1, times=2),
        ],
        doubled=True,
    ),
    "killed after": Kind(
        lambda draw: [Crash(function=draw.choice(_ALL), when="after", rate=0.1, times=3)], doubled=True
    ),
    "refused": Kind(lambda draw: [Throttle(function=draw.choice(_ALL), rate=0.1, times=3)]),
    "end lost": Kind(lambda draw: [Disconnect(rate=0.7)], _cut),
    "end late": Kind(lambda draw: [Disconnect(late=draw.choice((0.5, 2.0)))], _cut),
    "cut": Kind(lambda draw: [], _cut),
    "clock turned": Kind(lambda draw: [], _turn, doubled=True),  # a poll is killed in it: its time is up
}


def plan(seed: int) -> tuple[random.Random, list[str]]:
    """Return what is drawn for a seed: the generator, and the kinds of faults."""
    draw = random.Random(seed)
    return draw, draw.sample(sorted(KINDS), draw.randrange(2, 5))


# ---------------------------------------------------------------- clients
class SoakClient(Protocol):
    """A client that comes back by itself, and repeats what was not acknowledged."""

    @property
    def heard(self) -> Sequence[Sequence[Any]]: ...

    @property
    def sid(self) -> str:
        """The socket's id now, or the last one."""

    def call(self, event: str, data: Any, /) -> Any:
        """Emit, and return the acknowledgement; AssertionError if there is none in PATIENCE seconds."""

    def close(self) -> None: ...

    def vanish(self) -> None:
        """Go without a word."""


class Node(NodeClient):
    """Socket.IO's own client with its `retries`."""

    def __init__(self, url: str, transports: Sequence[str]) -> None:
        super().__init__(url, {**NODE, "transports": list(transports)})

    @property
    def sid(self) -> str:
        return str([line["connected"] for line in map(json.loads, list(self.lines)) if "connected" in line][-1])

    def vanish(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def close(self) -> None:
        if self.popen.poll() is None:
            super().close()
        self.stop()


class _Sent(queue.Queue[Any]):
    """What python-engineio's client has to send.

    It puts None where its poll has failed, to end the loop that sends. Taken behind a packet the None is lost
    (``Client._write_loop``), and the client sends on without polling until the heartbeat finds it, minutes later.
    """

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        with self.mutex:
            if not block and self.queue and self.queue[0] is None:
                raise queue.Empty
        return super().get(block, timeout)


class Python:
    """python-socketio's client, which comes back by itself; what it does not repeat is repeated here."""

    def __init__(self, url: str, transports: Sequence[str]) -> None:
        self.heard: list[list[Any]] = []
        self.sid = ""
        self.client = socketio.Client(reconnection_delay=0.2, reconnection_delay_max=1)
        self._renew(self.client.eio)
        self._end = in_order(self.client)
        self.client.on("*", lambda *event: self.heard.append(list(event)))
        self.client.on("connect", self._connected)
        self.client.connect(url, transports=list(transports), wait_timeout=10, retry=True)

    @staticmethod
    def _renew(engine: Any) -> None:
        """Give each connection a queue of its own: a None that nobody took would end the next one's sending at once."""
        connect = engine.connect

        def anew(*arguments: Any, **options: Any) -> Any:
            engine.queue = _Sent()
            return connect(*arguments, **options)

        engine.connect = anew

    def _connected(self) -> None:
        self.sid = self.client.get_sid()

    def call(self, event: str, data: Any, /) -> Any:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                return self.client.call(event, data, timeout=ACK_TIMEOUT)
            except SocketIOError:
                time.sleep(0.1)
        raise AssertionError(f"{event} was never acknowledged")

    def close(self) -> None:
        self.client.shutdown()
        self._end()

    def vanish(self) -> None:
        # Threads cannot be killed: they are told to end.
        self.client.reconnection = False
        if self.client.eio.current_transport == "websocket" and self.client.eio.ws:
            self.client.eio.ws.close()
        else:
            self.client.eio.state = "disconnected"
            self.client.eio.queue.put(None)
        self._end()


KINDS_OF_CLIENTS: dict[str, Callable[[str], SoakClient]] = {
    "node-ws": lambda url: Node(url, ["websocket"]),
    "node-poll": lambda url: Node(url, ["polling"]),
    "node-both": lambda url: Node(url, ["polling", "websocket"]),
    "py-ws": lambda url: Python(url, ["websocket"]),
    "py-poll": lambda url: Python(url, ["polling"]),
}


class Refusal(AssertionError):
    """An answer {ok: false} that nothing explains."""


@dataclass
class Said:
    """A message as its author knows it."""

    key: str
    seq: int
    text: str
    asked: tuple[float, float]  # from when until when
    rev: int = 0

    def may_be_repeated(self, cuts: Sequence[tuple[float, float]]) -> bool:
        """Tell whether its client may have sent it again: it took long, or the connection was cut just then."""
        began, ended = self.asked
        return ended - began > ACK_TIMEOUT / 2 or any(began <= last and first <= ended for first, last in cuts)


class Talker:
    """Somebody who talks by any client, and does as docs/chat.md says where a connection was lost."""

    def __init__(self, client: SoakClient, invitation: Invitation, name: str) -> None:
        self.name = name
        self.client = client
        self.person = Person(client, invitation, name)
        self.said: list[Said] = []
        self.reactions: dict[str, str] = {}
        self.joined_as: list[str] = []
        self.shown: dict[int, str] = {}  # seq -> id, of what joins brought
        self.revs: Counter[str] = Counter()  # id -> the highest rev that joins brought
        self.stayed = True  # has been one socket all the time

    def ask(self, event: str, data: Any) -> Any:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            answer = self.client.call(event, data)
            if answer["ok"]:
                return answer
            code = answer["error"]["code"]
            if code == "too_many":
                time.sleep(answer["error"]["retry_after"])
            elif code == "not_in_room" and self.client.sid != self.joined_as[-1]:
                self.join()
            else:
                who = f"{self.name} ({self.client.sid}, joined as {self.joined_as})"
                raise Refusal(f"{event} of {who} was refused: {answer['error']}")
        raise Refusal(f"{self.name}: {event} was always refused")

    def join(self) -> None:
        """Join until it is the socket that there is which has joined."""
        while True:
            sid = self.client.sid
            answer = self.ask("join", self.person.joining())
            self.stayed = self.stayed and (not self.joined_as or self.joined_as[-1] == answer["you"])
            self.joined_as.append(answer["you"])
            for entry in answer["history"]:
                self.shown[entry["seq"]] = entry["id"]
                self.revs[entry["id"]] = max(self.revs[entry["id"]], entry["rev"])
            if answer["you"] == self.client.sid or sid == self.client.sid:
                return

    def tend(self) -> None:
        """Join again where the socket is another one."""
        if self.client.sid != self.joined_as[-1]:
            self.join()

    def leave(self) -> None:
        self.ask("leave", {})
        self.stayed = False

    def act(self, draw: random.Random, others: Sequence["Talker"]) -> None:
        """Do one thing."""
        drawn = draw.random()
        if drawn < 0.6 or not self.said:
            key, text = f"{self.name}-{len(self.said)}", f"{self.name} {len(self.said)}"
            began = time.monotonic()
            answer = self.ask("message", {"id": key, "body": self.person.message(text, key)})
            self.said.append(Said(key, answer["seq"], text, (began, time.monotonic())))
        elif drawn < 0.75:
            said = draw.choice(self.said)
            rev, text = said.rev + 1, f"{said.text}'"
            self.ask("edit", {"id": said.key, "body": self.person.message(text, said.key, edited=True), "rev": rev})
            said.rev, said.text = rev, text
        elif drawn < 0.92:
            target = draw.choice([said for other in (self, *others) for said in other.said])
            value = {"n": 1, "emoji": [str(draw.random())]}
            body = self.person.keys.seal("reaction", value, self.person.id, target.key)
            self.ask("react", {"id": target.key, "body": body})
            self.reactions[target.key] = body
        else:
            self.leave()
            self.join()

    @property
    def heard(self) -> list[dict[str, Any]]:
        return self.person.events("message")

    def misses(self, said: Sequence[Said]) -> list[Said]:
        """Return what it does not know of all that was said, as it is now."""
        known = {key: self.revs[key] for key in self.shown.values()}
        for entry in self.heard:
            known[entry["id"]] = max(known.get(entry["id"], 0), entry["rev"])
        for changed in self.person.events("changed"):
            known[changed["id"]] = max(known.get(changed["id"], -1), changed["rev"])
        return [each for each in said if known.get(each.key, -1) < each.rev]


# ---------------------------------------------------------------- a run
@dataclass
class Outcome:
    """What came of one seed."""

    seed: int
    kinds: list[str]
    rules: list[AnyRule]
    violations: list[str] = field(default_factory=list)
    messages: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {', '.join(self.kinds)}: {self.messages} messages, {self.seconds:.1f} s"]
        lines += [f"    {described(rule)}" for rule in self.rules]
        told = dict.fromkeys(each[:1500] for each in self.violations)
        return "\n".join([*lines, *(f"  ! {each}" for each in list(told)[:20])])


def gateway_for(ingest: str) -> Gateway:
    """Return a gateway for soaks, not yet started."""

    def parameters(url: str) -> dict[str, Any]:
        return {"PublicUrl": url, "RoomsPerHour": 0, "Ingest": ingest, "PollHold": 5}

    settings = Settings(connect_window=0.08)
    return Gateway(ROOT / "template.yaml", parameters=parameters, settings=settings, seed=0)


def run(gateway: Gateway, seed: int, acts: int = 6, kinds: Sequence[str] | None = None) -> Outcome:
    """Let a seed happen in an empty gateway."""
    return _Run(gateway, seed, acts, kinds).run()


def _bearable(rules: Sequence[AnyRule]) -> list[AnyRule]:
    """Return the rules such that of the table's calls together no more fail than by one kind of fault.

    The SDK tries a call three times, and a request makes ten or so. Where a tenth of the calls fails, one request in a
    hundred is lost; where a fifth does, one in twelve, each with the session of a client that polls, and few get on.
    """
    failing = [rule for rule in rules if isinstance(rule, AwsFault) and rule.service == "dynamodb" and not rule.delay]
    return [replace(rule, rate=rule.rate / len(failing)) if rule in failing else rule for rule in rules]


class _Run:
    def __init__(self, gateway: Gateway, seed: int, acts: int, kinds: Sequence[str] | None) -> None:
        self.gateway = gateway
        self.draw, drawn = plan(seed)
        self.acts = acts
        self.kinds = {name: KINDS[name] for name in kinds or drawn}
        rules = _bearable([rule for kind in self.kinds.values() for rule in kind.rules(self.draw)])
        self.outcome = Outcome(seed, list(self.kinds), rules)
        self.talkers: list[Talker] = []
        self._cuts: list[tuple[float, float]] = []
        self._over = threading.Event()

    @property
    def violations(self) -> list[str]:
        return self.outcome.violations

    def run(self) -> Outcome:
        began = time.monotonic()
        self.gateway.running.faults.seed = self.outcome.seed
        with ExitStack() as stack:
            self._sqs = self.gateway.boto3("sqs")
            self._urls = {url.rpartition("/")[2]: url for url in self._sqs.list_queues()["QueueUrls"]}
            for url in self._urls.values():
                self._sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(HELD_UP)})
            watcher = threading.Thread(target=self._watch)
            watcher.start()
            stack.callback(watcher.join)
            stack.callback(self._over.set)
            try:
                self._talk(stack)
            except Exception as error:
                self.violations.append(f"{type(error).__name__}: {error}")
            self.gateway.faults.clear()
            self.outcome.injected = Counter(entry.kind for entry in self.gateway.faults.injected)
            self._go()
            self._look_at_errors()
            self._look_at_what_is_left()
        with warnings.catch_warnings():
            # Of connections that were lost, python-engineio leaves the sockets to the collector.
            warnings.simplefilter("ignore", ResourceWarning)
            self.talkers.clear()
            gc.collect()
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    def _watch(self) -> None:
        """Let what a killed function held come back soon, in place of a minute later."""
        done: set[str] = set()
        while not self._over.wait(0.1):
            for each in list(self.gateway.invocations):
                if each.id in done or not each.error or not isinstance(each.event, dict) or "Records" not in each.event:
                    continue
                done.add(each.id)
                for record in each.event["Records"]:
                    with suppress(Exception):
                        url = self._urls[record["eventSourceARN"].rpartition(":")[2]]
                        self._sqs.change_message_visibility(
                            QueueUrl=url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=1
                        )

    def _talk(self, stack: ExitStack) -> None:
        invitation = Invitation(self.gateway.url)
        self.room = invitation.room
        invitation.create()
        # Where its WebSocket is cut between the probe's answer and the upgrade, Socket.IO's client has paused its polls
        # for good, and finds out when no ping comes for minutes; as with its own server.
        is_cut = any(kind.happens is _cut for kind in self.kinds.values())
        names = ["node-ws", "node-poll", "py-ws", "py-poll", "node-ws" if is_cut else "node-both"]
        with ThreadPoolExecutor(len(names)) as threads:
            made = list(threads.map(lambda name: KINDS_OF_CLIENTS[name](self.gateway.url), names))
        for name, client in zip(names, made, strict=True):
            stack.callback(client.close)
            self.talkers.append(Talker(client, invitation, f"{name}-{len(self.talkers)}"))
        with ThreadPoolExecutor(len(names)) as threads:
            list(threads.map(Talker.join, self.talkers))
        draws = [random.Random(f"{self.outcome.seed}/{n}") for n in range(len(names))]
        with self.gateway.faults(*self.outcome.rules), ThreadPoolExecutor(len(names) + 1) as threads:
            talking = [threads.submit(self._script, each, draw) for each, draw in zip(self.talkers, draws, strict=True)]
            over = threading.Event()
            disturbing = threads.submit(self._disturb, over)
            try:
                for each in talking:
                    try:
                        each.result()
                    except Exception as error:
                        self.violations.append(f"{type(error).__name__}: {error}")
            finally:
                over.set()
            disturbing.result()
        self._settle()
        self._look_at_history(invitation)
        self._look_at_members()

    def _script(self, talker: Talker, draw: random.Random) -> None:
        for _ in range(self.acts):
            talker.act(draw, self.talkers)

    def _disturb(self, over: threading.Event) -> None:
        happens = [kind.happens for kind in self.kinds.values() if kind.happens]
        draw = random.Random(f"{self.outcome.seed}/disturb")
        for happen in happens * 2:
            if over.wait(draw.uniform(0.2, 1.5)):
                return
            began = time.monotonic()
            happen(self.gateway, draw)
            if happen is _cut:
                self._cuts.append((began, time.monotonic()))

    # ------------------------------------------------------------------ looking
    def _settle(self) -> None:
        """Wait until everybody has all of it; nothing goes wrong any more."""
        everything = [said for each in self.talkers for said in each.said]
        self.outcome.messages = len(everything)
        for talker in self.talkers:

            def is_complete(talker: Talker = talker) -> bool:
                talker.tend()
                return not talker.misses(everything)

            try:
                until(is_complete, "", SOON)
            except Refusal as error:
                self.violations.append(str(error))
            except AssertionError:
                how = "one socket" if talker.stayed else talker.joined_as
                self.violations.append(f"{talker.name} ({how}) never saw {talker.misses(everything)}")

    def _look_at_history(self, invitation: Invitation) -> None:
        items = [item for item in self._items() if item["pk"] == f'R["/","{self.room}"]']
        entries = {int(item["seq"]): item for item in items if item["sk"][0] == "E"}
        (head,) = [item for item in items if item["sk"] == "J"]
        if sorted(entries) != list(range(1, len(entries) + 1)) or int(head["last"]) != len(entries):
            gaps = sorted(set(range(1, int(head["last"]) + 1)) - entries.keys())
            self.violations.append(f"numbers {gaps} stay empty (the last one is {head['last']})")
        by_key = {item["sk"][1:]: seq for seq, item in entries.items()}
        reader = self.talkers[0].person
        said_by = {said.key: talker for talker in self.talkers for said in talker.said}
        for talker in self.talkers:
            numbers = [said.seq for said in talker.said]
            if numbers != sorted(numbers):
                self.violations.append(f"{talker.name} got the numbers {numbers}, one after another")
            for said in talker.said:
                if by_key.get(said.key) != said.seq:
                    self.violations.append(f"{said} is in the history as {by_key.get(said.key)}")
                    continue
                body = json.loads(entries[said.seq]["body"])
                text = reader.read({"id": said.key, **body})
                if (text, body["rev"]) != (said.text, said.rev):
                    self.violations.append(f"{said} is in the history as {text!r}, rev {body['rev']}")
            for key, reaction in talker.reactions.items():
                seq = by_key.get(key)
                found = json.loads(entries[seq]["body"]).get("reactions", {}) if seq else {}
                if found.get(talker.person.id) != reaction:
                    self.violations.append(f"{talker.name}'s reaction to {key} is not in the history")
        for key in by_key.keys() - said_by.keys():
            self.violations.append(f"{key} is in the history, and was never acknowledged")

    def _look_at_members(self) -> None:
        is_doubled = any(kind.doubled for kind in self.kinds.values())
        said = [said for each in self.talkers for said in each.said]
        repeated = {each.seq for each in said if each.may_be_repeated(self._cuts)}
        is_late = any(kind.late for kind in self.kinds.values())
        for talker in self.talkers:
            heard = [entry["seq"] for entry in talker.heard]
            twice = sorted({seq for seq, count in Counter(heard).items() if count > 1} - repeated)
            if twice and talker.stayed and not is_doubled:
                self.violations.append(f"{talker.name} heard {twice} twice: {heard}")
            firsts = list(dict.fromkeys(heard))
            for speaker in self.talkers:
                own = {said.seq for said in speaker.said}
                numbers = [seq for seq in firsts if seq in own]
                if numbers != sorted(numbers) and talker.stayed and not is_late:
                    self.violations.append(f"{talker.name} heard {speaker.name} as {numbers}")

    # ------------------------------------------------------------------ the end
    def _go(self) -> None:
        """Everybody goes, in one way or another; some without a `$disconnect`."""
        with self.gateway.faults(Disconnect(rate=0.5)):
            for talker in self.talkers:
                if self.draw.random() < 0.3:
                    with suppress(AssertionError):
                        talker.leave()
                talker.client.vanish() if self.draw.random() < 0.5 else talker.client.close()
            time.sleep(0.3)

    def _look_at_what_is_left(self) -> None:
        environment = self._environment()
        for minutes in BEATS:
            self._drain()
            with mock.patch.dict("os.environ", environment), _fresh_clients():
                ports = aws.ports()._replace(now=lambda: aws.now() + minutes * 60_000)  # noqa: B023
                sio.bind(ports, Recovery(ports, 120, 300))
                engine = Engine(sio, ping_interval=120, ping_timeout=60)
                engine.beat(ports.now() + 29_000)
        self._drain()
        # Where a box went to is kept for a while, for those who still think that it is there.
        left = [
            (item["pk"], item["sk"], {name: value for name, value in item.items() if name in _TOLD})
            for item in self._items()
            if (item["sk"] == "C" and not ("moved" in item and "ttl" in item))
            or item["sk"][0] == "M"
            or (item["sk"][0] == "S" and "beat" in item)
        ]
        if left:
            self.violations.append(f"left in the table: {left}")

    def _environment(self) -> dict[str, str]:
        """Return what an emitter outside of the functions needs."""
        running = self.gateway.running
        assert running.aws is not None
        names = {name.removeprefix("local-").removesuffix(".fifo"): url for name, url in self._urls.items()}
        return {
            "AWS_ENDPOINT_URL": running.aws.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "TABLE": self.gateway.table("Table").name,
            "QUEUE_URL": names["Queue"],
            "TIMERS_URL": names["Timers"],
            "CONNECTIONS_URL": f"{self.gateway.url}/live",
        }

    def _drain(self) -> None:
        """Wait until the queues are empty."""

        def is_empty() -> bool:
            for name, url in self._urls.items():
                if "Dead" in name:
                    continue
                counts = self._sqs.get_queue_attributes(
                    QueueUrl=url,
                    AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
                )["Attributes"]
                if any(int(count) for count in counts.values()):
                    return False
            return True

        try:
            until(is_empty, "", SOON)
            self.gateway.settle()
        except (AssertionError, Never) as error:
            self.violations.append(f"the queues are not empty: {error}")

    def _look_at_errors(self) -> None:
        """No function fails that was not killed; what a handler logs as an error, a service has done on purpose."""
        killed = Counter(
            entry.target
            for entry in self.gateway.faults.injected
            if entry.kind == "crash" and "never" not in entry.what
        )
        failed = [each for each in self.gateway.invocations if each.error]
        for each in self.gateway.invocations:
            for line in each.logs:
                if '"ERROR"' in line and not any(known in line for known in _EXPLAINED):
                    self.violations.append(f"{each.function} logged {line}")
        if "clock turned" in self.kinds:  # in which the time of what runs is up
            return
        for function, count in (Counter(each.function for each in failed) - killed).items():
            told = [(each.error, each.message) for each in failed if each.function == function]
            self.violations.append(f"{function} failed {count} times more than it was killed: {told}")

    def _items(self) -> list[dict[str, Any]]:
        return self.gateway.table("Table").items


@contextmanager
def _fresh_clients() -> Iterator[None]:
    made = (clients.dynamodb, clients.sqs, clients.connections)
    for each in made:
        each.cache_clear()
    try:
        yield
    finally:
        for each in made:
            each.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--ingest", default="ordered")
    parser.add_argument("--acts", type=int, default=6)
    parser.add_argument("--kinds", default="")
    options = parser.parse_args()
    total, bad = 0, []
    with gateway_for(options.ingest) as gateway:
        for seed in range(options.first, options.last):
            gateway.reset()
            outcome = run(gateway, seed, options.acts, [each for each in options.kinds.split(",") if each])
            total += outcome.messages
            print(outcome, flush=True)
            if outcome.violations:
                bad.append(seed)
    print(f"{total} messages, violated by {bad}")


if __name__ == "__main__":
    main()
