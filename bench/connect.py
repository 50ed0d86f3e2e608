"""How long a client waits to be connected: for the upgrade, the open packet, and the answer to CONNECT.

On the local gateway, with the functions warm and, side by side, with each invocation in a process of its own (--fresh),
which is a cold start every time; by both ways of ingest. What waits longest is python-socketio's client: one second for
the answer to CONNECT.
"""

import statistics
import time

from websockets.sync.client import connect

from tests.e2e.processes import Gateway

ROUNDS = 15
OPTIONS = {
    ("ordered", "warm"): (),
    ("ordered", "cold"): ("--fresh",),
    ("direct", "warm"): ("Ingest=direct",),
    ("direct", "cold"): ("Ingest=direct", "--fresh"),
}


def round_trip(url: str) -> tuple[float, float, float]:
    """Connect once; returns the three waits in milliseconds."""
    start = time.perf_counter()
    with connect(url, proxy=None) as socket:
        upgraded = time.perf_counter()
        assert str(socket.recv(30)).startswith("0{")
        opened = time.perf_counter()
        socket.send("40")
        assert str(socket.recv(30)).startswith("40{")
        joined = time.perf_counter()
    return (upgraded - start) * 1000, (opened - upgraded) * 1000, (joined - opened) * 1000


def main() -> None:
    print(f"Milliseconds until a client is connected, medians of {ROUNDS}, on the local gateway")
    print(f"{'':16}{'upgrade':>9}{'open packet':>13}{'CONNECT':>9}")
    for (ingest, start), options in OPTIONS.items():
        with Gateway(*options) as gateway:
            url = f"{gateway.url.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"
            round_trip(url)
            rounds = [round_trip(url) for _ in range(ROUNDS)]
        upgrade, opening, joining = map(statistics.median, zip(*rounds, strict=True))
        print(f"{ingest + ', ' + start:16}{upgrade:9.0f}{opening:13.0f}{joining:9.0f}")


if __name__ == "__main__":
    main()
