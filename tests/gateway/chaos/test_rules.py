"""Rules from files, and what is said of those that are wrong."""

from pathlib import Path

import pytest

from gateway.chaos.rules import TABLES, ConnectionsError, Crash, Delay, Restart, described, load
from gateway.errors import UsageError

FILE = """
[[crash]]
function = "Message*"
when = "during"
calls = 3
rate = 0.25

[[connections]]
method = "POST"
when = "after"
status = 500
times = 2

[[crash]]
when = "after"
skip = 1

[[restart]]
at = 10
code = 1001
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    return path


def test_a_file(tmp_path: Path) -> None:
    assert load(written(tmp_path, FILE)) == [
        Crash(function="Message*", when="during", calls=3, rate=0.25),
        Crash(when="after", skip=1),
        ConnectionsError(method="POST", when="after", status=500, times=2),
        Restart(at=10, code=1001),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[crsh]]", "there is no fault crsh; there are reorder, "),
        ("[crash]\nwhen = 'after'", "crash is written as [[crash]], once for each"),
        ("crash = 1", "crash is written as [[crash]], once for each"),
        ("[[crash]]", "[[crash]] when: is missing"),
        ("[[crash]]\nwhen = 'after'\n[[crash]]\nwhen = 'later'", "[[crash]] number 2 when: Input should be 'before'"),
        ("[[crash]]\nwhen = 'after'\nwho = 'me'", "[[crash]] who: no such key"),
        ("[[crash]]\nwhen = 'after'\nrate = 1.5", "[[crash]] rate: Input should be less than or equal to 1"),
        ("[[crash]]\nwhen = 'after'\nrate = '1'", "[[crash]] rate: Input should be a valid number"),
        ("[[crash]]\nwhen = 'after'\nrate = nan", "[[crash]] rate: Input should be a finite number"),
        ("[[crash]]\nwhen = 'after'\ntimes = 0", "[[crash]] times: Input should be greater than or equal to 1"),
        ("[[crash]]\nwhen = 'during'", '[[crash]]: a crash "during" the work takes one of calls and within'),
        ("[[crash]]\nwhen = 'after'\ncalls = 1", "no other takes any"),
        ("[[connections]]", "[[connections]]: one of status and hang is needed"),
        ("[[connections]]\nstatus = 418", "[[connections]] status: Input should be 410, 429, 500, 503 or 504"),
        ("[[delay]]\nwithin = -1", "[[delay]] within: Input should be greater than or equal to 0"),
        ("[[delay", "Expected"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*nowhere\.toml: No such file"):
        load(tmp_path / "nowhere.toml")


def test_rules_of_python_are_checked_as_well() -> None:
    with pytest.raises(ValueError, match="within"):
        Delay(within=-1)


def test_a_rule_in_a_line() -> None:
    assert described(Crash(when="during", calls=3, rate=0.1)) == 'crash rate=0.1 when="during" calls=3'
    assert len({rule.__name__ for rule in TABLES.values()}) == len(TABLES)
