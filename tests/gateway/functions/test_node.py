"""Node functions: what Lambda's own runtime gives them, and what it makes of their answers."""

import asyncio
import io
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.credentials import Credentials
from gateway.functions import bootstrap
from gateway.functions.failures import FunctionFailed
from gateway.functions.pool import Pool, environment
from gateway.journal import Entry, Journal, Logged
from gateway.settings import Settings
from gateway.template.specs import FunctionSpec

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")]


class Log(io.StringIO):
    """The lines that a function wrote."""

    def read_entry(self, entry: Entry) -> None:
        if isinstance(entry, Logged):
            self.write(entry.line + "\n")


@pytest.fixture
def log() -> Log:
    return Log()


Opener = Callable[..., AbstractAsyncContextManager[Pool]]


@pytest.fixture
def node(tmp_path: Path, log: Log) -> Opener:
    @asynccontextmanager
    async def opened(
        source: str, handler: str = "app.handler", file: str = "", hosts: str = "", **changes: Any
    ) -> AsyncIterator[Pool]:
        module = file or "app.mjs"
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_text(source)
        spec = FunctionSpec("Fn", "local-Fn", "arn:fn", handler, tmp_path, runtime="nodejs22.x", **changes)
        journal = Journal()
        journal.subscribe(log.read_entry)
        settings = Settings()
        variables = environment(spec, "http://127.0.0.1:1", None, settings) | {bootstrap.HOSTS: hosts}
        pool = Pool(spec, variables, settings, Clock(), journal, Credentials(), fresh=False)
        try:
            yield pool
        finally:
            await pool.close()

    return opened


async def call(pool: Pool, event: Any = None) -> Any:
    async with asyncio.timeout(20):
        return json.loads(await pool.submit(json.dumps(event).encode(), "test"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("export const handler = async (event) => [event, 'é✓']", ["in", "é✓"]),
        ("export const handler = async () => {}", None),
        ("export const handler = (event, context, callback) => callback(null, event)", "in"),
        ("export const handler = (event, context, callback) => { setTimeout(callback, 1, null, 5) }", 5),
        ("export const handler = () => {}", None),
        ("export const handler = () => new Promise(() => {})", None),
        ("export const handler = (event, context) => context.succeed(event)", "in"),
        ("const late = await Promise.resolve(3)\nexport function handler() { return Promise.resolve(late) }", 3),
    ],
)
async def test_answers(node: Opener, source: str, expected: Any) -> None:
    async with node(source) as pool:
        assert await call(pool, "in") == expected
        # The process is there for the next one.
        assert await call(pool, "in") == expected


@pytest.mark.parametrize(
    ("file", "handler", "source"),
    [
        ("app.js", "app.handler", "exports.handler = async () => require('./' + 'app.js') === module.exports"),
        ("app.cjs", "app.handler", "module.exports = { handler: async () => true }"),
        ("src/app.js", "src/app.handler", "exports.handler = async () => true"),
        ("app.js", "app.outer.inner", "exports.outer = { inner: async () => true }"),
    ],
)
async def test_modules_and_handlers(node: Opener, file: str, handler: str, source: str) -> None:
    async with node(source, handler, file) as pool:
        assert await call(pool) is True


async def test_a_package_says_that_its_files_are_modules(node: Opener, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"type": "module"}')
    async with node("export const handler = async () => import.meta.url.length > 0", file="app.js") as pool:
        assert await call(pool) is True


async def test_a_callback_waits_for_an_empty_loop_unless_it_is_told_not_to(node: Opener) -> None:
    source = """
        let done = false
        export const handler = (event, context, callback) => {
          context.callbackWaitsForEmptyEventLoop = event.wait
          const answer = { get done() { return done } }
          setTimeout(() => { done = true }, 50)
          callback(null, answer)
        }
    """
    async with node(source) as pool:
        assert await call(pool, {"wait": False}) == {"done": False}
    async with node(source) as pool:
        assert await call(pool, {"wait": True}) == {"done": True}


async def test_context_and_environment(node: Opener) -> None:
    source = """
        export const handler = async (event, context) => ({
          left: context.getRemainingTimeInMillis(),
          id: context.awsRequestId,
          arn: context.invokedFunctionArn,
          name: context.functionName,
          trace: process.env._X_AMZN_TRACE_ID,
          url: process.env.AWS_ENDPOINT_URL,
          runtime: process.env.AWS_EXECUTION_ENV,
        })
    """
    async with node(source, timeout=2) as pool:
        answer = await call(pool)
    assert 1000 < answer.pop("left") <= 2000
    assert len(answer.pop("id")) == 36
    assert answer.pop("trace").startswith("Root=1-")
    assert answer == {
        "arn": "arn:fn",
        "name": "local-Fn",
        "url": "http://127.0.0.1:1",
        "runtime": "AWS_Lambda_nodejs22.x",
    }


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("export const handler = async () => { throw new RangeError('too far') }", "RangeError", "too far"),
        ("export const handler = async () => { null.x }", "TypeError", "null"),
        ("export const handler = () => { throw 'text' }", "string", "text"),
        ("export const handler = (event, context, callback) => callback(new Error('said'))", "Error", "said"),
        ("export const handler = async () => ({ big: 1n })", "TypeError", "BigInt"),
        ("export const handler = () => { setTimeout(() => { throw new Error('late') }) }", "Error", "late"),
        (
            "export const handler = () => { Promise.reject(new Error('lost')) }",
            "Runtime.UnhandledPromiseRejection",
            "lost",
        ),
        ("export const other = 1", "Runtime.HandlerNotFound", "app.handler is undefined or not exported"),
        ("import 'gw-nowhere'", "Runtime.ImportModuleError", "gw-nowhere"),
        ("export const = 1", "Runtime.UserCodeSyntaxError", "Unexpected token"),
        ("throw new Error('at start')", "Error", "at start"),
        ("process.exit(3)", "Runtime.ExitError", "exit status 3"),
    ],
)
async def test_errors(node: Opener, log: Log, source: str, kind: str, words: str) -> None:
    async with node(source) as pool:
        with pytest.raises(FunctionFailed) as failed:
            await call(pool)
        assert (failed.value.error_type, words in failed.value.message) == (kind, True), failed.value.message
        assert words in log.getvalue()


