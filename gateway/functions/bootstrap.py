"""First code of every child process: it ends with the gateway, even one that was killed. Stdlib only.

As a script (`bootstrap.py HANDLER`) it runs AWS's own Python runtime for one function; as `bootstrap.py -- PROGRAM …`
it becomes that program, which dies with the gateway all the same.
"""

import contextlib
import os
import signal
import sys

PARENT = "FLEETING_GATEWAY_PID"
CHANNEL = "FLEETING_GATEWAY_CHANNEL"
HOSTS = "FLEETING_GATEWAY_HOSTS"
"""The host names of the template's APIs, and the address that serves them: `name,name=127.0.0.1:3000`."""


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the gateway is gone.

    Only Linux can: elsewhere a function's process ends at its next call of the Runtime API, which then fails, and the
    AWS process at the end of its standard input.
    """
    parent = os.environ.pop(PARENT, None)
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    # The gateway may have gone before the line above.
    if parent is not None and os.getppid() != int(parent):
        os._exit(1)


def redirect() -> None:
    """Let the host names of the template's APIs lead to this machine: code may put one together from an API's id."""
    names, _, address = os.environ.pop(HOSTS, "").partition("=")
    if not names:
        return
    import socket

    known = frozenset(names.split(","))
    host, _, port = address.rpartition(":")
    resolve = socket.getaddrinfo

    def getaddrinfo(name: object, *arguments: object, **keywords: object) -> object:
        asked = name.decode("ascii", "replace") if isinstance(name, bytes) else name
        if asked not in known:
            return resolve(name, *arguments, **keywords)  # type: ignore[arg-type]
        # With the port: whatever it was, the one that is served is another.
        keywords.pop("port", None)
        return resolve(host.strip("[]"), port, *arguments[1:], **keywords)  # type: ignore[arg-type]

    socket.getaddrinfo = getaddrinfo  # type: ignore[assignment]


if __name__ == "__main__":
    die_with_parent()
    if sys.argv[1] == "--":
        try:
            os.execvp(sys.argv[2], sys.argv[2:])
        except OSError as error:
            sys.exit(f"cannot start {sys.argv[2]}: {error}")
    from pipelining import Pipeline  # type: ignore[import-not-found]  # beside this file

    redirect()
    # As on Lambda: the function's folder comes first, and this file's folder is not on the path at all.
    sys.path[0] = os.getcwd()  # noqa: PTH109 - pathlib is not worth its import at each cold start
    from awslambdaric import lambda_runtime_client  # type: ignore[import-untyped]
    from awslambdaric.__main__ import main  # type: ignore[import-untyped]

    lambda_runtime_client.runtime_client = Pipeline(int(os.environ.pop(CHANNEL)))
    main(["awslambdaric", sys.argv[1]])
