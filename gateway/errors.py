"""Errors that end the gateway before it is ready; each message is one line for the person at the terminal.

But for what a Makefile's tools said: that follows, a line each.
"""


class GatewayError(Exception):
    """The gateway cannot start. `exit_code` is the process's: 1 for the environment, 2 for a wrong command line."""

    exit_code = 1


class TemplateError(GatewayError):
    """The template cannot be read, expanded or resolved."""


class UsageError(GatewayError):
    """An option or a parameter has a value that the template refuses."""

    exit_code = 2
