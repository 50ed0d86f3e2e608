"""Emits from outside of an application: from another function, a script, a job.

    from handlers.emitter import emitter

    sio = emitter()
    sio.emit("news", {"text": "…"}, room="lobby")

The environment names the stack, as its output Environment says it: TABLE, QUEUE_URL, TIMERS_URL, CONNECTIONS_URL,
RECOVERY_WINDOW, PING_INTERVAL, PING_TIMEOUT. A function needs the rights of the stack's ServerPolicy as well.
"""

from handlers import wiring
from server import Emitter


def emitter() -> Emitter:
    """Return an emitter on the stack that the environment names; KeyError for what it does not."""
    found = Emitter()
    wiring.bind(found)
    wiring.ready()
    return found
