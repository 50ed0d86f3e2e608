"""Several kinds of things go wrong at once: what people say in a room is in its history, and comes to everybody, once.

`tests/e2e/soak.py` says what is looked at. A seed that fails is run again by
`PYTHONPATH=src python -m tests.e2e.soak 7 8`.
"""

from collections.abc import Iterator

import pytest

from gateway.testing import Gateway, emptied
from tests.e2e import soak

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # of the clients, when a connection is lost
]


@pytest.fixture(scope="module", params=["ordered", "direct"])
def ingest(request: pytest.FixtureRequest) -> str:
    """How frames come to the functions."""
    ingest: str = request.param
    return ingest


@pytest.fixture(scope="module")
def started(ingest: str) -> Iterator[Gateway]:
    with soak.gateway_for(ingest) as gateway:
        yield gateway


gateway = emptied("started")


@pytest.mark.usefixtures("ingest")
@pytest.mark.parametrize("seed", range(100, 109))
def test_a_seed(gateway: Gateway, seed: int) -> None:
    outcome = soak.run(gateway, seed)
    assert not outcome.violations, outcome
