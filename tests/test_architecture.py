"""The house's arrows, and what a cold start may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cold_start import CLIENTS, ENVIRONMENT

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"

MAY_IMPORT = {
    "protocol": set(),
    "server": {"protocol"},
    "chat": {"server"},
    "aws": {"protocol", "server"},
    "handlers": {"aws", "chat", "server"},
    "gateway": set(),
}
"""What of the project each package may import beside itself."""

KNOWN_TO_ALL = {"server.ports", "server.records", "server.exceptions"}
"""What `aws` may know of the server: its ports, and the values that go through them."""


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, with the names it takes from packages."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def modules(package: str) -> list[Path]:
    return sorted((SRC / package if package != "gateway" else ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_arrows_point_one_way(package: str) -> None:
    paths = modules(package)
    assert paths
    for path in paths:
        ours = {name for name in imports(path) if name.partition(".")[0] in MAY_IMPORT}
        strangers = {name for name in ours if name.partition(".")[0] not in MAY_IMPORT[package] | {package}}
        assert not strangers, f"{path.relative_to(ROOT)} imports {strangers}"


def test_the_ports_know_the_server_by_its_ports_alone() -> None:
    for path in modules("aws"):
        ours = {name for name in imports(path) if name.partition(".")[0] == "server"}
        assert ours <= KNOWN_TO_ALL, f"{path.name} imports {ours - KNOWN_TO_ALL}"


def test_the_chat_is_written_against_the_public_api() -> None:
    for path in modules("chat"):
        ours = {name for name in imports(path) if name.partition(".")[0] == "server"}
        assert ours <= {"server", "server.exceptions", "server.http"}


def test_only_aws_imports_boto3() -> None:
    for package in MAY_IMPORT.keys() - {"aws", "gateway"}:
        for path in modules(package):
            assert not {name for name in imports(path) if name.partition(".")[0] in ("boto3", "botocore")}, path


def test_the_protocol_is_pure() -> None:
    """Standard library, and of that nothing that does I/O, tells the time or logs."""
    for path in modules("protocol"):
        outside = {name.partition(".")[0] for name in imports(path)} - {"protocol"}
        assert outside <= set(sys.stdlib_module_names)
        assert not outside & {"asyncio", "datetime", "io", "logging", "os", "pathlib", "random", "socket", "time"}


@pytest.mark.parametrize("handler", CLIENTS)
def test_a_cold_start_loads_no_framework(handler: str) -> None:
    code = f"import sys, handlers.{handler}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, check=True, capture_output=True, text=True, timeout=60
    )
    loaded = set(run.stdout.split())
    assert "boto3" in loaded
    assert not loaded & {"fastapi", "starlette", "pydantic", "mangum", "socketio", "engineio", "anyio", "asyncio"}


def test_handlers_are_short() -> None:
    for path in modules("handlers"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name == "handler":
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < 40
