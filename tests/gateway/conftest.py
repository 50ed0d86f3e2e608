"""One started gateway for all tests that need real sockets and processes; the others use the cores."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from websockets.sync.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parents[2]
STACK = Path(__file__).parent / "stack" / "template.yaml"
ANSWERED = """
  Default:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub "integrations/${Proxy}",
      RouteResponseSelectionExpression: $default}
  Response:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Api, RouteId: !Ref Default, RouteResponseKey: $default}
  Proxy:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Fn.Arn}
"""
"""Resources of a template: messages of the API `Api` go to the function `Fn`, whose answers reach the client."""

SESSION: Any = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name="us-east-1")


@pytest.fixture
def anyio_backend() -> str:
    """The gateway is asyncio's alone."""
    return "asyncio"


@dataclass
class Started:
    """A gateway in a process of its own, and the AWS that its functions use."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str]
    log: Path
    aws: str = ""
    _clients: dict[str, Any] = field(default_factory=dict)  # to make one takes longer than most of what it is asked

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/test"

    def connect(self, query: str = "", **options: Any) -> ClientConnection:
        client: ClientConnection = connect(self.websocket_url + query, proxy=None, **options)
        return client

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = SESSION.client(service, endpoint_url=self.aws)
        return self._clients[service]

    def management(self) -> Any:
        return SESSION.client("apigatewaymanagementapi", endpoint_url=f"{self.url}/test")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events that the stack's functions recorded under a name, oldest first."""
        answer = self.client("dynamodb").query(
            TableName="local-Table",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": name}},
            ConsistentRead=True,
        )
        return [json.loads(item["event"]["S"]) for item in answer["Items"]]

    def wait_for(self, name: str, count: int, timeout: float = 10, **equal: Any) -> list[dict[str, Any]]:
        """Return the recorded events whose request context has these fields, once there are `count` of them."""
        deadline = time.monotonic() + timeout
        while True:
            found = [
                event
                for event in self.events(name)
                if all(event.get("requestContext", {}).get(key) == value for key, value in equal.items())
            ]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"{len(found)} of {count} {name} events"
            time.sleep(0.02)


@contextlib.contextmanager
def gateway(log: Path, *arguments: str) -> Iterator[Started]:
    """Run `python -m gateway` on a free port until the block is left."""
    command = [sys.executable, "-m", "gateway", *arguments, "--port", "0"]
    with (
        log.open("w") as err,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=err, text=True) as process,
    ):
        try:
            lines: list[str] = []
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith("Ready: "):
                    break
            else:
                pytest.fail(log.read_text())
            yield Started(process, lines[-1].removeprefix("Ready: ").rstrip("/"), lines, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(10)


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """The test stack, running."""
    log = tmp_path_factory.mktemp("gateway") / "log"
    with gateway(log, str(STACK), "--every", "0.5", "--parameter-overrides", "Size=7", "Colour=green") as running:
        with running.connect() as socket:
            socket.send('{"action":"environment"}')
            running.aws = json.loads(socket.recv(10))["AWS_ENDPOINT_URL"]
        yield running


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be reaped does not."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"
