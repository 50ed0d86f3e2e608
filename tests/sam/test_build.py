"""`sam build`, without a container and without the Python of the functions."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.processes import ROOT

pytestmark = [pytest.mark.sam, pytest.mark.timeout(300)]

PACKAGES = {"aws", "chat", "handlers", "protocol", "server"}
WEBSOCKET = ("ConnectFunction", "MessageFunction", "DisconnectFunction", "DeliverFunction", "HeartbeatFunction")


def in_it(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("function", WEBSOCKET)
def test_a_websocket_function_is_the_code_alone(build: Path, function: str) -> None:
    folder = build / function
    expected = {path.name for path in (ROOT / "src").iterdir()} - {"web", "Makefile", "requirements.txt", "__pycache__"}
    assert in_it(folder) == expected
    assert in_it(folder) >= PACKAGES
    size = sum(path.stat().st_size for path in folder.rglob("*"))
    assert size < 1_300_000, "what a cold start has to fetch"


def test_http_has_the_page_its_client_and_the_locked_packages(build: Path) -> None:
    folder = build / "HttpFunction"
    assert in_it(folder) >= PACKAGES | {"web", "fastapi", "mangum", "pydantic_core"}
    assert (folder / "web" / "socket.io.esm.min.js").stat().st_size > 10_000
    locked = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "src" / "requirements.txt").read_text(), re.MULTILINE)
    installed = {path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info")}
    assert installed == {f"{name.replace('-', '_')}-{version}" for name, version in locked}


def test_nothing_is_in_a_package_that_does_not_run(build: Path) -> None:
    for path in build.rglob("*"):
        assert path.name not in ("Makefile", "requirements.txt", "tests"), path
        assert path.suffix != ".pyc" or path.name.endswith(".cpython-313.pyc"), path


def test_all_of_it_is_compiled_where_the_runtimes_python_is(build: Path) -> None:
    """What is imported there has its byte code beside it, which nothing is compared with: neither times nor sources."""
    python = os.environ.get("RUNTIME_PYTHON", "python3.13")
    if shutil.which(python) is None or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"no {python}")
    modules = {path for package in PACKAGES | {"fastapi", "pydantic"} for path in build.glob(f"*/{package}/**/*.py")}
    assert modules
    for module in modules:
        byte_code = (module.parent / "__pycache__" / f"{module.stem}.cpython-313.pyc").read_bytes()
        assert int.from_bytes(byte_code[4:8], "little") == 0b01  # PEP 552: a hash, unchecked
        assert str(build).encode() not in byte_code


def test_extension_modules_are_there_for_both_processors(build: Path) -> None:
    """One package runs wherever the parameter Architecture lets it: a name without the processor would be another's."""
    modules = {str(path.relative_to(build)) for path in build.rglob("*.so")}
    arm64 = {name.replace("-aarch64-", "-?-") for name in modules if name.endswith(".cpython-313-aarch64-linux-gnu.so")}
    x86_64 = {name.replace("-x86_64-", "-?-") for name in modules if name.endswith(".cpython-313-x86_64-linux-gnu.so")}
    assert arm64 == x86_64
    assert arm64
    assert len(modules) == len(arm64) + len(x86_64)
