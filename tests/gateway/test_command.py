"""The command: its options, its exits, and that nothing of it is left."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from gateway import __version__
from gateway.__main__ import split_overrides
from gateway.console import Console
from gateway.options import Options
from gateway.run import running
from tests.gateway.conftest import ANSWERED, ROOT, STACK, Started, alive, gateway

SMALL = (
    """
Transform: AWS::Serverless-2016-10-31
Parameters:
  App: {Type: String, Default: "nothing:app"}
  Size: {Type: Number, Default: 5, MinValue: 1, MaxValue: 9}
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: live}}
"""
    + ANSWERED
    + """\
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      Handler: main.handler
      Runtime: python3.13
      CodeUri: code
      Environment: {Variables: {APP: !Ref App, SIZE: !Ref Size}}
      Events:
        Get: {Type: HttpApi}
        Tick: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
"""
)
CODE = """
import importlib, os
module, _, name = os.environ["APP"].partition(":")
ticks = 0

def handler(event, context):
    global ticks
    if event.get("source") == "aws.events":
        ticks += 1
        print("tick")
        return
    try:
        app = getattr(importlib.import_module(module), name)
    except ImportError as error:
        app = str(error)
    return {"statusCode": 200, "body": f"{app} {os.environ['SIZE']} {os.getpid()} {os.getppid()}"}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text(CODE)
    path = tmp_path / "template.yaml"
    path.write_text(SMALL)
    return path


def failing(*arguments: str) -> tuple[int, str]:
    """Run the command, which fails, and return its exit code and what it says."""
    command = [sys.executable, "-m", "gateway", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (["--parameter-overrides", "A=1"], ["--parameter-overrides", "A=1"]),
        (
            ["--parameter-overrides", "A=1", "B=2", "--every", "1"],
            ["--parameter-overrides", "A=1", "--parameter-overrides", "B=2", "--every", "1"],
        ),
        (
            ["--parameter-overrides", "A=1", "t.yaml", "--parameter-overrides", "B=x y=z"],
            ["--parameter-overrides", "A=1", "t.yaml", "--parameter-overrides", "B=x y=z"],
        ),
        (["--parameter-overrides=A=1", "t.yaml"], ["--parameter-overrides=A=1", "t.yaml"]),
        (["--parameter-overrides", "nonsense"], ["--parameter-overrides", "nonsense"]),
        (["--parameter-overrides", "--every", "1"], ["--parameter-overrides", "--every", "1"]),
        (["--parameter-overrides"], ["--parameter-overrides"]),
    ],
)
def test_several_overrides_after_one_option(given: list[str], expected: list[str]) -> None:
    assert split_overrides(given) == expected


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.yaml"], 1, "template not found: nowhere.yaml"),
        ([str(STACK), "--parameter-overrides", "Size=10"], 2, "parameter Size=10: must be at most 9"),
        ([str(STACK), "--parameter-overrides", "Colour=blue", "--every", "1"], 2, "must be one of red, green"),
        ([str(STACK), "--parameter-overrides", "Nothing=1"], 2, "the template has no parameter Nothing"),
        ([str(STACK), "--parameter-overrides", "Size"], 2, "takes Key=Value, not Size"),
        ([str(STACK), "--app", "nowhere.py:app"], 2, "no file nowhere.py"),
        ([str(STACK), "--app", __file__], 2, "--app takes FILE.py:NAME"),
        ([str(STACK), "--app", f"{__file__}:app"], 2, "the template has no parameter App"),
        ([str(STACK), "--quiet", "--verbose"], 2, "--quiet, --verbose and --json exclude each other"),
        ([str(STACK), "--host", "192.0.2.1"], 1, "cannot listen on 192.0.2.1:3000"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: list[str], code: int, words: str) -> None:
    status, said = failing(*arguments)
    assert status == code
    assert words in said
    assert said.count("\n") == 1


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, said = failing(str(STACK), "--port", str(taken.getsockname()[1]))
    assert status == 1
    assert "Address already in use" in said or "address already in use" in said
    assert said.count("\n") == 1


def test_a_template_that_cannot_be_run_ends_the_aws_again(small: Path) -> None:
    small.write_text(SMALL.replace("CodeUri: code", "CodeUri: elsewhere"))
    status, said = failing(str(small), "--port", "0")
    assert status == 1
    assert said.startswith("Error: Fn: no folder")
    assert said.count("\n") == 1


