"""Runs a SAM template's WebSocket and HTTP APIs on this machine, with the real service's behaviour, faults included.

`wsgateway` is the command, `python -m gateway` the same; `gateway.run.running` starts it inside a process.
"""

__version__ = "0.1.0"
