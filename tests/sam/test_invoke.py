"""`sam local invoke` with every sample event."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sam.machines import EVENTS, Backend, local, sam

pytestmark = [pytest.mark.sam, pytest.mark.timeout(240)]

STATUS = {
    "connect-refused": 400,
    "connect-upgrade": 400,
    "http-burn-room": 404,
    "http-create-room": 201,
    "http-poll": 400,
    "http-post": 400,
    "http-show-room": 404,
}
"""Where a client is not answered with 200: the events name rooms and connections that are not there."""


def answer(event: Path, env_vars: Path) -> Any:
    """Return what the event's function returns: the file's name begins with the function's."""
    function = f"{event.stem.partition('-')[0].capitalize()}Function"
    done = sam(*local("invoke", env_vars, function, "--event", str(event)))
    assert done.returncode == 0, done.stderr
    assert done.stdout, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("event", sorted(EVENTS.glob("*.json")), ids=lambda event: str(event.stem))
def test_every_event(event: Path, backend: Backend) -> None:
    answered = answer(event, backend.env_vars)
    if event.stem.startswith("heartbeat"):
        assert answered is None
    elif "Records" in json.loads(event.read_text()):
        assert answered.keys() == {"batchItemFailures"}
    else:
        assert answered["statusCode"] == STATUS.get(event.stem, 200), answered
