"""The functions that are called later (`Emitter.at`): from the agenda into the queue, and from there to be called."""

from server import jobs
from server.debug import scope
from server.outbox import MARGIN
from server.ports import PortError
from server.server import Server

log = scope("socket.io:server")

BATCH = 10
"""Calls that go to the queue together, as SQS takes them: one that it refuses holds up no more than these."""


class Calls:
    """Makes the calls whose time has come, on behalf of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def hand_over(self, deadline: int) -> None:
        """Put what is due into the queue. What fails between there and the agenda is due again in a minute."""
        ports = self._server.ports
        try:
            due = list(ports.agenda.due(ports.now() // 1000))
        except PortError:
            log.exception("the agenda cannot be read; the next minute tries again")
            return
        for start in range(0, len(due), BATCH):
            if ports.now() > deadline - MARGIN:
                break
            some = due[start : start + BATCH]
            try:
                ports.queue.put([(f"at-{id}", job) for id, job in some])
                ports.agenda.remove([id for id, _ in some])
            except PortError:
                log.exception("%d calls that are due wait for the next minute", len(some))

    def make(self, call: jobs.Call, deadline: int) -> None:
        """Call a function; one that fails is noted for the next minute."""
        try:
            with self._server.run(self._server.turn(deadline)):
                self._server.callbacks.call(call.function, call.args, call.kwargs)
        except Exception:
            now = self._server.ports.now() // 1000
            is_over = now >= call.until
            log.exception("%s failed, and is %s", call.function, "given up" if is_over else "called again in a minute")
            if not is_over:
                self._server.ports.agenda.add(jobs.to_json(call), now)
