"""How containers find this machine."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway import containers
from gateway.errors import GatewayError


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        ([{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}], "172.17.0.1"),
        ([{"Subnet": "172.18.0.0/16"}], "172.18.0.1"),
        ([{"Subnet": "fd00::/80", "Gateway": "fd00::1"}, {"Subnet": "10.0.0.0/8", "Gateway": "10.0.0.9"}], "10.0.0.9"),
    ],
)
def test_the_engines_side_of_its_bridge(networks: list[dict[str, str]], address: str) -> None:
    assert containers.bridge(networks) == address


@pytest.mark.parametrize(
    ("said", "host"),
    [
        ('[{"Subnet": "127.0.0.0/8"}]', "127.0.0.1"),
        # Not an address of this machine: the engine is in a virtual one.
        ('[{"Subnet": "192.0.2.0/24"}]', "host.docker.internal"),
    ],
)
def test_asking_the_engine(monkeypatch: pytest.MonkeyPatch, said: str, host: str) -> None:
    monkeypatch.setattr(containers, "_BRIDGE", ("echo", said))
    assert containers.host() == host


@pytest.mark.parametrize(
    "command", [("false",), ("no-such-command",), ("echo", ""), ("echo", "null"), ("echo", "[{}]")]
)
def test_an_engine_that_does_not_say(monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    monkeypatch.setattr(containers, "_BRIDGE", command)
    with pytest.raises(GatewayError, match="--container-host"):
        containers.host()


def test_an_engine_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("docker", 10)

    monkeypatch.setattr(subprocess, "run", never)
    with pytest.raises(GatewayError, match="--container-host"):
        containers.host()


@pytest.mark.parametrize(
    ("url", "outside"),
    [
        ("http://127.0.0.1:3003", "http://172.17.0.1:3003"),
        ("http://localhost:8000/x", "http://172.17.0.1:8000/x"),
        ("http://[::1]:80", "http://172.17.0.1:80"),
        ("http://localhost", "http://172.17.0.1"),
        ("http://dynamodb:8000", "http://dynamodb:8000"),
    ],
)
def test_what_this_machine_serves_seen_from_a_container(url: str, outside: str) -> None:
    assert containers.reachable(url, "172.17.0.1") == outside


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GatewayError, match="cannot write"):
        containers.write_environment(tmp_path / "file" / "env.json", [], "http://127.0.0.1:1", "here")
