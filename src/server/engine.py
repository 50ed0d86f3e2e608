"""What happens to a connection: opened, a frame received, closed, pinged; and what the queue brings back.

This is the Lambda handlers' side of the server; an application sees none of it. Nothing here knows how an event
arrived: a frame is a connection's id and a text.
"""

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from protocol import engineio
from protocol.engineio import PacketType as EnginePacketType
from protocol.errors import ProtocolError
from protocol.socketio import Packet, PacketType
from server import jobs
from server.agenda import Calls
from server.assembly import Assembly
from server.debug import scope
from server.dialects import VERSIONS, answer_to, decode, dialect_of, may_overtake_open
from server.dispatcher import Dispatcher
from server.outbox import MARGIN, Outbox, group_of_connection, post
from server.ports import Gone, PortError, Ports, Unavailable
from server.reasons import CLIENT_DISCONNECT, PING_TIMEOUT, TRANSPORT_CLOSE, TRANSPORT_ERROR
from server.records import Beat, Connection, Dialect, Membership, Parked, is_polling
from server.recovery import EARLIER
from server.reunion import Reunion
from server.server import Server
from server.turn import Turn
from server.upgrade import Upgrade

log = scope("engine")

MAX_PAYLOAD = 32_768
"""Bytes that API Gateway takes in one frame (quotas of WebSocket APIs)."""

CONNECT_TIMEOUT = 45_000
"""Milliseconds after which a connection that joined no namespace is closed, as in Node's server."""

GRACE = 30_000
"""Age in milliseconds below which a 410 does not end a connection: it may not exist *yet* """

OPEN_PAUSE = 0.03
"""Seconds between two tries at the open packet while the connection comes into being."""

OPEN_BATCH = 400
"""Milliseconds of that before the job goes back to the queue, for a second."""

OPEN_PATIENCE = 10_000
"""Milliseconds after which a connection that still answers 410 never came into being."""

LAST_PATIENCE = 6_000
"""Milliseconds that a busy recipient may take of an invocation; a job begins only with that much left."""

LONGEST = 2 * 3600 * 1000
"""Milliseconds that a connection may last: API Gateway ends a WebSocket then, and this a session that polls."""

KEPT_RUNS = 16
"""Runs of the heartbeat that are remembered, to know who was pinged when."""

BEAT_PERIOD = 60_000
"""Milliseconds between two runs of the heartbeat; EventBridge has no shorter schedule."""

PROBE_ANSWER = "3probe"

UNORDERED = (
    "Binary events over WebSocket need a server that takes frames in their order (Ingest=ordered). "
    "Over long polling they work with any."
)


