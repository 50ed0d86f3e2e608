"""Hot reload: what runs after an edit, and who stays connected."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from gateway.clock import Clock
from gateway.console import Console
from gateway.credentials import Credentials
from gateway.functions.failures import FunctionFailed
from gateway.functions.pool import Functions, Pool, environment
from gateway.journal import Entry, Journal, Logged
from gateway.options import Options
from gateway.reload import Reloader
from gateway.run import running
from gateway.settings import Settings
from gateway.template.specs import FunctionSpec
from tests.gateway.test_command import SMALL

pytestmark = pytest.mark.anyio
CODE = """
import os, time

def handler(event, context):
    if not isinstance(event, dict) or "wait" not in event:
        return {"statusCode": 200, "body": "old"}
    while not os.path.exists(event["wait"]):
        time.sleep(0.01)
    return {"body": "old", "pid": os.getpid()}
"""


def edit(path: Path, old: str, new: str) -> None:
    """Change a file as editors do: a new one takes its name.

    Python takes a file of the same size and second for the one that it has compiled.
    """
    other = path.with_suffix(".new")
    other.write_text(path.read_text().replace(old, new))
    other.replace(path)


@asynccontextmanager
async def pools(code: Path) -> AsyncIterator[tuple[Functions, list[Entry]]]:
    settings = Settings()
    spec = FunctionSpec("Fn", "local-Fn", "arn", "main.handler", code, runtime="python3.13", timeout=20)
    journal = Journal()
    entries: list[Entry] = []
    journal.subscribe(entries.append)
    variables = environment(spec, "http://127.0.0.1:1", None, settings)
    functions = Functions(
        {"Fn": Pool(spec, variables, settings, Clock(), journal, Credentials(), fresh=False)}, settings
    )
    try:
        yield functions, entries
    finally:
        await functions.close()


async def answer(functions: Functions, event: object = None) -> str:
    async with asyncio.timeout(20):
        return str(json.loads(await functions.submit("Fn", json.dumps(event).encode(), "test"))["body"])


async def test_what_runs_ends_with_the_old_code_and_what_comes_has_the_new(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(CODE)
    async with pools(tmp_path) as (functions, _):
        await functions.prestart()
        runs = asyncio.ensure_future(answer(functions, {"wait": str(tmp_path / "go")}))
        await asyncio.sleep(0)
        edit(tmp_path / "main.py", "old", "newer")
        await functions.reload(["Fn"])
        assert await answer(functions) == "newer"
        assert not runs.done()
        (tmp_path / "go").touch()
        assert await runs == "old"
        assert await answer(functions) == "newer"


async def test_a_reload_during_a_start_is_no_trap(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(CODE)
    async with pools(tmp_path) as (functions, _), asyncio.timeout(20):
        start = asyncio.ensure_future(functions.prestart())
        await asyncio.sleep(0)
        waits = asyncio.ensure_future(answer(functions))
        await asyncio.sleep(0)
        edit(tmp_path / "main.py", "old", "newer")
        await functions.reload(["Fn"])
        assert await waits == "newer"
        await start


async def test_a_syntax_error_is_told_at_once_and_fails_the_next_invocation(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(CODE)
    async with pools(tmp_path) as (functions, entries):
        await functions.prestart()
        edit(tmp_path / "main.py", "def handler", "def def handler")
        await functions.reload(["Fn"])
        faults = [entry.line for entry in entries if isinstance(entry, Logged) and entry.fault]
        assert len(faults) == 1
        assert "SyntaxError" in faults[0]
        with pytest.raises(FunctionFailed, match="Syntax error"):
            await functions.submit("Fn", b"{}", "test")
        edit(tmp_path / "main.py", "def def handler", "def handler")
        await functions.reload(["Fn"])
        assert await answer(functions) == "old"


async def test_what_is_watched_and_what_is_not(tmp_path: Path) -> None:
    # The whole project may lie where others have their caches.
    root = tmp_path / "node_modules" / "project"
    for folder in ("a/__pycache__", "a/.git", "a/node_modules/x", "b/sub"):
        (root / folder).mkdir(parents=True)
    template = root / "template.yaml"
    template.write_text("one")
    reloaded: asyncio.Queue[list[str]] = asyncio.Queue()
    err = io.StringIO()

    async def reload(functions: list[str]) -> None:
        reloaded.put_nowait(functions)

    folders = {"First": [root / "a"], "Second": [root / "b", root / "a"], "Third": [root / "nowhere"]}
    nested = root / "nested" / "child.yaml"
    nested.parent.mkdir()
    nested.write_text("one")
    reloader = Reloader(folders, [template, nested], reload, Console(io.StringIO(), err))
    reloader.start()
    try:
        async with asyncio.timeout(20):
            # Until it watches nothing is seen.
            while reloaded.empty():
                (root / "b" / "first.py").write_text("x")
                await asyncio.sleep(0.1)
            assert await reloaded.get() == ["Second"]
            await asyncio.sleep(0.2)
            while not reloaded.empty():
                reloaded.get_nowait()
            for name in ("__pycache__/m.pyc", ".git/index", "node_modules/x/i.js", "m.py~", ".m.py.swp"):
                (root / "a" / name).write_text("x")
            await asyncio.sleep(0.2)
            for number in range(5):
                (root / "b" / "sub" / f"{number}.py").write_text("x")
            assert await reloaded.get() == ["Second"]
            (root / "a" / "m.py").write_text("x")
            assert await reloaded.get() == ["First", "Second"]
            edit(template, "one", "two")
            while "template.yaml has changed: restart" not in err.getvalue():
                await asyncio.sleep(0.02)
            edit(nested, "one", "two")
            while "child.yaml has changed: restart" not in err.getvalue():
                await asyncio.sleep(0.02)
            (root / "a" / "requirements.txt").write_text("x")
            while "requirements.txt has changed: restart" not in err.getvalue():
                await asyncio.sleep(0.02)
    finally:
        await reloader.close()


async def test_a_connection_outlives_an_edit(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    code = tmp_path / "code" / "main.py"
    code.write_text(CODE)
    (tmp_path / "template.yaml").write_text(SMALL)
    out = io.StringIO()
    options = Options(tmp_path / "template.yaml", port=0, reload=True)
    async with (
        running(options, Console(out, io.StringIO())) as gateway,
        asyncio.timeout(60),
        connect(gateway.url.replace("http", "ws", 1) + "/live", proxy=None) as client,
    ):
        await client.send("?")
        assert await client.recv() == "old"
        edit(code, '"old"', '"newer"')
        while "Changed: main.py; reloading Fn" not in out.getvalue():
            await asyncio.sleep(0.02)
        await client.send("?")
        assert await client.recv() == "newer"
