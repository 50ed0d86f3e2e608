"""Every line of docs/fidelity.md has a test, a source and, where nobody knows, a setting."""

import re
from dataclasses import fields

import pytest

from gateway.settings import Settings
from tests.gateway.conftest import ROOT

PAGE = ROOT / "docs" / "fidelity.md"
TEXT = PAGE.read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| fact")
]
WORDS = ("documented", "reported", "inferred", "unknown")


def test_there_are_lines() -> None:
    assert len(ROWS) > 100
    assert len({row[0] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_line_is_held_by_a_test(row: list[str]) -> None:
    _, source, confidence, test = row
    found = re.fullmatch(r"\[(test_\w+)\]\((\.\./tests/[\w/]+\.py)\)", test)
    assert found, test
    held = re.findall(r"^\s*(?:async )?def (\w+)\(", (PAGE.parent / found[2]).read_text(), re.MULTILINE)
    assert found[1] in held
    # What is documented says where.
    assert source in ("reported", "–") or f"\n{source}: https://" in TEXT
    assert any(word in confidence for word in WORDS)
    assert ("documented" not in confidence) or source.startswith("[")
    names = re.findall(r"`(\w+)`", confidence)
    assert set(names) <= {field.name for field in fields(Settings)}
    assert bool(names) is ("unknown" in confidence)
