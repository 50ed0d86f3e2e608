"""Runs a SAM template's WebSocket and HTTP APIs on this machine, with the real service's behaviour, faults included.

`python -m gateway` is the command; `gateway.run.running` starts the same thing inside a process.
"""
