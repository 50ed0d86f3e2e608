"""How an invocation may end without an answer."""

NOT_RUN = "ResourceNotFoundException"
"""The type of the failure of a function that is not run here."""


class FunctionFailed(Exception):
    """An invocation failed: the function raised, crashed, ran out of time or could not be started.

    `error_type` and `message` are what Lambda reports; `trace` the function's own stack, a line an entry.
    """

    def __init__(self, error_type: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.trace = trace or []
