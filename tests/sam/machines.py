"""What the tests start: SAM CLI, and the gateway that serves an AWS to its containers."""

import json
import os
import platform
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.e2e.processes import ROOT, Process, free_port

SAM = ROOT / ".venv-sam" / "bin" / "sam"
EVENTS = ROOT / "events"
# The same processor as here, so that nothing is emulated.
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
# A container starts in two or three seconds, the first one after its image has been built.
PATIENCE = 60


def environment() -> dict[str, str]:
    """Return an environment without anybody's AWS: SAM CLI would look for what its keys are good for."""
    kept = {name: value for name, value in os.environ.items() if name not in KEYS}
    return kept | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}


def sam(*arguments: str, seconds: float = 180) -> subprocess.CompletedProcess[str]:
    """Run SAM CLI to its end."""
    return subprocess.run(
        [str(SAM), *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def local(command: str, env_vars: Path, *arguments: str) -> list[str]:
    """Return the arguments of a `sam local` command; the option that takes several words comes last."""
    overrides = ["--parameter-overrides", f"Architecture={ARCHITECTURE}"]
    return ["local", command, *arguments, "--env-vars", str(env_vars), *overrides]


class Backend(Process):
    """The gateway with an environment for containers, at `env_vars`. It may not be ready yet: `wait_until_ready`."""

    def __init__(self, env_vars: Path, *options: str) -> None:
        self.env_vars = env_vars
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "gateway", "template.yaml", "--port", str(self.port)]
        super().__init__([*command, "--sam-env", str(env_vars), *options])
        try:
            self.wait_for(lambda line: line.startswith("Environment for sam local"))
        except BaseException:
            self.stop()
            raise

    def wait_until_ready(self) -> None:
        self.wait_for(lambda line: line.startswith("Ready:"))


class Server(Process):
    """`sam local start-api` or `start-lambda`; ended by SIGTERM."""

    def __init__(self, command: str, env_vars: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        without = [word for name in KEYS for word in ("-u", name)]
        settings = {name: value for name, value in environment().items() if os.environ.get(name) != value}
        super().__init__(["env", *without, str(SAM), *local(command, env_vars, "--port", str(port))], settings)
        try:
            self.wait_for(lambda line: "Running on" in line)
        except BaseException:
            self.stop()
            raise

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> int:
        return super().stop(kind)


def request(url: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send a request; returns status, headers with names in lower case, and body."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"content-type": "application/json"} | headers, method=method)
    try:
        answer = urllib.request.urlopen(asked, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
