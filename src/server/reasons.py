"""Why a socket went, in python-socketio's words: what a ``disconnect`` handler is told."""

CLIENT_DISCONNECT = "client disconnect"
SERVER_DISCONNECT = "server disconnect"
PING_TIMEOUT = "ping timeout"
TRANSPORT_CLOSE = "transport close"
TRANSPORT_ERROR = "transport error"
