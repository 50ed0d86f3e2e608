"""Pools of real processes, without a gateway around them."""

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.console import Console
from gateway.credentials import Credentials
from gateway.errors import GatewayError
from gateway.functions import bootstrap
from gateway.functions.failures import FunctionFailed
from gateway.functions.pool import Pool, environment
from gateway.journal import Journal
from gateway.settings import Settings
from gateway.template.specs import FunctionSpec
from tests.gateway.conftest import alive

pytestmark = pytest.mark.anyio
CODE = """
import os, socket, sys, time

calls = 0

def handler(event, context):
    global calls
    calls += 1
    if "print" in event:
        print(event["print"])
    if "big" in event:
        return "x" * event["big"]
    if "host" in event:
        found = socket.getaddrinfo(event["host"], 443, type=socket.SOCK_STREAM)
        return [found[0][4], "FLEETING_GATEWAY_HOSTS" in os.environ]
    time.sleep(event.get("seconds", 0))
    if "exit" in event:
        os._exit(event["exit"])
    return {"pid": os.getpid(), "calls": calls, "left": context.get_remaining_time_in_millis()}
"""


@pytest.fixture
def err() -> io.StringIO:
    return io.StringIO()


Opener = Callable[..., Any]


@pytest.fixture
def pool(tmp_path: Path, err: io.StringIO) -> Opener:
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")

    @asynccontextmanager
    async def opened(
        handler: str = "code.handler",
        *,
        fresh: bool = False,
        timeout: float = 2,
        concurrency: int | None = None,
        variables: dict[str, str] | None = None,
        **changes: Any,
    ) -> AsyncIterator[Pool]:
        settings = replace(Settings(), **changes)
        spec = FunctionSpec("Fn", "local-Fn", "arn", handler, tmp_path, timeout=timeout, concurrency=concurrency)
        complete = environment(spec, "http://127.0.0.1:1", None, settings) | (variables or {})
        journal = Journal()
        journal.subscribe(Console(io.StringIO(), err).show)
        made = Pool(spec, complete, settings, Clock(), journal, Credentials(), fresh=fresh)
        try:
            yield made
        finally:
            await made.close()

    return opened


async def call(pool: Pool, **event: Any) -> Any:
    async with asyncio.timeout(20):
        return json.loads(await pool.submit(json.dumps(event).encode(), "test"))


async def test_a_process_is_used_again(pool: Opener) -> None:
    async with pool() as made:
        await made.prestart()
        first, second = await call(made), await call(made)
        assert first["pid"] == second["pid"] != os.getpid()
        assert (first["calls"], second["calls"]) == (1, 2)
        assert 1500 < first["left"] <= 2000
    assert not alive(first["pid"])


async def test_fresh_processes(pool: Opener) -> None:
    async with pool(fresh=True) as made:
        answers = [await call(made) for _ in range(3)]
        assert [answer["calls"] for answer in answers] == [1, 1, 1]
        assert len({answer["pid"] for answer in answers}) == 3


async def test_load_is_spread_up_to_the_limit_and_waits_beyond(pool: Opener) -> None:
    async with pool(max_workers=2) as made:
        answers = await asyncio.gather(*(call(made, seconds=0.2) for _ in range(6)))
    assert len({answer["pid"] for answer in answers}) == 2


async def test_what_a_load_leaves_behind_ends_but_for_one_process(pool: Opener) -> None:
    async with pool(max_workers=3, idle_worker_life=0.3) as made:
        answers = await asyncio.gather(*(call(made, seconds=0.2) for _ in range(9)))
        pids = {answer["pid"] for answer in answers}
        assert len(pids) == 3
        async with asyncio.timeout(10):
            while sum(map(alive, pids)) > 1:
                await asyncio.sleep(0.01)
        assert (await call(made))["pid"] in pids


async def test_load_beyond_the_limit_is_refused_where_that_is_set(pool: Opener) -> None:
    async with pool(max_workers=1, throttle=True) as made:
        await made.prestart()
        first = made.submit(b'{"seconds": 0.2}', "test")
        second = made.submit(b"{}", "test")
        with pytest.raises(FunctionFailed, match="Rate Exceeded"):
            await second
        await first