class Engine:
    """Runs a server's connections; the heartbeat's times are in seconds, deadlines in Unix milliseconds."""

    def __init__(self, server: Server, *, ping_interval: float, ping_timeout: float, hold: float = 25) -> None:
        self._server = server
        server.engine = self
        self.reunion = Reunion(server, self.close)
        self.dispatcher = Dispatcher(server, self.reunion)
        self._upgrade = Upgrade(server, self.closed)
        self._calls = Calls(server)
        self._interval = int(ping_interval * 1000)
        self._timeout = int(ping_timeout * 1000)
        self.hold = int(hold * 1000)  # of a poll; an HTTP API ends after 30 seconds
        # Half a period, so that a run that comes a little early or late neither doubles a ping nor leaves one out.
        self._slack = min(BEAT_PERIOD // 2, self._interval // 4)

    @property
    def _ports(self) -> Ports:
        return self._server.ports

    # ------------------------------------------------------------------ opening
    def open(self, connection_id: str, query: Mapping[str, str], environ: dict[str, Any]) -> int:
        """Store a new session and order its open packet; returns the HTTP status of the upgrade.

        The packet cannot be sent from here: the connection exists only once `$connect` has answered.
        """
        if query.get("EIO") not in VERSIONS or query.get("transport") not in _TRANSPORTS:
            asked = {name: query.get(name, "")[:20] for name in ("EIO", "transport")}
            log.info("refused: this is not Engine.IO %d (%s)", engineio.PROTOCOL, asked)
            return 400
        dialect = dialect_of(query, environ, websocket=True)
        if "sid" in query:
            return 200 if self._upgrade.begin(connection_id, query["sid"], dialect) else 400
        connection = Connection(connection_id, secrets.token_urlsafe(15), self._ports.now(), environ, dialect=dialect)
        joins = dialect is Dialect.EIO3
        job = jobs.Open(connection_id, connection.born, self.open_packet(connection.session, (), MAX_PAYLOAD), joins)
        self._ports.connections.open(connection)
        self._ports.inbox.put([(group_of_connection(connection_id), jobs.to_json(job))])
        return 200

    def open_packet(self, session: str, upgrades: tuple[str, ...], max_payload: int) -> str:
        """Return the frame that opens a session."""
        handshake = engineio.Handshake(session, upgrades, self._interval, self._timeout, max_payload)
        return engineio.encode_packet(handshake.packet())

    # ------------------------------------------------------------------ frames
    def receive(
        self, connection_id: str, text: str, deadline: int, number: int = 0, *, again: bool = False
    ) -> str | None:
        """Handle one frame; returns the last frame of the answer, if there is one.

        With a `number` (in the queue, rising) frames come in their order, one at a time, and perhaps `again`; and the
        answer is sent. Without one they come as they do.
        """
        log.debug("%s <- %.500s", connection_id, text)
        try:
            answer = self._receive(connection_id, text, deadline, number, again)
        except ProtocolError as error:
            log.warning("%s broke the protocol: %s", connection_id, error)
            self.close(connection_id, TRANSPORT_ERROR, deadline)
            return None
        if answer is not None and number:
            outbox = Outbox(self._ports, deadline)
            outbox.send(connection_id, [answer])
            outbox.flush()
            return None
        if answer is not None:
            log.debug("%s -> %.500s", connection_id, answer)
        return answer

    def _receive(self, connection_id: str, text: str, deadline: int, number: int, again: bool) -> str | None:
        if text[:1] == "b":  # how it goes on depends on the version
            return self._message(connection_id, text, deadline, number, again)
        packet = engineio.decode_packet(text)
        match packet.type:
            case EnginePacketType.MESSAGE:
                return self._message(connection_id, text, deadline, number, again)
            case EnginePacketType.PING if packet.data == "probe":
                return self._offer(connection_id)
            case EnginePacketType.PING | EnginePacketType.PONG if packet.data != "probe":
                return self._heartbeat(connection_id, packet)
            case EnginePacketType.CLOSE:
                self.close(connection_id, CLIENT_DISCONNECT, deadline)
            case EnginePacketType.UPGRADE:
                self._find(connection_id, deadline)
            case EnginePacketType.NOOP:
                connection = self._ports.connections.load(connection_id)
                if connection is None or connection.probes:  # which should have sent its probe
                    self.drop(connection_id)
            case _:
                raise ProtocolError(f"a client does not send {packet.type.name}")
        return None

    def _heartbeat(self, connection_id: str, packet: engineio.Packet) -> str | None:
        """Note a sign of life; returns the answer to a client's ping, which only Engine.IO 3 has."""
        dialect = self._ports.connections.touch(connection_id, self._ports.now())
        if dialect is None:
            self.drop(connection_id)
            return None
        return answer_to(packet, dialect)

    def _message(self, connection_id: str, text: str, deadline: int, number: int, again: bool) -> str | None:
        connection = self._find(connection_id, deadline)
        if connection is None:
            return None
        if number and number <= connection.handled:
            log.info("frame %d of %s was handled before", number, connection_id)
            return None
        work = str(number) if number else ""
        turn = self._server.turn(deadline, connection, answers=not number, again=again, work=work)
        with self._server.run(turn):
            if may_overtake_open(connection, self._ports.now()) and not number:
                turn.outbox.detour(connection_id)
            assembly = Assembly(connection.pending)
            done = (
                assembly.feed(decode(text, connection.dialect).data) if number else self._feed(turn, connection, text)
            )
            for packet in done:
                self.dispatcher.dispatch(turn, connection, packet, number)
        if number:
            # In one write: what waits has this frame in it, what was saved comes of it, and it comes no more.
            pending = assembly.frames if assembly.frames != connection.pending else None
            if pending is not None or any(packet.type in _COUNTED for packet in done):
                self._ports.connections.handled(connection.id, number, pending, turn.held)
        return turn.route_response

    def _feed(self, turn: Turn, connection: Connection, text: str) -> list[Packet]:
        """Take a frame that others may have overtaken; a binary event could get the attachments of another one."""
        data = decode(text, connection.dialect).data
        lost = Assembly(connection.pending).waiting  # their attachments were to follow the session here
        turn.keep(connection, ())
        if isinstance(data, bytes):
            done = []
        else:
            assembly = Assembly()
            done = assembly.feed(data)
            lost += assembly.waiting
        for namespace in dict.fromkeys(packet.namespace for packet in lost):
            log.info("%s sent a binary event over WebSocket, where frames have no order", connection.id)
            self.dispatcher.refuse(turn, connection, namespace, UNORDERED)
        return done

    def _find(self, connection_id: str, deadline: int) -> Connection | None:
        """Return the connection of a frame, its upgrade completed: the frame says ``5``, or has overtaken it.

        A connection without a record is closed, so that its client comes back with a new one.
        """
        connection = self._ports.connections.load(connection_id)
        if connection is not None and connection.probes:
            connection = self._upgrade.complete(connection, deadline)
        if connection is None:
            self.drop(connection_id)
        return connection

    def _offer(self, connection_id: str) -> str | None:
        """Answer ``2probe``."""
        connection = self._ports.connections.load(connection_id)
        if connection is not None and connection.probes is None:
            raise ProtocolError("a probe, but there is nothing to upgrade")
        if connection is not None and self._upgrade.offer(connection):
            return PROBE_ANSWER
        self.drop(connection_id)
        return None

    # ------------------------------------------------------------------ closing
    def close(self, connection_id: str, reason: str, deadline: int) -> None:
        """End a connection from this side: tell the application, free what it held, and close it."""
        self.closed(connection_id, reason, deadline)
        self.drop(connection_id)

    def hung_up(self, connection_id: str, deadline: int) -> None:
        """The client has closed a connection, or it was lost: end it, behind the frames that came before."""
        if self._ports.inbox is self._ports.queue:
            self.closed(connection_id, TRANSPORT_CLOSE, deadline)
        else:
            job = jobs.to_json(jobs.Closed(connection_id))
            self._ports.inbox.put([(group_of_connection(connection_id), job)])

    def closed(
        self,
        connection_id: str,
        reason: str,
        deadline: int,
        *,
        grace: int = 0,
        seen: int | None = None,
        moved: bool = False,
    ) -> None:
        """Tell the application that a connection is gone, and free what it held; once, whoever calls.

        Not if it is younger than `grace` milliseconds, or gave a sign of life other than `seen`; nor if its session
        has moved to a WebSocket, unless `moved`.
        """
        now = self._ports.now()
        connection = self._ports.connections.claim(
            connection_id, at=now, born_before=now - grace, seen=seen, moved=moved
        )
        if connection is None:
            return
        if connection.holds:
            self._put_back(connection, connection.holds)
            return
        connection.take_back("", now)
        if connection.leaving and not connection.sockets:
            return  # whoever is at it has all of it to say; should they have died, the heartbeat comes back here
        if connection.probes:
            self._end_probe(connection, reason, deadline)
        if connection.offered and not moved:
            self.drop(connection.offered)  # there is nothing left to probe for
        for namespace in [name for name, socket in connection.sockets.items() if self.reunion.is_half_done(socket)]:
            self._put_back_from(connection, namespace, deadline)
        places = connection.places()
        parked, kept = [], set()
        if self._server.recovery:  # those who mean to leave leave their namespaces first
            # It was cut for its age: whoever comes back at once has never been away.
            is_cut = now - connection.born >= LONGEST - EARLIER
            parked = self._server.recovery.park(connection, silent=is_cut)
            kept = {each.namespace for each in parked if each.silent}
        turn = self._server.turn(deadline, connection, closing=True)
        with self._server.run(turn):
            for namespace in list(connection.sockets):
                if namespace not in kept:
                    self._server.leave(turn, connection, namespace, reason)
        self._ports.connections.remove(connection, places, parked)

    def _put_back_from(self, half: Connection, namespace: str, deadline: int) -> None:
        """Put a socket back that a connection has which is being closed, and its client has not got yet."""
        socket = half.sockets.pop(namespace)
        rooms = [room for space, room in half.stays if space == namespace]
        self._ports.rooms.evict([Membership(namespace, room, socket.sid) for room in rooms], half.id)
        self.closed(socket.box, TRANSPORT_ERROR, deadline)

    def _put_back(self, box: Connection, parked: Parked) -> None:
        """Keep a socket that its client was to get back: whoever saw to that has failed, or died."""
        half = self._ports.connections.load(box.offered) if box.offered else None
        socket = half.sockets.get(parked.namespace) if half else None
        if half and socket and socket.pid == parked.pid:
            if left := self._ports.connections.leave(half.id, parked.namespace, self._ports.now(), box.id):
                rooms = [room for namespace, room in left.stays if namespace == parked.namespace]
                places = [Membership(parked.namespace, room, socket.sid) for room in rooms]
                self._ports.rooms.evict(places, half.id)
                self._ports.connections.left(half.id, parked.namespace, rooms)
            self.drop(half.id)
        self._ports.rooms.evict(box.places(), box.id)
        self._ports.connections.remove(box, [], [parked])

    def _end_probe(self, websocket: Connection, reason: str, deadline: int) -> None:
        """Leave the session polling, or end it with the WebSocket if it had moved there already."""
        assert websocket.probes
        box = self._ports.mailboxes.peek(websocket.probes, consistent=True)
        if box is not None and box.moved == websocket.id:
            self.closed(websocket.probes, reason, deadline, moved=True)
        else:
            self._ports.mailboxes.withdraw(websocket.probes, websocket.id)

    def drop(self, connection_id: str) -> None:
        """Close a WebSocket and leave the rest to its `$disconnect`: the way out when nothing else works."""
        if not is_polling(connection_id):  # whose next poll finds nothing
            self._ports.wire.close(connection_id)

    # ------------------------------------------------------------------ the queue
    def deliver(self, body: str, deadline: int) -> None:
        """Do one job of the queue; what it raises brings the job back later."""
        match jobs.from_json(body):
            case jobs.Open() as job:
                self._send_open(job, deadline)
            case jobs.Closed() as job:
                self.closed(job.connection_id, TRANSPORT_CLOSE, deadline)
            case jobs.Disconnect() as job:
                with self._server.run(self._server.turn(deadline, work=f"disconnect {job.sid}")) as turn:
                    if connection := turn.find(job.namespace, job.sid, job.connection_id):
                        self._server.send_away(turn, connection, job.namespace)
            case jobs.TimeUp() as job:
                with self._server.run(self._server.turn(deadline)):
                    self._server.acks.time_up(job.number)
            case jobs.Call() as job:
                self._calls.make(job, deadline)
            case jobs.Post() as job:
                self._send(job, deadline)
            case jobs.Reap() as job:
                self.closed(job.connection_id, TRANSPORT_CLOSE, deadline, grace=GRACE)
                self._ports.rooms.evict(job.memberships, job.connection_id)

    def _send_open(self, job: jobs.Open, deadline: int) -> None:
        """Send the open packet as soon as the connection exists; others wait in the batch, so not for long."""
        until = self._ports.now() + OPEN_BATCH
        while True:
            try:
                post(self._ports, job.connection_id, job.frame, deadline=deadline - MARGIN)
                return self.join_first(job.connection_id, deadline) if job.joins else None
            except Gone:
                if self._ports.now() < until:
                    self._ports.sleep(OPEN_PAUSE)
                elif self._ports.now() > job.born + OPEN_PATIENCE:
                    return self.closed(job.connection_id, TRANSPORT_CLOSE, deadline)
                elif self._ports.connections.load(job.connection_id) is None:
                    return None  # it has come and gone
                else:
                    raise Unavailable("the connection does not exist yet") from None

    def join_first(self, connection_id: str, deadline: int) -> None:
        """Let a client of Socket.IO 2 into the namespace ``/``, for which it does not ask."""
        connection = self._ports.connections.load(connection_id)
        if connection is not None and "/" not in connection.sockets:
            query = dict(parse_qsl(connection.environ.get("QUERY_STRING", "")))
            turn = self._server.turn(deadline, connection, answers=False)
            with self._server.run(turn):
                self.dispatcher.connect(turn, connection, "/", query)

    def _send(self, job: jobs.Post, deadline: int) -> None:
        if self._ports.now() > deadline - MARGIN - LAST_PATIENCE:
            raise Unavailable("too little is left of this invocation for another job")
        outbox = Outbox(self._ports, deadline, last_try=True)
        for connection_id in job.to:
            outbox.send(connection_id, job.frames)
        outbox.flush()
        for connection_id in outbox.stuck:
            log.warning("%s took no frames for too long, and is closed: its client comes back", connection_id)
            self.close(connection_id, TRANSPORT_ERROR, deadline)

    # ------------------------------------------------------------------ the heartbeat
    def beat(self, deadline: int) -> None:
        """Ping the connections that are due; close those that missed their pong or never joined a namespace.

        And have the functions called whose time has come.
        """
        started, runs = self._ports.now(), self._ports.connections.runs()
        outbox = Outbox(self._ports, deadline)
        ping = engineio.encode_packet(engineio.Packet(EnginePacketType.PING))
        ended: list[tuple[Beat, str, int | None]] = []
        forgotten: list[str] = []
        for beat in self._ports.connections.beats():
            now = self._ports.now()
            if beat.pid:
                if now > beat.born:
                    forgotten.append(beat.pid)
            elif self._missed_its_pong(beat, runs, now):
                ended.append((beat, PING_TIMEOUT, beat.seen))
            elif (not beat.joined and now - beat.born >= CONNECT_TIMEOUT) or now - beat.born >= LONGEST:
                ended.append((beat, TRANSPORT_CLOSE, None))
            elif beat.dialect is not Dialect.EIO3 and self._is_due(beat, now):
                outbox.send(beat.connection_id, [ping])
        outbox.flush()
        self._ports.connections.save_runs([*runs, started][-KEPT_RUNS:])
        self._calls.hand_over(deadline)  # before what may take all the time that is left
        for beat, reason, seen in ended:
            try:
                self.closed(beat.connection_id, reason, deadline, seen=seen)
                if self._ports.connections.load(beat.connection_id) is None:
                    self.drop(beat.connection_id)
            except PortError:
                log.exception("%s could not be closed; the next heartbeat tries again", beat.connection_id)
        for pid in forgotten:
            if self._ports.now() > deadline - MARGIN:
                break  # the next heartbeat goes on
            try:
                if parked := self._ports.connections.unpark(pid, self._ports.now()):
                    self.reunion.bury(parked, deadline)
            except PortError:
                log.exception("a client that stayed away could not be reported")

    def _is_due(self, beat: Beat, at: int) -> bool:
        return at - beat.seen + self._slack >= self._interval

    def _missed_its_pong(self, beat: Beat, runs: list[int], now: int) -> bool:
        """Tell whether an earlier run pinged the connection, and its time to answer is up.

        Runs come late, and may be left out: silence alone says nothing. A client of Engine.IO 3 sends the pings itself.
        """
        if beat.dialect is Dialect.EIO3:
            return now - beat.seen >= self._interval + self._timeout + self._slack
        return any(self._is_due(beat, run) and now - run + self._slack >= self._timeout for run in runs)


_TRANSPORTS = ("websocket", "polling")  # Dart's client says polling unless told, and means the upgrade it asks for

_COUNTED = (PacketType.EVENT, PacketType.ACK, PacketType.DISCONNECT)  # CONNECT finds its socket there