def test_another_application_schedules_and_overrides(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "apps"
    folder.mkdir()
    (folder / "mine.py").write_text("thing = 'my application'")
    log = tmp_path / "log"
    arguments = ("--app", f"{folder}/mine.py:thing", "--parameter-overrides", "Size=7", "--every", "0.2")
    with gateway(log, str(small), *arguments) as running:
        assert httpx.get(running.url, trust_env=False).text.startswith("my application 7 ")
        # The two APIs of this stack are one process's.
        with connect(running.url.replace("http", "ws", 1) + "/live", proxy=None) as client:
            client.send("hello")
            assert str(client.recv(10)).startswith("my application 7 ")
        deadline = time.monotonic() + 10
        while "tick" not in log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.anyio
async def test_it_runs_inside_a_process_too(small: Path) -> None:
    console = Console(io.StringIO(), io.StringIO())
    before, threads = set(descendants(os.getpid())), set(threading.enumerate())
    async with running(Options(small, port=0), console) as made:
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(made.url)).text.split()[-1] == str(os.getpid())
        assert [name for _, name in made.addresses()] == ["Api", "ServerlessHttpApi"]
        pids = set(descendants(os.getpid())) - before
        assert len(pids) == 2
    assert not any(map(alive, pids))
    # A default executor's threads may live as long as the event loop; nothing else does.
    assert len(set(threading.enumerate()) - threads) < 5


def test_an_application_may_not_hide_behind_the_functions_own_module(small: Path, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("app = 1")
    status, said = failing(str(small), "--app", f"{tmp_path}/main.py:app", "--port", "0")
    assert status == 2
    assert "rename main.py" in said


def test_fresh_gives_each_invocation_a_process(small: Path, tmp_path: Path) -> None:
    with gateway(tmp_path / "log", str(small), "--fresh") as running:
        answers = [httpx.get(running.url, trust_env=False, timeout=20).text.split() for _ in range(3)]
    assert len({answer[-2] for answer in answers}) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left(small: Path, tmp_path: Path, number: signal.Signals) -> None:
    with gateway(tmp_path / "log", str(small)) as running:
        answer = httpx.get(running.url, trust_env=False).text.split()
        assert answer[-1] == str(running.process.pid)
        children = descendants(running.process.pid)
        assert int(answer[-2]) in children
        assert len(children) >= 2
        with connect(running.url.replace("http", "ws", 1) + "/live", proxy=None) as client:
            began = time.monotonic()
            running.process.send_signal(number)
            code = running.process.wait(10)
            assert time.monotonic() - began < 3
            if number != signal.SIGKILL:
                assert code == 0
                assert closing_code(client) == 1001
    deadline = time.monotonic() + 5
    while left := [pid for pid in children if alive(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)
    assert "Traceback" not in (tmp_path / "log").read_text()


def closing_code(client: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(5)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def descendants(pid: int) -> list[int]:
    children: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        children += map(int, (thread / "children").read_text().split())
    return children


def test_a_signal_during_the_start_ends_it(small: Path) -> None:
    command = [sys.executable, "-m", "gateway", str(small), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("Starting DynamoDB")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert "Traceback" not in process.stderr.read()


def test_for_machines_all_is_json_and_the_bill_is_told_on_request(small: Path) -> None:
    command = [sys.executable, "-m", "gateway", str(small), "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        values = map(json.loads, process.stdout)
        ready = next(value for value in values if value["type"] == "ready")
        address = ready["addresses"]["Api"][0]
        with connect(address, proxy=None) as client:
            client.send("hello")
            client.recv(10)
            received = next(value for value in values if value["type"] == "received")
            assert (received["text"], received["route"]) == ("hello", "$default")
            sent = next(value for value in values if value["type"] == "sent")
            assert sent["connection"] == received["connection"]
            process.send_signal(signal.SIGUSR1)
            assert next(value for value in values if value["type"] == "bill")["values"]["messages"] == 2
        process.send_signal(signal.SIGINT)
        assert "bill" in [value["type"] for value in values]
        assert process.wait(10) == 0
        assert not process.stderr.read()


def test_in_quiet_only_the_address_is_told(small: Path, tmp_path: Path) -> None:
    with gateway(tmp_path / "log", str(small), "--quiet") as running:
        assert running.lines == [f"Ready: {running.url}/"]
        httpx.get(running.url, trust_env=False)
    assert "GET" not in (tmp_path / "log").read_text()


def test_another_aws_may_be_used(small: Path, tmp_path: Path, started: Started) -> None:
    small.write_text(
        SMALL + "  Other: {Type: AWS::SQS::Queue, Properties: {QueueName: other}}\n"
        "  Table: {Type: AWS::DynamoDB::Table, Properties: {BillingMode: PAY_PER_REQUEST, TableName: other,"
        " KeySchema: [{AttributeName: pk, KeyType: HASH}],"
        " AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]}}\n  Topic: {Type: AWS::SNS::Topic}\n"
    )
    # Twice: what is there already is taken as it is.
    for _ in range(2):
        with gateway(tmp_path / "log", str(small), "--endpoint-url", started.aws) as running:
            assert "Starting DynamoDB" not in "\n".join(running.lines)
            assert httpx.get(running.url, trust_env=False).status_code == 200
            assert "topic, rule or notification; not made in another AWS" in (tmp_path / "log").read_text()
    assert "other" in started.client("dynamodb").list_tables()["TableNames"]
    started.client("dynamodb").delete_table(TableName="other")


def test_the_version() -> None:
    command = [sys.executable, "-c", "from gateway.__main__ import run; run()", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == f"{__version__}\n"
