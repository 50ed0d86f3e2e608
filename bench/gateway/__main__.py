"""Measures gateways beside each other: `python -m bench.gateway [--only NAME …] [--svg FILE]`.

All run at the same time, the same application on each, and each measure is taken of one after the other, several times
over: a busy machine is then as busy for all of them. What is shown is the median of the rounds. A gateway that fails in
one of them, or takes more than `PATIENCE`, has none. This gateway lets in 500 new connections a second and no more, as
the service does. It runs the application in Python, as MiniStack does, and in JavaScript, as serverless-offline does:
most of a broadcast is the SDK's own time, and below the table stands how much of it boto3 takes by itself.
"""

import argparse
import contextlib
import io
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.gateway.bare import posting
from bench.gateway.subjects import SUBJECTS, Subject, holding, run

PATIENCE = 30
"""Seconds for one measure."""
WIDTH = 120
"""Columns of the table."""
Measure = Callable[[Subject], list[float]]


def echo(subject: Subject) -> list[float]:
    """One client, one message at a time: median and 99th percentile."""
    result = run(subject, {"do": "echo", "clients": 1, "seconds": 3, "atMost": 1000}, PATIENCE)
    return [result["median"], result["p99"]]


def throughput(clients: int) -> Measure:
    """Return the measure of so many clients, each with one message on its way."""
    return lambda subject: [run(subject, {"do": "echo", "clients": clients, "seconds": 3}, PATIENCE)["rate"]]


def broadcast(members: int) -> Measure:
    """Return the measure of one message that a function posts to so many connections, until the last one has it."""
    return lambda subject: [run(subject, {"do": "broadcast", "clients": members, "rounds": 3}, PATIENCE)["median"]]


def memory(clients: int) -> Measure:
    """Return the measure of megabytes with so many idle connections, and of the seconds that it took to open them."""

    def measure(subject: Subject) -> list[float]:
        with holding(subject, clients, PATIENCE) as seconds:
            return [subject.memory(), seconds]

    return measure


# What is measured, the names of its figures with their unit, and whether more is better.
MEMBERS = (50, 200, 1000)
MEASURES: list[tuple[Measure, list[tuple[str, str, bool]]]] = [
    (lambda subject: [subject.memory()], [("memory, no connection", "MB", False)]),
    (echo, [("echo, median", "ms", False), ("echo, 99th percentile", "ms", False)]),
    *((throughput(n), [(f"throughput, {n} client{'s' * (n > 1)}", "messages/s", True)]) for n in (1, 10, 50, 200)),
    *((broadcast(n), [(f"broadcast to {n}", "ms", False)]) for n in MEMBERS),
    (memory(1000), [("memory, 1,000 idle connections", "MB", False), ("opening 1,000 connections", "s", False)]),
    (memory(5000), [("memory, 5,000 idle connections", "MB", False)]),
]


def measured(subjects: Sequence[Subject], rounds: int) -> dict[str, list[float | None]]:
    """Return each figure's medians, in the order of the subjects."""
    figures: dict[str, list[float | None]] = {}
    for measure, names in MEASURES:
        taken: list[list[list[float]]] = [[] for _ in subjects]
        failed: set[Subject] = set()
        for _ in range(rounds):
            for subject, results in zip(subjects, taken, strict=True):
                if subject in failed:
                    continue
                print(f"{names[0][0]}: {subject.name} …", file=sys.stderr)
                try:
                    results.append(measure(subject))
                except (subprocess.TimeoutExpired, RuntimeError) as error:
                    failed.add(subject)
                    results.clear()
                    print(f"  {type(error).__name__}: {str(error)[-200:]}", file=sys.stderr)
        for index, (name, unit, _) in enumerate(names):
            figures[f"{name} ({unit})"] = [
                statistics.median(result[index] for result in results) if results else None for results in taken
            ]
    return figures


def table(subjects: Sequence[Subject], figures: dict[str, list[float | None]], floor: Sequence[float]) -> Table:
    """Return the figures as a table, with the best of each row in bold; `floor` is what boto3 takes for `MEMBERS`."""
    better = {f"{name} ({unit})": more for _, names in MEASURES for name, unit, more in names}
    parts = [f"{_number(value)} ms to {count:,}" for count, value in zip(MEMBERS, floor, strict=True)]
    shown = Table(
        title="The same application on each, side by side on one machine",
        caption=f"boto3 by itself, posting to a server that answers at once: {', '.join(parts)}",
    )
    shown.add_column("", no_wrap=True)
    for subject in subjects:
        shown.add_column(subject.name, justify="right", no_wrap=True)
    for name, values in figures.items():
        known = [value for value in values if value is not None]
        best = (max if better[name] else min)(known, default=None)
        cells = ["–" if value is None else _number(value) for value in values]
        bold = [f"[bold]{cell}[/]" if value == best else cell for cell, value in zip(cells, values, strict=True)]
        shown.add_row(name, *bold)
    return shown


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description="Measures gateways beside each other.")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), help="what to measure")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measure (default: 3)")
    parser.add_argument("--svg", type=Path, help="also write the table to this file, as a picture")
    arguments = parser.parse_args()
    # 5,000 connections need as many files, here and in what is measured.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as ends:
        subjects = [ends.enter_context(SUBJECTS[name]()) for name in arguments.only]
        figures = measured(subjects, arguments.rounds)
        floor = [posting(count, arguments.rounds, PATIENCE) for count in MEMBERS]
    shown = table(subjects, figures, floor)
    Console(width=WIDTH).print(shown)
    if arguments.svg:
        recorder = Console(record=True, width=WIDTH, file=io.StringIO())
        recorder.print(shown)
        recorder.save_svg(str(arguments.svg), title="python -m bench.gateway")


if __name__ == "__main__":
    main()
