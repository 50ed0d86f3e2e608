"""Random lives of many sockets against a plain model: who gets what, and gets it again after coming back.

Sockets enter and leave rooms, events go to all that an emit can name, connections are lost with the end of what was
sent (noticed or not), and their clients come back by either transport while others go on; two processes serve them.

Held: a client has each event that was for it, once and in order, and no other; it keeps its socket, with its rooms and
its session, unless it left, was away for too long, or lost its connection between two events of the same moment.
"""

import contextvars
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from server.engine import LONGEST
from server.recovery import LATE, SETTLED, SKEW
from tests.memory import World
from tests.server.rig import Client, Poller, Rig

WINDOW = 120
ROOMS = "abc"
MOST = 5
"""Clients at once."""

STEP = 0.03
"""Seconds after which others may act while an invocation sleeps."""


class Sleepless(World):
    """A world that goes on while somebody sleeps."""

    def sleep(self, seconds: float) -> None:
        until = self.clock + int(seconds * 1000)
        while self.clock < until:
            super().sleep(min(STEP, (until - self.clock) / 1000))
        self.clock += 1  # so that nothing is of the moment before and of the one after


@dataclass(frozen=True)
class Target:
    """Whom an emit is for: everybody, or rooms and sockets (by their owner's number), and whom it leaves out."""

    rooms: frozenset[str] | None
    people: frozenset[int]
    apart: frozenset[str]
    skip: frozenset[int]
    volatile: bool


@dataclass
class Event:
    n: int
    at: int
    process: int
    volatile: bool


@dataclass
class Person:
    """A client, and what the model knows of its socket."""

    client: Client | Poller
    sid: str = ""
    pid: str = ""
    offset: str | None = None
    is_there: bool = True  # the client holds its connection
    is_known: bool = True  # the server does
    until: int = 0  # when its socket is forgotten
    rooms: set[str] = field(default_factory=set)
    session: dict[str, int] = field(default_factory=dict)
    sent: list[Event] = field(default_factory=list)  # what was for it
    heard: list[int] = field(default_factory=list)

    def take(self) -> list[str]:
        """Return the frames that came."""
        if isinstance(self.client, Client):
            return self.client.take()
        frames: list[str] = []
        while (some := self.client.poll()) != ["6"]:
            frames += some
        return frames

    @property
    def connection_id(self) -> str:
        return self.client.id if isinstance(self.client, Client) else f"~{self.client.session}"


someone = st.integers(0, MOST - 1)
some_rooms = st.frozensets(st.sampled_from(ROOMS), max_size=3)
some_people = st.frozensets(someone, max_size=3)
processes = st.integers(0, 1)
targets = st.builds(
    Target,
    rooms=st.one_of(st.none(), some_rooms),
    people=st.one_of(st.just(frozenset[int]()), some_people),
    apart=st.one_of(st.just(frozenset[str]()), some_rooms),
    skip=st.one_of(st.just(frozenset[int]()), some_people),
    volatile=st.sampled_from([False, False, False, True]),
)
pauses = st.sampled_from([1, 20, 150, SETTLED, SETTLED + SKEW + 1, 1_000, 5_000])
Meanwhile = list[tuple[int, Target]]
meanwhile = st.lists(st.tuples(st.integers(0, 600), targets), max_size=3)


