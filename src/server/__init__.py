"""A Socket.IO server without a process: python-socketio's API on API Gateway, Lambda and DynamoDB."""

from server import exceptions
from server.async_server import AsyncNamespace, AsyncServer
from server.emitter import Emitter
from server.journal import Journal
from server.namespace import Namespace
from server.records import Entry, JournalRecord, Member
from server.remote import RemoteSocket
from server.server import Server

__all__ = [
    "AsyncNamespace",
    "AsyncServer",
    "Emitter",
    "Entry",
    "Journal",
    "JournalRecord",
    "Member",
    "Namespace",
    "RemoteSocket",
    "Server",
    "exceptions",
]
