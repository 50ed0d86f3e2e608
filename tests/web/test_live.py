"""The page's modules in rooms of the real server, by Socket.IO's own client."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.processes import Gateway
from tests.web.test_modules import HERE, node

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


def test_people_in_a_room(gateway: Gateway) -> None:
    done = node(str(HERE / "live.mjs"), gateway.url)
    assert done.returncode == 0, done.stdout + done.stderr
    notices = json.loads(done.stdout)
    assert {"joined Ben", "locked ", "unlocked ", "removed Ben", "joined Cleo"} <= set(notices)