class Life(RuleBasedStateMachine):
    moment = SETTLED
    is_queued = False

    def __init__(self) -> None:
        super().__init__()
        self.world = Sleepless()
        self.rigs = [Rig(recovery=WINDOW, world=self.world, namespaces=["/"]) for _ in range(2)]
        self.people: list[Person] = []
        self.count = 0
        self.events: list[Event] = []
        self.told: dict[str, list[str]] = {}  # socket id -> what the application heard of it
        for rig in self.rigs:
            rig.engine.hold = 0
            self._listen(rig)

    def _listen(self, rig: Rig) -> None:
        def connect(sid: str, environ: dict[str, Any]) -> None:
            assert rig.sio.recovered(sid) == bool(self.told.get(sid)), "a socket that is known has come back"
            self.told.setdefault(sid, []).append("connect")

        def disconnect(sid: str, reason: str) -> None:
            self.told[sid].append(reason)

        rig.sio.on("connect", connect)
        rig.sio.on("disconnect", disconnect)

    # ------------------------------------------------------------------ what the model says
    def passes(self, milliseconds: int) -> None:
        self.world.clock += milliseconds

    def living(self) -> list[Person]:
        """Return those whose socket is there, or may come back to be."""
        return [each for each in self.people if each.sid and (each.is_known or self.world.clock <= each.until)]

    def pick(self, number: int, condition: Callable[[Person], bool]) -> Person | None:
        fitting = [each for each in self.people if condition(each)]
        return fitting[number % len(fitting)] if fitting else None

    def is_for(self, target: Target, person: Person) -> bool:
        number = self.people.index(person)
        named = target.rooms is None or bool(target.rooms & person.rooms) or number in target.people
        return named and number not in target.skip and not target.apart & person.rooms

    # ------------------------------------------------------------------ connecting
    def connect(self, process: int, polls: bool, auth: dict[str, Any] | None = None) -> Person:
        rig = self.rigs[process]
        frame = f"40{json.dumps(auth) if auth else ''}"
        person = Person(Poller(rig) if polls else self.rigs[0].client())
        if isinstance(person.client, Client):
            person.client.rig = rig
            person.client.send(frame)
        else:
            person.client.post(frame)
        return person

    @precondition(lambda self: len(self.people) < MOST)
    @rule(process=processes, polls=st.booleans(), pause=pauses)
    def arrives(self, process: int, polls: bool, pause: int) -> None:
        self.passes(pause)
        person = self.connect(process, polls)
        self.people.append(person)
        self.hears(person)
        assert person.sid

    def hears(self, person: Person, loses: int = 0) -> None:
        """Let a client receive what was sent, but for the last frames."""
        frames = person.take()
        self.take_in(person, frames[: len(frames) - loses])
        if not loses:
            self.check(person)

    def take_in(self, person: Person, frames: list[str]) -> None:
        for frame in frames:
            if frame.startswith("40"):
                answer = json.loads(frame[2:])
                person.sid, person.pid = answer["sid"], answer["pid"]
            elif frame.startswith("42"):
                _, n, person.offset = json.loads(frame[2:])
                person.heard.append(n)
            else:
                assert frame in ("2", "41"), frame

    def check(self, person: Person) -> None:
        """Hold what a client has heard against what was for it."""
        volatile = {event.n for event in person.sent if event.volatile}
        expected = [event.n for event in person.sent if not event.volatile]
        assert [n for n in person.heard if n not in volatile] == expected
        assert person.heard == sorted(set(person.heard)), "in order, and none twice"
        assert set(person.heard) <= {event.n for event in person.sent}

    # ------------------------------------------------------------------ sending
    @rule(process=processes, pause=pauses, several=st.lists(targets, min_size=1, max_size=4))
    def emits(self, process: int, pause: int, several: list[Target]) -> None:
        self.passes(pause)
        with self.rigs[process].sio.batch():
            for target in several:
                self.emit(process, target)
        # What a large room gets by the queue, a later event of another invocation to a smaller one may overtake.
        self.rigs[process].run_queue()

    def emit(self, process: int, target: Target) -> None:
        """Emit an event, and note whom it is for."""
        self.count += 1
        event = Event(self.count, self.world.clock, process, target.volatile)
        self.events.append(event)
        living = self.living()
        people = [self.people[n].sid for n in sorted(target.people) if n < len(self.people)]
        self.rigs[process].sio.emit(
            "e",
            self.count,
            room=None if target.rooms is None else [*sorted(target.rooms), *people],
            skip_sid=[self.people[n].sid for n in sorted(target.skip) if n < len(self.people)],
            except_room=sorted(target.apart),
            volatile=target.volatile,
        )
        for person in living:
            if self.is_for(target, person):
                person.sent.append(event)

    # ------------------------------------------------------------------ rooms
    @rule(who=someone, process=processes, room=st.sampled_from(ROOMS), pause=pauses)
    def enters(self, who: int, process: int, room: str, pause: int) -> None:
        if person := self.pick(who, lambda each: each.is_known):
            self.passes(pause)
            self.rigs[process].sio.enter_room(person.sid, room)
            person.rooms.add(room)

    @rule(who=someone, process=processes, room=st.sampled_from(ROOMS), pause=pauses)
    def leaves_room(self, who: int, process: int, room: str, pause: int) -> None:
        if person := self.pick(who, lambda each: each.is_known):
            self.passes(pause)
            self.rigs[process].sio.leave_room(person.sid, room)
            person.rooms.discard(room)

    @rule(process=processes, room=st.sampled_from(ROOMS), others=st.sampled_from(ROOMS), pause=pauses)
    def all_enter(self, process: int, room: str, others: str, pause: int) -> None:
        self.passes(pause)
        self.rigs[process].sio.sockets_join(others, room=room)
        for person in self.people:
            if person.is_known and room in person.rooms:
                person.rooms.add(others)

    @rule(who=someone, process=processes, n=st.integers(), pause=pauses)
    def is_remembered(self, who: int, process: int, n: int, pause: int) -> None:
        if person := self.pick(who, lambda each: each.is_known):
            self.passes(pause)
            person.session = {"n": n}
            self.rigs[process].sio.save_session(person.sid, person.session)

    # ------------------------------------------------------------------ receiving
    @rule(who=someone)
    def receives(self, who: int) -> None:
        if person := self.pick(who, lambda each: each.is_there):
            self.hears(person)

    # ------------------------------------------------------------------ leaving
    @rule(who=someone, process=processes, by_server=st.booleans(), pause=pauses)
    def leaves(self, who: int, process: int, by_server: bool, pause: int) -> None:
        """Say goodbye: nothing is kept."""
        person = self.pick(who, lambda each: each.is_there and each.is_known)
        if person is None:
            return
        self.passes(pause)
        if by_server:
            self.rigs[process].sio.disconnect(person.sid)
        elif isinstance(person.client, Client):
            person.client.send("41")
        else:
            person.client.post("41")
        self.hears(person)
        assert self.told[person.sid][-1] == ("server disconnect" if by_server else "client disconnect")
        person.is_there = person.is_known = False
        person.until = 0

    @rule(who=someone, process=processes, noticed=st.booleans(), loses=st.integers(0, 4), pause=pauses)
    def is_cut_off(self, who: int, process: int, noticed: bool, loses: int, pause: int) -> None:
        """Lose the connection, and the last frames with it."""
        if person := self.pick(who, lambda each: each.is_there):
            self.passes(pause)
            self.hears(person, loses)
            person.is_there = False
            if noticed:
                self.is_noticed(person, process)

    @rule(who=someone, process=processes, pause=pauses)
    def is_found_gone(self, who: int, process: int, pause: int) -> None:
        if person := self.pick(who, lambda each: each.is_known and not each.is_there):
            self.passes(pause)
            self.is_noticed(person, process)

    def is_noticed(self, person: Person, process: int) -> None:
        self.rigs[process].engine.closed(person.connection_id, "transport close", self.world.deadline)
        person.is_known = False
        person.until = self.world.clock + WINDOW * 1000

    # ------------------------------------------------------------------ coming back
    @rule(who=someone, process=processes, polls=st.booleans(), pause=pauses, others=meanwhile)
    def comes_back(self, who: int, process: int, polls: bool, pause: int, others: Meanwhile) -> None:
        if person := self.pick(who, lambda each: not each.is_there):
            self.passes(pause)
            self.returns(person, process, polls, others)

    @rule(
        who=someone,
        process=processes,
        polls=st.booleans(),
        noticed=st.booleans(),
        loses=st.integers(0, 4),
        pause=pauses,
        others=meanwhile,
    )
    def is_away_for_a_moment(
        self, who: int, process: int, polls: bool, noticed: bool, loses: int, pause: int, others: Meanwhile
    ) -> None:
        if person := self.pick(who, lambda each: each.is_there):
            self.hears(person, loses)
            person.is_there = False
            if noticed and person.is_known:
                self.is_noticed(person, 1 - process)
            self.passes(pause)
            self.returns(person, process, polls, others)

    def returns(self, person: Person, process: int, polls: bool, others: Meanwhile) -> None:
        """Connect anew with what the client remembers, and emit meanwhile."""
        may = person in self.living()
        old = person.connection_id if person.is_known else None
        began, waiting = self.world.clock, sorted(others, key=lambda each: each[0])

        def go_on() -> None:
            while waiting and self.world.clock - began >= waiting[0][0]:
                contextvars.Context().run(self.emit, 1 - process, waiting.pop(0)[1])
                self.rigs[1 - process].run_queue()

        if not may:
            person.sent = []
        person.is_known = True  # what is emitted from here on is for it
        self.world.on_sleep = go_on
        auth = {"pid": person.pid} | ({"offset": person.offset} if person.offset else {})
        person.client = self.connect(process, polls, auth).client
        self.world.on_sleep = None
        person.is_there = True
        self.is_answered(person, may)
        if old:
            self.rigs[process].engine.closed(old, "transport close", self.world.deadline)

    def is_answered(self, person: Person, may: bool) -> None:
        """Hear the answer to CONNECT, and whether it is the right one."""
        frames = person.take()
        (answer,) = [json.loads(frame[2:]) for frame in frames if frame.startswith("40")]
        if answer["sid"] == person.sid:
            assert may, "it was away for too long, or had left"
            assert frames[0].startswith("40"), "nothing comes before the answer"
        else:
            assert not may or self.is_ambiguous(person), "it had a right to its socket"
            new = {json.loads(frame[2:])[1] for frame in frames if frame.startswith("42")}
            person.sent = [event for event in person.sent if event.n in new]
            person.heard, person.offset, person.rooms, person.session = [], None, set(), {}
        person.sid, person.pid = answer["sid"], answer["pid"]
        self.take_in(person, frames)
        self.check(person)
        assert self.rigs[0].sio.get_session(person.sid) == person.session

    def is_ambiguous(self, person: Person) -> bool:
        """Tell whether another invocation sent something at the moment of the last event that a client has.

        What one process sends has an order, unless the queue delivers it.
        """
        last = next((event for event in self.events if event.n == person.heard[-1]), None) if person.heard else None
        return last is not None and any(
            event.n != last.n
            and (event.process != last.process or self.is_queued)
            and abs(event.at - last.at) <= self.moment + SKEW
            and not event.volatile
            for event in person.sent
        )

    # ------------------------------------------------------------------ time
    @rule(seconds=st.sampled_from([20, 60, 60, 60, WINDOW + 1, LONGEST // 1000]), process=processes)
    def time_passes(self, seconds: int, process: int) -> None:
        """Let the heartbeat run; those who are there answer it."""
        self.passes(seconds * 1000)
        for person in self.people:
            if person.is_there:
                self.world.connections.touch(person.connection_id, self.world.clock)
        self.rigs[process].engine.beat(self.world.deadline)
        for person in self.people:
            if person.is_known and person.connection_id not in self.world.connections.records:
                person.is_known = person.is_there = False
                person.until = self.world.clock + WINDOW * 1000

    # ------------------------------------------------------------------ always
    @invariant()
    def places_are_as_they_should_be(self) -> None:
        for room in (None, *ROOMS):
            members = sorted(member.sid for member in self.world.rooms.members("/", room))
            known = [person for person in self.people if person.is_known and (room is None or room in person.rooms)]
            assert members == sorted(person.sid for person in known)

    @invariant()
    def the_application_hears_it_in_turns(self) -> None:
        for told in self.told.values():
            assert all((event == "connect") == (n % 2 == 0) for n, event in enumerate(told)), told

    def teardown(self) -> None:
        """In the end nothing is left, and the application knows of everybody's end."""
        for person in self.people:
            if person.is_known:
                self.rigs[0].engine.closed(person.connection_id, "transport close", self.world.deadline)
        self.passes(WINDOW * 1000 + 1)
        self.rigs[0].engine.beat(self.world.deadline)
        assert not self.world.rooms.items
        assert all(len(told) % 2 == 0 for told in self.told.values()), self.told


class CrowdedLife(Life):
    """The same where even a small room is a large one, so that the queue serves it.

    At once: what several invocations send, one of them by the queue, has no order that could be held.
    """

    moment = LATE
    is_queued = True

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("server.outbox.INLINE_LIMIT", 1)

    def hears(self, person: Person, loses: int = 0) -> None:
        self.rigs[0].run_queue()
        super().hears(person, loses)

    def emit(self, process: int, target: Target) -> None:
        super().emit(process, target)
        self.rigs[0].run_queue()

    def teardown(self) -> None:
        super().teardown()
        self.patch.undo()


# The same lives at each run: a check says something of the change, and chance is for whoever goes looking.
COMMON = settings(
    derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("life", [Life, CrowdedLife])
def test_some_lives(life: type[Life]) -> None:
    run_state_machine_as_test(life, settings=settings(COMMON, max_examples=300, stateful_step_count=40))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("life", [Life, CrowdedLife])
def test_many_lives(life: type[Life]) -> None:
    run_state_machine_as_test(life, settings=settings(COMMON, max_examples=1_000, stateful_step_count=60))
