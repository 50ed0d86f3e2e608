"""A Socket.IO server without a process: python-socketio's API on API Gateway, Lambda and DynamoDB."""

from server import exceptions
from server.journal import Journal
from server.namespace import Namespace
from server.records import Entry, JournalRecord, Member
from server.server import Server

__all__ = ["Entry", "Journal", "JournalRecord", "Member", "Namespace", "Server", "exceptions"]
