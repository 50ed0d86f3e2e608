"""What is measured: this gateway, and others that run on the same machine, with the same application."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import venv
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.e2e.processes import ROOT, children_of, free_port

APPLICATION = Path(__file__).parent / "application"
CACHE = ROOT / ".cache" / "bench"
MINISTACK = "ministack==1.5.33"
# The last ones that need no account with their maker.
SERVERLESS = ("serverless@3.40.0", "serverless-offline@13.9.0", "@aws-sdk/client-apigatewaymanagementapi@3")
START = 120


@dataclass(frozen=True, eq=False)
class Subject:
    """A running gateway: where its clients connect, and what its functions post to."""

    name: str
    process: subprocess.Popen[bytes]
    url: str
    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def memory(self) -> float:
        """Return the megabytes of the process and of all that it has started; what they share counts once."""
        return sum(_proportional(pid) for pid in [self.process.pid, *children_of(self.process.pid)]) / 1e6


@contextlib.contextmanager
def ours(name: str = "Fleeting", runtime: str = "python3.12") -> Iterator[Subject]:
    """This gateway, as the command runs it, without a word for each frame."""
    port = free_port()
    template = str(APPLICATION / "template.yaml")
    command = [sys.executable, "-m", "gateway", template, "--port", str(port), "--quiet"]
    command += ["--parameter-overrides", f"Runtime={runtime}"]
    with _running(name, command, ROOT) as process:
        _until_open(process, port)
        yield Subject(name, process, f"ws://127.0.0.1:{port}/dev", f"http://127.0.0.1:{port}/dev")


def ours_with_node() -> contextlib.AbstractContextManager[Subject]:
    """This gateway with the JavaScript function that serverless-offline runs."""
    return ours("Fleeting, Node", "nodejs20.x")


@contextlib.contextmanager
def ministack() -> Iterator[Subject]:
    """MiniStack (Python), whose functions are Python processes."""
    folder = CACHE / "ministack"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        print(f"Installing {MINISTACK} …", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", MINISTACK, "boto3"], check=True)
        (folder / "installed").touch()
    port = free_port()
    environment = {"GATEWAY_PORT": str(port), "LOG_LEVEL": "WARNING"}
    with _running("MiniStack", [str(folder / "bin" / "ministack")], folder, environment) as process:
        _until_open(process, port)
        yield _deployed(process, port)


def _deployed(process: subprocess.Popen[bytes], port: int) -> Subject:
    session: Any = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    endpoint = f"http://127.0.0.1:{port}"
    functions = session.client("lambda", endpoint_url=endpoint)
    api = session.client("apigatewayv2", endpoint_url=endpoint)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(APPLICATION / "handler.py", "handler.py")
    function = functions.create_function(
        FunctionName="bench",
        Runtime="python3.12",
        Role="arn:aws:iam::000000000000:role/bench",
        Handler="handler.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=20,
        MemorySize=256,
    )["FunctionArn"]
    made = api.create_api(Name="bench", ProtocolType="WEBSOCKET", RouteSelectionExpression="\\$default")["ApiId"]
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    integration = api.create_integration(ApiId=made, IntegrationType="AWS_PROXY", IntegrationUri=uri)["IntegrationId"]
    route = api.create_route(
        ApiId=made,
        RouteKey="$default",
        Target=f"integrations/{integration}",
        RouteResponseSelectionExpression="$default",
    )["RouteId"]
    api.create_route(ApiId=made, RouteKey="$connect", Target=f"integrations/{integration}")
    api.create_route_response(ApiId=made, RouteId=route, RouteResponseKey="$default")
    api.create_stage(ApiId=made, StageName="dev", AutoDeploy=True)
    host = f"{made}.execute-api.localhost:{port}"
    management = f"{endpoint}/_aws/execute-api/{made}/dev"
    return Subject("MiniStack", process, f"ws://127.0.0.1:{port}/dev", management, {"Host": host})


@contextlib.contextmanager
def serverless_offline() -> Iterator[Subject]:
    """serverless-offline (Node), which runs JavaScript functions inside its own process."""
    folder = CACHE / "serverless-offline"
    if not (folder / "installed").exists():
        print("Installing serverless-offline …", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", *SERVERLESS], cwd=folder, check=True)
        (folder / "installed").touch()
    for name in ("serverless.yml", "handler.mjs"):
        shutil.copy(APPLICATION / name, folder / name)
    ports = [free_port() for _ in range(3)]
    options = zip(("--httpPort", "--websocketPort", "--lambdaPort"), map(str, ports), strict=True)
    command = ["node_modules/.bin/serverless", "offline", "start", "--useInProcess"]
    command += [part for option in options for part in option]
    environment = {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off", "SLS_TRACKING_DISABLED": "1"}
    with _running("serverless-offline", command, folder, environment) as process:
        _until_open(process, ports[1])
        yield Subject("serverless-offline", process, f"ws://127.0.0.1:{ports[1]}", f"http://127.0.0.1:{ports[1]}")


SUBJECTS: Mapping[str, Callable[[], contextlib.AbstractContextManager[Subject]]] = {
    "fleeting": ours,
    "fleeting-node": ours_with_node,
    "ministack": ministack,
    "serverless-offline": serverless_offline,
}


@contextlib.contextmanager
def _running(
    name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    CACHE.mkdir(parents=True, exist_ok=True)
    log = CACHE / f"{name.replace(' ', '-')}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        except Exception as error:
            raise RuntimeError(f"{name}: {error}; its own words are in {log.relative_to(ROOT)}") from error
        finally:
            children = children_of(process.pid)
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _until_open(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("it ended")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/dev", timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"nothing answered within {START} s")


def _proportional(pid: int) -> int:
    """Return a process's proportional set size in bytes; 0 for one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def run(subject: Subject, task: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Let the clients do one task, and return what they measured. Raises subprocess.TimeoutExpired past `seconds`."""
    done = subprocess.run(_command(subject, task), capture_output=True, text=True, timeout=seconds, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the clients failed")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@contextlib.contextmanager
def holding(subject: Subject, clients: int, seconds: float) -> Iterator[float]:
    """Hold so many idle connections; gives the seconds that it took to open them."""
    command = _command(subject, {"do": "hold", "clients": clients})
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        killer = threading.Timer(seconds, process.kill)
        killer.start()
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{clients} connections could not be opened within {seconds:g} s")
            yield float(json.loads(line)["seconds"])
        finally:
            killer.cancel()
            process.kill()


def _command(subject: Subject, task: Mapping[str, Any]) -> list[str]:
    whole = {"url": subject.url, "headers": dict(subject.headers), "endpoint": subject.endpoint, **task}
    return ["node", str(Path(__file__).parent / "load.mjs"), json.dumps(whole)]
