"""The build, an AWS for the containers, and the servers that SAM CLI makes of the template."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.processes import ROOT, free_port
from tests.sam.machines import SAM, Backend, Server

BUILD = ROOT / ".aws-sam" / "build"
NO_ENGINE = "no container engine answers"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line that the tests of this folder were skipped, and why."""
    skipped = [report for report in terminalreporter.getreports("skipped") if NO_ENGINE in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests of sam local skipped: {NO_ENGINE} (docker info)")


def newest(*paths: Path) -> float:
    """Return when the last of the files was changed, folders with all that is in them."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return max(file.stat().st_mtime for file in files if file.is_file() and "__pycache__" not in file.parts)


@pytest.fixture(scope="session")
def build() -> Path:
    """Return the folder of what `sam build` has made; of now, or of a moment ago where there is no network now."""
    template = BUILD / "template.yaml"
    if not template.exists() or newest(ROOT / "src", ROOT / "template.yaml") > template.stat().st_mtime:
        if not SAM.exists():
            pytest.fail("no SAM CLI: run the tests with `make test` or `make sam`, which install it")
        subprocess.run(["make", "sam-build"], cwd=ROOT, check=True, timeout=300)
    return BUILD


@pytest.fixture(scope="session")
def engine(build: Path) -> None:
    """Skip, or fail where SAM_LOCAL_REQUIRED is 1, if no container engine answers."""
    try:
        subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        if os.environ.get("SAM_LOCAL_REQUIRED") == "1":
            pytest.fail("no container engine answers, and SAM_LOCAL_REQUIRED is 1")
        pytest.skip(NO_ENGINE)


@pytest.fixture(scope="session")
def backend(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """An AWS and @connections for containers, and a gateway that runs the functions itself."""
    env_vars = tmp_path_factory.mktemp("backend") / "env.json"
    # A container runs one request at a time: a poll that waits holds up every other client.
    with Backend(env_vars, "--parameter-overrides", "PollHold=0.2") as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="session")
def start_api(backend: Backend) -> Iterator[Server]:
    """`sam local start-api`: the page and long polling at `url`; the page's WebSocket is the gateway's."""
    with Server("start-api", backend.env_vars, free_port()) as running:
        yield running


@dataclass
class Remote:
    """A gateway whose functions `sam local start-lambda` runs."""

    gateway: Backend
    functions: Server


@pytest.fixture(scope="session")
def remote(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    port = free_port()
    env_vars = tmp_path_factory.mktemp("remote") / "env.json"
    # The gateway waits for the endpoint, as the endpoint needs its file.
    with (
        Backend(env_vars, "--lambda-endpoint", f"http://127.0.0.1:{port}") as gateway,
        Server("start-lambda", env_vars, port) as functions,
    ):
        gateway.wait_until_ready()
        yield Remote(gateway, functions)
