"""The gateway as a process: it stops cleanly, and says what is wrong in a line."""

import os
import signal
import sys

import pytest

from tests.e2e.processes import Gateway, Process, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_behind(kind: signal.Signals) -> None:
    """Ctrl-C, a polite end and a rude one: no function and no moto outlives the gateway."""
    gateway = Gateway()
    children = gateway.children()
    assert len(children) >= 7, "moto and six functions"
    code = gateway.stop(kind)
    assert code == (-9 if kind is signal.SIGKILL else 0)
    until(lambda: not [pid for pid in children if is_alive(pid)], "its children are gone")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere.yaml"], "nowhere.yaml"),
        (["template.yaml", "--app", "nowhere.py:sio"], "nowhere.py"),
        (["template.yaml", "--parameter-overrides", "Nonsense=1"], "Nonsense"),
        (["template.yaml", "--parameter-overrides", "PingInterval=9999"], "PingInterval"),
        (["pyproject.toml"], "pyproject.toml"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments: list[str], complaint: str) -> None:
    process = Process([sys.executable, "-m", "gateway", *arguments, "--port", "0"])
    assert process.popen.wait(60) in (1, 2)
    process.stop()
    output = "\n".join(process.lines)
    assert complaint in output
    assert "Traceback" not in output