async def test_a_function_with_no_concurrency_is_switched_off(pool: Opener) -> None:
    async with pool(concurrency=0) as made:
        await made.prestart()
        with pytest.raises(FunctionFailed, match="Rate Exceeded"):
            await call(made)


async def test_a_timeout_kills_the_process(pool: Opener, err: io.StringIO) -> None:
    async with pool(timeout=0.3) as made:
        pid = (await call(made))["pid"]
        with pytest.raises(FunctionFailed, match=r"Task timed out after 0\.30 seconds"):
            await call(made, seconds=10)
        assert not alive(pid)
        assert (await call(made))["calls"] == 1
    assert "Task timed out after 0.30 seconds" in err.getvalue()


@pytest.mark.parametrize("code", [0, 5])
async def test_an_exit_fails_the_invocation(pool: Opener, code: int) -> None:
    async with pool() as made:
        with pytest.raises(FunctionFailed, match="Runtime exited"):
            await call(made, exit=code)
        assert (await call(made))["calls"] == 1


async def test_a_module_that_does_not_load_fails_each_invocation(pool: Opener, err: io.StringIO) -> None:
    async with pool("broken.handler") as made:
        await made.prestart()
        for _ in range(2):
            with pytest.raises(FunctionFailed, match="nothing_of_this_name") as failed:
                await call(made)
            assert failed.value.error_type == "Runtime.ImportModuleError"
    assert "nothing_of_this_name" in err.getvalue()


async def test_payloads_over_6_mb_are_refused(pool: Opener) -> None:
    async with pool(payload_limit=100_000) as made:
        with pytest.raises(FunctionFailed, match="over"):
            await call(made, text="x" * 100_000)
        with pytest.raises(FunctionFailed, match="exceeded"):
            await call(made, big=100_000)
        assert len(await call(made, big=90_000)) == 90_000


async def test_large_payloads_are_not_held_up(pool: Opener) -> None:
    async with pool() as made:
        await made.prestart()
        took: list[float] = []
        for _ in range(3):
            began = asyncio.get_running_loop().time()
            # libcurl asks for leave before it sends a large body, and waits a second for an answer.
            assert len(await call(made, big=5_000_000, text="x" * 5_000_000)) == 5_000_000
            took.append(asyncio.get_running_loop().time() - began)
        assert min(took) < 0.9


async def test_an_invocation_that_nobody_waits_for_goes_on(pool: Opener) -> None:
    async with pool(max_workers=1) as made:
        await made.prestart()
        made.submit(b'{"seconds": 0.1}', "test").cancel()
        assert (await call(made))["calls"] == 2


async def test_lines_carry_their_own_request(pool: Opener, err: io.StringIO) -> None:
    async with pool() as made:
        for number in range(20):
            await call(made, print=f"line {number}")
    labels = [line.split(" | ")[0] for line in err.getvalue().splitlines() if " | " in line]
    assert len(set(labels)) == len(labels) == 20


async def test_reserved_variables(tmp_path: Path) -> None:
    spec = FunctionSpec("Fn", "local-Fn", "arn", "a.b", tmp_path, {"AWS_REGION": "eu-west-1"})
    with pytest.raises(GatewayError, match="AWS_REGION"):
        environment(spec, "http://127.0.0.1:1", None, Settings())


async def test_the_users_aws_settings_stay_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    spec = FunctionSpec("Fn", "local-Fn", "arn", "a.b", tmp_path)
    variables = environment(spec, "http://127.0.0.1:1", "/apps", Settings())
    assert "AWS_PROFILE" not in variables
    assert variables["AWS_ACCESS_KEY_ID"] == "local"
    assert variables["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/apps"


async def test_an_apis_own_host_leads_to_this_machine(pool: Opener) -> None:
    async with pool(variables={bootstrap.HOSTS: "x.aws,id.execute-api.aws=127.0.0.1:3000"}) as made:
        assert await call(made, host="id.execute-api.aws") == [["127.0.0.1", 3000], False]
        assert await call(made, host="127.0.0.1") == [["127.0.0.1", 443], False]
