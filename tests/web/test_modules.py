"""The page's modules without a page: their own tests, on Node, and their seals against Python's."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chat.seals import Keys, digest, person_of, random_id

HERE = Path(__file__).parent
VECTORS = json.loads((HERE / "vectors.json").read_text())


def node(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run Node as the page's modules need it; its version is the Makefile's concern."""
    program = shutil.which("node")
    assert program, "Node is missing: run the tests with `make test`, which says what is needed"
    command = [program, "--import", (HERE / "page.mjs").as_uri(), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("module", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_module(module: str) -> None:
    done = node("--test", "--test-reporter=spec", str(HERE / module))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("room", VECTORS["rooms"], ids=lambda room: room["passphrase"] or "no passphrase")
def test_vectors_open_in_python_as_they_do_in_the_page(room: dict[str, Any]) -> None:
    keys = Keys(VECTORS["room"], VECTORS["secret"], room["passphrase"])
    assert keys.door == room["door"]
    assert person_of(VECTORS["room"], VECTORS["me"]) == VECTORS["person"]
    assert digest(VECTORS["digest"]["text"]) == VECTORS["digest"]["sha256"]
    for each in room["sealed"]:
        assert keys.open(each["kind"], each["sealed"], *each["place"]) == each["value"]
    chunk = room["chunk"]
    assert keys.open_bytes("chunk", chunk["sealed"], *chunk["place"]).hex() == chunk["hex"]


@pytest.mark.parametrize("passphrase", ["", "p\u00e4ss \U0001f511"])
def test_what_the_page_seals_opens_in_python(passphrase: str) -> None:
    room, secret = random_id(), random_id(16)
    values: list[dict[str, Any]] = [
        {"kind": "title", "value": "Grüße \U0001f44b \u2028 \x7f", "place": []},
        {"kind": "message", "value": {"text": "x" * 5_000, "after": [0, ""]}, "place": ["pérson \x7f", 'i"d\\']},
        {"kind": "reaction", "value": {"n": 1, "emoji": []}, "place": ["person", "id"]},
    ]
    given = {"room": room, "secret": secret, "passphrase": passphrase, "values": values}
    done = node(str(HERE / "twin.mjs"), stdin=json.dumps(given))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    keys = Keys(room, secret, passphrase)
    assert answer["door"] == keys.door
    for each, sealed in zip(values, answer["sealed"], strict=True):
        assert keys.open(each["kind"], sealed, *each["place"]) == each["value"]
    assert keys.open_bytes("chunk", answer["chunk"], "person", "file", 0, 1) == b"\x00\xff\n"
