"""The ways in which frames come from the WebSocket API to the functions, as options of the gateway."""

import pytest

OPTIONS: dict[str, tuple[str, ...]] = {
    "ordered": (),  # the default: by a queue, one after another
    "direct": ("Ingest=direct",),  # each by itself
    # The functions begin late, each after another time, as they do from cold starts; the same at each run.
    "late": ("--start-delay", "0.3", "--seed", "1"),
}

WAYS = ["ordered", *(pytest.param(way, marks=pytest.mark.slow) for way in ("direct", "late"))]
"""The default, and what `make slow` runs as well."""
