"""The terminal client as a user runs it: `python -m chat`, each in a process of its own."""

import contextlib
import json
import os
import pty
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import ROOT, Gateway, Process, until

pytestmark = pytest.mark.e2e

COMMAND = [sys.executable, "-m", "chat"]
HEADERS = {"Content-Type": "application/json"}
ENVIRONMENT = {"PYTHONPATH": str(ROOT / "src")}


def run(*arguments: str, stdin: str = "", code: int = 0) -> str:
    """Run the client to its end; returns what it printed."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | ENVIRONMENT | {"TERM": "dumb", "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def created(gateway: Gateway, *options: str) -> dict[str, Any]:
    """Create a room with a message in it; returns its link and its owner's key."""
    lines = run(gateway.url, "--new", "--json", "--name", "Olga", "--send", "Welcome", *options).splitlines()
    made: dict[str, Any] = json.loads(lines[0])
    assert json.loads(lines[1])["seq"] == 1
    return made


class Follower(Process):
    """A client with --json that stays; what it was told is in `told`."""

    def __init__(self, link: str, name: str, *options: str) -> None:
        super().__init__([*COMMAND, link, "--name", name, "--json", *options], ENVIRONMENT)
        self.hears(type="status", status="online")

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self.lines)]

    def hears(self, **fields: Any) -> dict[str, Any]:
        line = self.wait_for(lambda line: line.startswith("{") and fields.items() <= json.loads(line).items(), 20)
        return dict(json.loads(line))

    def say(self, text: str) -> None:
        assert self.popen.stdin
        self.popen.stdin.write(text + "\n")
        self.popen.stdin.flush()


def test_two_talk_and_the_history_is_there(one_origin: Gateway) -> None:
    link = created(one_origin, "--title", "Tea")["link"]
    with Follower(link, "Ann") as ann, Follower(link, "Bob") as bob:
        assert ann.hears(type="message")["text"] == "Welcome"
        ann.hears(type="joined", name="Bob")
        ann.say("Tea? ☕")
        message = bob.hears(type="message", text="Tea? ☕")
        assert (message["seq"], message["name"], message["own"]) == (2, "Ann", False)
        bob.say("Yes")
        assert ann.hears(type="message", text="Yes")["own"] is False
        assert bob.hears(type="message", text="Yes")["own"] is True
        assert [each["text"] for each in bob.told if each["type"] == "message"] == ["Welcome", "Tea? ☕", "Yes"]
        assert bob.stop() == 130
        ann.hears(type="left", name="Bob")


def test_who_sends_from_a_script_leaves_when_it_is_said(one_origin: Gateway) -> None:
    made = created(one_origin)
    with Follower(made["link"], "Ann") as ann:
        said = run(
            "-", "--name", "Robot", "--json", "--send", "one", "--send", "-", stdin=f"{made['link']}\ntwo\n\nthree\n"
        )
        assert [json.loads(line)["seq"] for line in said.splitlines()] == [2, 3, 4]
        ann.hears(type="left", name="Robot")
        assert [each["text"] for each in ann.told if each["type"] == "message"] == ["Welcome", "one", "two", "three"]


def test_a_passphrase_wrong_and_right(one_origin: Gateway) -> None:
    link = created(one_origin, "--passphrase", "open sesame")["link"]
    assert "--passphrase" in run(link, "--name", "Ann", "--send", "hi", code=2)
    assert "passphrase" in run(link, "--name", "Ann", "--send", "hi", "--passphrase", "open barley", code=1)
    assert json.loads(run(link, "--name", "Ann", "--send", "hi", "--json", "--passphrase", "open sesame"))["seq"] == 2


def test_the_owner_burns_the_room(one_origin: Gateway) -> None:
    made = created(one_origin)
    with Follower(made["link"], "Ann") as ann:
        terminal = Terminal(made["link"], "Olga", FLEETING_OWNER_KEY=made["owner_key"])
        try:
            terminal.sees("Ann")
            terminal.types("/burn")
            assert ann.hears(type="ended")["code"] == "burned"
            terminal.sees("has burned")
            assert terminal.process.wait(20) == 0
        finally:
            terminal.end()
        assert ann.popen.wait(20) == 0
    assert "no such room" in run(made["link"], "--name", "Ann", "--send", "hi", code=1)


