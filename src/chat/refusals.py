"""What the chat declines, each with a code for programs and a sentence for people."""

from typing import Any

from server.exceptions import EntryMissingError, JournalExpiredError, JournalMissingError


class Refused(Exception):
    """A request that the chat declines; `more` goes into the error beside code and message (retry_after, rev)."""

    def __init__(self, code: str, message: str, **more: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.more = more

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, **self.more}


JOURNAL_ERRORS = (JournalMissingError, JournalExpiredError, EntryMissingError)
"""What the server's journals raise where there is no room, or no message: `refusal_of` says it to people."""


def refusal_of(error: Exception) -> Refused:
    """Return the refusal that an error comes to: itself, or what one of `JOURNAL_ERRORS` means in a chat."""
    match error:
        case Refused():
            return error
        case JournalExpiredError():
            return Refused("expired", "This room's time is up.")
        case EntryMissingError():
            return Refused("no_such_message", "There is no such message.")
        case _:
            return Refused("no_such_room", "There is no such room. It may have burned.")