async def test_an_error_has_its_trace_and_leaves_the_process_alone(node: Opener, log: Log) -> None:
    source = (
        "let calls = 0\n"
        "export const handler = async (event) => { calls++; if (event) throw new Error('once'); return calls }"
    )
    async with node(source) as pool:
        with pytest.raises(FunctionFailed) as failed:
            await call(pool, True)
        assert failed.value.trace[0] == "Error: once"
        assert "app.mjs" in failed.value.trace[1]
        assert await call(pool, False) == 2
    assert '\tERROR\tInvoke Error \t{"errorType":"Error","errorMessage":"once"' in log.getvalue()


@pytest.mark.parametrize("handler", ["app", "nowhere.handler"])
async def test_handlers_that_are_none(node: Opener, handler: str) -> None:
    async with node("", handler) as pool:
        with pytest.raises(FunctionFailed, match=r"Bad handler|Cannot find module 'nowhere'"):
            await call(pool)


async def test_a_function_that_takes_too_long_is_ended(node: Opener) -> None:
    async with node("export const handler = () => { for (;;); }", timeout=0.2) as pool:
        with pytest.raises(FunctionFailed, match=r"timed out after 0.20 seconds"):
            await call(pool)


async def test_lines_of_text(node: Opener, log: Log) -> None:
    source = "export const handler = async () => { console.log('a %s', 'b', {c: [1]}); console.warn('d\\ne') }"
    async with node(source) as pool:
        await call(pool)
    first, second = (line.split("\t") for line in log.getvalue().removesuffix("\n").split("\n"))
    assert first[2:] == ["INFO", "a b { c: [ 1 ] }"]
    assert second[2:] == ["WARN", "d\re"]
    assert len(first[1]) == 36


async def test_lines_of_json(node: Opener, log: Log) -> None:
    source = """export const handler = async () => {
        console.debug('hidden'); console.log({ a: 1 }); console.error('failed', new TypeError('why')) }"""
    async with node(source, log_format="JSON") as pool:
        await call(pool)
    first, second = map(json.loads, log.getvalue().splitlines())
    assert (first["level"], first["message"], len(first["requestId"])) == ("INFO", {"a": 1}, 36)
    assert (second["level"], second["errorType"], second["errorMessage"]) == ("ERROR", "TypeError", "why")


# ---- where requests go


async def _served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    host = next(line.split(": ")[1] for line in head if line.lower().startswith("host:"))
    body = f"{head[0]} {host}".encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    "asked",
    [
        "https.request({ hostname: 'id.execute-api.aws', path: '/prod?a=1', method: 'GET', agent: new https.Agent() })",
        "https.request('https://id.execute-api.aws/prod?a=1', { headers: { 'x-a': 'b' } })",
        "https.get(new URL('https://id.execute-api.aws/prod?a=1'))",
        "request({ host: 'id.execute-api.aws', path: '/prod?a=1' })",
    ],
)
async def test_an_apis_own_host_leads_to_this_machine(node: Opener, asked: str) -> None:
    source = f"""
        import https, {{ request }} from "node:https"
        export const handler = () => new Promise((resolve, reject) => {{
          const sent = {asked}
          sent.on("error", reject).on("response", async (response) => {{
            const parts = []
            for await (const part of response) parts.push(part)
            resolve(`${{Buffer.concat(parts)}} ${{process.env.FLEETING_GATEWAY_HOSTS}}`)
          }}).end()
        }})
    """
    server = await asyncio.start_server(_served, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, node(source, hosts=f"x.aws,id.execute-api.aws=127.0.0.1:{port}") as pool:
        assert await call(pool) == "GET /prod?a=1 HTTP/1.1 id.execute-api.aws undefined"


@pytest.mark.parametrize("name", ["aws-sdk", "aws-sdk/clients/s3"])
async def test_the_older_sdk_finds_the_local_aws(node: Opener, tmp_path: Path, name: str) -> None:
    package = tmp_path / "node_modules" / "aws-sdk"
    (package / "lib").mkdir(parents=True)
    (package / "clients").mkdir()
    (package / "lib" / "core.js").write_text(
        "exports.config = { update(given) { Object.assign(exports.config, given) } }"
    )
    for file in ("index.js", "clients/s3.js"):
        (package / file).write_text(f"module.exports = require('{'.' if file == 'index.js' else '..'}/lib/core')")
    source = f"const sdk = require('{name}')\nexports.handler = async () => sdk.config"
    async with node(source, file="app.js", environment={"AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:2"}) as pool:
        found = await call(pool)
    assert found == {
        "endpoint": "http://127.0.0.1:1",
        "s3ForcePathStyle": True,
        "lambda": {"endpoint": "http://127.0.0.1:2"},
    }
