"""What may keep somebody from talking."""

from typing import Any


class RoomError(Exception):
    """The server declined, with a code for programs, a sentence for people, and perhaps when to try again (seconds)."""

    def __init__(self, code: str, message: str, retry_after: float = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after

    @classmethod
    def of(cls, answer: Any) -> "RoomError":
        """Read the error in an answer, over HTTP or as an acknowledgement."""
        error = answer.get("error") if isinstance(answer, dict) else None
        if not isinstance(error, dict):
            return cls("bad_answer", "The server's answer makes no sense. Is this a link of Fleeting?")
        return cls(str(error.get("code")), str(error.get("message")), float(error.get("retry_after") or 0))
