"""What goes wrong when reading the protocol.

Reading raises `ProtocolError` and nothing else. Writing what the protocol cannot carry is a mistake
of the caller: a plain `ValueError`, or `TypeError` for a value that JSON has no type for.
"""

_EXCERPT = 40


class ProtocolError(ValueError):
    """What arrived is not of the protocol; str() says what was wrong, in a sentence for a log."""


def excerpt(text: str) -> str:
    """The beginning of `text`, quoted and escaped for a log."""
    return repr(text) if len(text) <= _EXCERPT else f"{text[:_EXCERPT]!r}…"