class Terminal:
    """The client on a terminal of its own."""

    def __init__(self, link: str, name: str, **env: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, link, "--name", name],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | ENVIRONMENT | {"TERM": "xterm", "COLUMNS": "120"} | env,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self._shown = ""

    def _read(self) -> str:
        try:
            while data := os.read(self._ours, 65_536):
                self._shown += data.decode(errors="replace")
        except (BlockingIOError, OSError):
            pass
        return self._shown

    def sees(self, text: str) -> None:
        try:
            until(lambda: text in self._read(), text)
        except AssertionError as error:
            error.add_note(self._shown[-2_000:])
            raise

    def types(self, line: str) -> None:
        os.write(self._ours, line.encode() + b"\r")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def olga(one_origin: Gateway) -> Iterator[tuple[Terminal, str]]:
    made = created(one_origin)
    terminal = Terminal(made["link"], "Olga", FLEETING_OWNER_KEY=made["owner_key"])
    terminal.sees("/help")
    yield terminal, made["link"]
    terminal.end()


def test_a_conversation_on_a_terminal(olga: tuple[Terminal, str], tmp_path: Path) -> None:
    terminal, link = olga
    terminal.sees("Welcome")
    with Follower(link, "Ann") as ann:
        terminal.sees("* Ann joined")
        terminal.types("hello")
        terminal.sees("#2 you: hello")
        message = ann.hears(type="message", text="hello")
        terminal.types("/edit 2 hello there")
        assert ann.hears(type="changed", text="hello there")["edited"]
        terminal.types("/reply 2 and goodbye")
        assert ann.hears(type="message", text="and goodbye")["reply"] == message["id"]
        terminal.sees("#3 you: ")
        terminal.types("/react 3 👍")
        assert list(ann.hears(type="reacted", seq=3)["reactions"].values()) == [["👍"]]
        terminal.types("/delete 2")
        ann.hears(type="changed", seq=2, deleted=True)
        secret = tmp_path / "plan.txt"
        secret.write_text("meet me at noon\n" * 5_000)
        terminal.types(f"/file {secret}")
        ann.hears(type="message", seq=4)
        terminal.sees("#4 you: [file plan.txt")
        terminal.types(f"/save 4 {tmp_path / 'copy.txt'}")
        terminal.sees("saved as")
        assert (tmp_path / "copy.txt").read_text() == secret.read_text()
        terminal.types(f"/save 4 {tmp_path / 'copy.txt'}")
        terminal.sees("exists")
        terminal.types("/lock")
        ann.hears(type="locked")
        assert "locked" in run(link, "--name", "Eve", "--send", "hi", code=1)
        terminal.types("/remove Ann")
        assert ann.hears(type="ended")["code"] == "removed"
        terminal.types("/nonsense")
        terminal.sees("no command /nonsense")
        terminal.types("/quit")
        assert terminal.process.wait(20) == 0


def cut_all(gateway: Gateway, agent: str = "") -> None:
    """Cut every WebSocket at the gateway, as a network that fails does; or those of one kind of client."""
    with urllib.request.urlopen(f"{gateway.url}/_gateway/events", timeout=10) as events:
        first = json.loads(events.readline().removeprefix(b"data: "))
    for client in (each for each in first["clients"] if agent in each["user_agent"]):
        request = urllib.request.Request(f"{gateway.url}/_gateway/connections/{client['id']}/break", b"{}", HEADERS)
        with contextlib.suppress(urllib.error.HTTPError):  # it is gone already
            urllib.request.urlopen(request, timeout=10).close()


def test_a_lost_connection_passes(one_origin: Gateway) -> None:
    link = created(one_origin)["link"]
    with Follower(link, "Ann") as ann:
        ann.say("before")
        ann.hears(type="message", text="before")
        cut_all(one_origin)
        ann.hears(type="status", status="offline")
        ann.say("after")
        ann.hears(type="message", text="after")
        assert [each["text"] for each in ann.told if each["type"] == "message"] == ["Welcome", "before", "after"]


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["http://127.0.0.1:9/r/abc"], 2, "not complete"),
        (["nonsense"], 2, "no link"),
        ([f"http://127.0.0.1:9/r/abc#{'A' * 22}", "--name", "Ann"], 1, "cannot be reached"),
        (["--new", "http://127.0.0.1:9", "--name", "Ann"], 1, "cannot be reached"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_goes_wrong_is_said(arguments: list[str], code: int, why: str) -> None:
    assert why in " ".join(run(*arguments, code=code).split())


def test_a_name_must_be_said_where_nobody_can_be_asked(one_origin: Gateway) -> None:
    assert "--name" in run(created(one_origin)["link"], code=2)
