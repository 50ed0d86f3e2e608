"""The test kit, as tests use it."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.aws.faults import AwsFault
from gateway.chaos.rules import ConnectionsError, Crash, Throttle, load
from gateway.errors import GatewayError, TemplateError, UsageError
from gateway.journal import Connected, Received
from gateway.testing import Gateway, Never, Refused
from tests.gateway import kit
from tests.gateway.conftest import ROOT, alive


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit.write(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="module")
def whole(template: Path) -> Iterator[Gateway]:
    with Gateway(template, parameters={"Colour": "green"}) as gateway:
        yield gateway


@pytest.fixture
def gateway(whole: Gateway) -> Gateway:
    whole.reset()
    return whole


def test_a_client(gateway: Gateway) -> None:
    with gateway.connect("/prod", {"X-Basket": "apples"}) as client:
        client.send({"text": "é"})
        answer = client.receive_json()
        assert (answer["text"], answer["colour"]) == ("é", "green")
        client.send('{"text": "as it is"}')
        assert '"as it is"' in client.receive()
        with pytest.raises(Never, match=r"no message in 0\.01 s"):
            client.receive(0.01)
        (connected,) = [entry for entry in gateway.journal if isinstance(entry, Connected)]
        gateway.boto3("apigatewaymanagementapi").delete_connection(ConnectionId=connected.connection)
        assert client.closed() == 1000
    with pytest.raises(Refused) as refused:
        gateway.connect("/prod?token=bad")
    assert refused.value.status == 401
    assert httpx.get(gateway.url, trust_env=False).text == "green"


def test_what_a_function_did(gateway: Gateway) -> None:
    with gateway.connect("/prod") as client:
        client.send({"key": "k", "print": "a line", "posts": 2})
        client.receive()
        done = gateway.invocations.wait_for(lambda each: "body" in each.event and each.answer)
        assert (done.function, done.answer, done.error) == ("Fn", {"statusCode": 200}, "")
        assert json.loads(done.event["body"])["key"] == "k"
        assert done.logs == ["a line"]
        assert [(post.method, post.status) for post in done.posts] == [("POST", 200)] * 2
        gateway.invocations.wait_for(lambda each: [call.operation for call in each.calls] == ["PutItem"])
        assert 0 < done.duration < 10
        (received,) = [entry for entry in gateway.journal if isinstance(entry, Received)]
        assert done.cause == received.request

        client.send({"fail": "on purpose"})
        failed = gateway.invocations.wait_for(lambda each: each.error)
        assert (failed.error, failed.message, failed.answer) == ("RuntimeError", "on purpose", None)
        assert len(gateway.invocations) == 3
        assert gateway.invocations[-1] is failed
    with pytest.raises(Never, match=r"0 of 1 came in 0\.01 s, among"):
        gateway.invocations.wait_for(lambda each: each.function == "Other", 0.01)


def test_the_guides_examples(gateway: Gateway, tmp_path: Path) -> None:
    """What docs/gateway.md shows of faults and tests is what works."""
    blocks = re.findall("```(\\w+)\n(.*?)```", (ROOT / "docs" / "gateway.md").read_text(), re.DOTALL)
    (faults,) = [code for language, code in blocks if language == "toml"]
    (tmp_path / "faults.toml").write_text(faults)
    assert [type(rule) for rule in load(tmp_path / "faults.toml")] == [Crash, ConnectionsError, AwsFault]
    setup, code = [code for language, code in blocks if language == "python"]
    compile(setup, "conftest.py", "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    names["test_throttled"](gateway)


def test_tables_and_queues(gateway: Gateway) -> None:
    table = gateway.table("Table")
    assert table.name == "local-Table"
    table.put({"pk": "a", "list": [1, {"deep": None}]})
    assert table.items == [{"pk": "a", "list": [1, {"deep": None}]}]
    assert gateway.table("local-Table").items == table.items
    assert gateway.boto3("dynamodb") is gateway.boto3("dynamodb")
    with pytest.raises(GatewayError, match="there is no table Chair"):
        gateway.table("Chair")


def test_minutes_pass_at_once(gateway: Gateway) -> None:
    began = time.monotonic()
    with gateway.connect("/prod") as client:
        before = gateway.clock.now()
        gateway.clock.turn(599)
        client.send({"key": "still there"})
        client.receive()
        gateway.clock.turn(600)
        assert gateway.clock.now() - before >= 1199
        assert client.closed() == 1001
    gateway.invocations.wait_for(lambda each: each.event["requestContext"]["eventType"] == "DISCONNECT")
    assert {"pk": "gone", "code": 1001} in gateway.table("Table").items
    assert time.monotonic() - began < 10


def test_what_has_failed_comes_back_when_the_time_is_turned(gateway: Gateway) -> None:
    with gateway.faults(Crash(when="after", times=1, skip=1)), gateway.connect("/prod") as client:
        client.send({"action": "ordered"})
        gateway.invocations.wait_for(lambda each: each.error == "Runtime.ExitError")
        client.receive()
        with pytest.raises(Never):
            client.receive(0.2)
        gateway.clock.turn(20)
        client.receive()


def test_a_reset_empties_all_and_keeps_the_processes(gateway: Gateway) -> None:
    pids = []
    for _ in range(2):
        client = gateway.connect("/prod")
        client.send({"key": "k"})
        pids.append(client.receive_json()["pid"])
        gateway.faults.add(Throttle())
        client.send({"key": "refused"})
        assert client.receive().startswith('{"message": "Internal server error"')
        gateway.reset()
        assert client.closed() == 1001
        assert gateway.table("Table").items == []
        assert list(gateway.invocations) == []
        assert not [entry for entry in gateway.journal if isinstance(entry, Connected | Received)]
        assert gateway.faults.injected == []
        client.close()
    assert pids[0] == pids[1]
    # The queue is there again, and is polled.
    with gateway.connect("/prod") as client:
        client.send({"action": "ordered", "text": "by the queue"})
        assert client.receive_json()["text"] == "by the queue"


def test_two_at_a_time(gateway: Gateway, template: Path) -> None:
    with Gateway(template, parameters=lambda url: {"Colour": url}) as other:
        assert httpx.get(other.url, trust_env=False).text == other.url
        assert httpx.get(gateway.url, trust_env=False).text == "green"
        other.table("Table").put({"pk": "other's"})
        assert gateway.table("Table").items == []


def test_the_next_gateway_starts_in_less_than_a_second(template: Path) -> None:
    with Gateway(template) as first:
        first.table("Table").put({"pk": "left behind"})
        assert first.running.aws is not None
        endpoint = first.running.aws.endpoint
    began = time.monotonic()
    with Gateway(template) as second:
        # A fourth of it in peace: the machine may be busy with other tests.
        assert time.monotonic() - began < 4
        assert second.running.aws is not None
        assert second.running.aws.endpoint == endpoint
        assert second.table("Table").items == []


def test_what_keeps_it_from_starting_is_raised(tmp_path: Path, template: Path) -> None:
    with pytest.raises(TemplateError, match="template not found"):
        Gateway(tmp_path / "nowhere.yaml").start()
    with pytest.raises(UsageError, match="no parameter Size"), Gateway(template, parameters={"Size": 1}):
        pass


def test_what_fails_inside_is_raised(template: Path) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("deep inside")

    with pytest.raises(ZeroDivisionError):
        Gateway(template).start().run(fail())
    made = Gateway(template)
    made.start()
    (api,) = made.running.websocket_apis
    api._message = None  # type: ignore[method-assign,assignment]
    with made.connect("/prod") as client:
        client.send("x")
    with pytest.raises(ExceptionGroup) as raised:
        made.stop()
    assert [type(error) for error in raised.value.exceptions] == [TypeError]


CONFTEST = """
from gateway.testing import emptied, gateway_fixture
started = gateway_fixture({template!r}, parameters={{"Colour": "blue"}})
gateway = emptied("started")
"""
TESTS = """
import pytest

@pytest.mark.parametrize("name", ["a", "b"])
def test(gateway, name):
    table = gateway.table("Table")
    table.put({"pk": name})
    assert table.items == [{"pk": name}]
"""


def test_fixtures_in_two_lines(template: Path, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.format(template=str(template)))
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "2 passed" in done.stdout, done.stdout


SCRIPT = """
import sys
from gateway.testing import Gateway
gateway = Gateway(sys.argv[1]).start()
client = gateway.connect("/prod")
client.send({"text": "x"})
print(client.receive_json()["pid"], gateway.running.aws._process.pid, flush=True)
if len(sys.argv) > 2:
    client.close()
    gateway.stop()
"""


@pytest.mark.parametrize("stop", [(), ("stop",)])
def test_nothing_is_left_of_a_process_that_used_it(template: Path, stop: tuple[str, ...]) -> None:
    """Stopped or just left behind: no child outlives it, and no warning is given."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(template), *stop]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 5
    while any(map(alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr


def test_there_is_one_thread_for_all(gateway: Gateway, template: Path) -> None:
    def count() -> int:
        return sum(thread.name == "gateway" for thread in threading.enumerate())

    with Gateway(template):
        assert count() == 1
