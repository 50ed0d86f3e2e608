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


if __name__ == "__main__":
    die_with_parent()
    if sys.argv[1] == "--":
        try:
            os.execvp(sys.argv[2], sys.argv[2:])
        except OSError as error:
            sys.exit(f"cannot start {sys.argv[2]}: {error}")
    from pipelining import Pipeline  # type: ignore[import-not-found]  # beside this file

    # As on Lambda: the function's folder comes first, and this file's folder is not on the path at all.
    sys.path[0] = os.getcwd()  # noqa: PTH109 - pathlib is not worth its import at each cold start
    from awslambdaric import lambda_runtime_client  # type: ignore[import-untyped]
    from awslambdaric.__main__ import main  # type: ignore[import-untyped]

    lambda_runtime_client.runtime_client = Pipeline(int(os.environ.pop(CHANNEL)))
    main(["awslambdaric", sys.argv[1]])
