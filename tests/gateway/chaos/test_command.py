"""Faults of a gateway that runs: by the command, and by the kit."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from gateway.chaos.rules import AnyRule, ColdStart, Crash, Duplicate, Restart, Throttle
from gateway.errors import UsageError
from gateway.options import Options, check_faults
from gateway.testing import Gateway, emptied
from tests.gateway import kit
from tests.gateway.conftest import gateway as command

FILE = """
[[crash]]
when = "before"
skip = 1
times = 1

[[restart]]
at = 2
code = 1001
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit.write(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="module")
def started(template: Path) -> Iterator[Gateway]:
    with Gateway(template, seed=1) as gateway:
        yield gateway


gateway = emptied("started")


def test_a_file_of_the_command(template: Path, tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(FILE)
    log = tmp_path / "log"
    with (
        command(log, str(template), "--chaos", str(file), "--seed", "7") as running,
        connect(running.url.replace("http", "ws", 1) + "/prod", proxy=None) as client,
    ):
        assert 'on purpose (--seed 7): crash skip=1 times=1 when="before"' in log.read_text()
        for words in ("Internal server error", "pid"):
            client.send("{}")
            assert words in str(client.recv(10))
        # The second fault: all are cut.
        assert list(client) == []
        assert client.close_code == 1001


def test_frames_overtake_each_other_but_not_in_a_message_group(template: Path, tmp_path: Path) -> None:
    with (
        command(tmp_path / "log", str(template), "--start-delay", "0.4", "--seed", "1") as running,
        connect(running.url.replace("http", "ws", 1) + "/prod", proxy=None) as client,
    ):
        came = {}
        for action in ("direct", "ordered"):
            for number in range(8):
                client.send(json.dumps({"action": action, "number": number}))
            came[action] = [json.loads(client.recv(20))["number"] for _ in range(8)]
            assert sorted(came[action]) == list(range(8))
    assert came["direct"] != sorted(came["direct"])
    assert came["ordered"] == sorted(came["ordered"])


def test_a_cold_start_is_a_new_process(gateway: Gateway) -> None:
    with gateway.connect("/prod") as client:
        pids = []
        for rules in ((), (ColdStart(),), ()):
            with gateway.faults(*rules):
                client.send({})
                pids.append(client.receive_json()["pid"])
        assert pids[0] != pids[1]
        cold = [each for each in gateway.invocations if each.init is not None and each.event["requestContext"]]
        assert cold[-1].init is not None


def test_the_same_seed_strikes_the_same(template: Path) -> None:
    def struck() -> list[bool]:
        with (
            Gateway(template, faults=[Throttle(rate=0.5, skip=1)], seed=3) as gateway,
            gateway.connect("/prod") as client,
        ):
            found = []
            for _ in range(12):
                client.send({})
                found.append("error" in client.receive())
            return found

    first = struck()
    assert first == struck()
    assert 0 < sum(first) < 12


@pytest.mark.parametrize(
    ("rule", "posts"), [(Crash(when="during", calls=2, times=1), 2), (Crash(when="after", times=1), 3)]
)
def test_a_crash_of_a_batch_gives_it_again(gateway: Gateway, rule: AnyRule, posts: int) -> None:
    with gateway.connect("/prod") as client, gateway.faults(rule):
        client.send({"action": "ordered", "posts": 3})
        failed = gateway.invocations.wait_for(lambda each: each.error)
        assert (failed.error, failed.message) == ("Runtime.ExitError", "Runtime exited with error: signal: SIGKILL")
        assert len(failed.posts) == posts
        gateway.clock.turn(20)
        for _ in range(posts + 3):
            client.receive()
        again = gateway.invocations.wait_for(lambda each: "Records" in each.event and not each.error)
        assert again.event["Records"][0]["messageId"] == failed.event["Records"][0]["messageId"]


def test_a_batch_may_come_twice(gateway: Gateway) -> None:
    with gateway.connect("/prod") as client, gateway.faults(Duplicate(times=1)):
        client.send({"action": "ordered", "n": 1})
        client.send({"action": "ordered", "n": 2})
        assert [client.receive_json()["n"] for _ in range(3)] in ([1, 1, 2], [1, 2, 1])
        batches = gateway.invocations.wait_for_all(lambda each: "Records" in each.event, 2)
        counts = [batch.event["Records"][0]["attributes"]["ApproximateReceiveCount"] for batch in batches]
        assert counts[:2] == ["1", "2"]


@pytest.mark.parametrize("code", [1001, 1006])
def test_a_restart_without_and_with_its_disconnects(gateway: Gateway, code: int) -> None:
    for disconnect in (False, True):
        with gateway.connect("/prod") as client:
            gateway.faults.restart(code, disconnect=disconnect)
            assert client.closed() == code
    ends = gateway.invocations.wait_for_all(lambda each: "disconnectReason" in json.dumps(each.event), 1)
    assert [end.event["requestContext"]["disconnectStatusCode"] for end in ends] == [code]


def test_a_restart_at_its_time(gateway: Gateway) -> None:
    with gateway.connect("/prod") as client, gateway.faults(Restart(at=100)):
        gateway.clock.turn(100)
        assert client.closed() == 1006


def test_faults_of_processes_that_are_not_here(template: Path) -> None:
    with pytest.raises(UsageError, match="none can cold_start on purpose"):
        check_faults(Options(template, lambda_endpoint="http://127.0.0.1:1", faults=(ColdStart(),)))
