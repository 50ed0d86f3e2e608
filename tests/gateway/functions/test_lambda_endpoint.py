"""Functions behind a Lambda endpoint: a small one here stands for `sam local start-lambda`."""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.clock import Clock
from gateway.console import Console
from gateway.errors import GatewayError, UsageError
from gateway.functions.failures import NOT_RUN, FunctionFailed
from gateway.functions.lambda_endpoint import LambdaEndpoint, RemoteFunction, answer_of
from gateway.journal import Journal
from gateway.options import Options
from gateway.run import running
from gateway.settings import Settings
from gateway.template.specs import FunctionSpec
from tests.gateway.test_command import CODE, SMALL

pytestmark = pytest.mark.anyio

Reply = Callable[[str, bytes], Awaitable[bytes]]


def http(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Any", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@asynccontextmanager
async def endpoint(reply: Reply, port: int = 0) -> AsyncIterator[str]:
    """Serve what `reply(path, body)` returns; the address is what the context gives."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            size = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("Content-Length"))
            writer.write(await reply(head.split()[1], await reader.readexactly(size)))
            await writer.drain()
        except asyncio.IncompleteReadError:
            pass  # somebody looked whether there is an endpoint
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def err() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def function(err: io.StringIO) -> Callable[..., RemoteFunction]:
    def made(url: str, *, timeout: float = 5, **changes: Any) -> RemoteFunction:
        spec = FunctionSpec("Fn", "local-Fn", "arn", "code.handler", Path(), timeout=timeout)
        journal = Journal()
        journal.subscribe(Console(io.StringIO(), err).show)
        return RemoteFunction(spec, LambdaEndpoint(url), replace(Settings(), **changes), Clock(), journal)

    return made


async def failure(result: asyncio.Future[bytes]) -> FunctionFailed:
    with pytest.raises(FunctionFailed) as failed:
        await result
    return failed.value


async def test_an_event_goes_out_and_an_answer_comes_back(function: Callable[..., RemoteFunction]) -> None:
    asked = []

    async def reply(path: str, body: bytes) -> bytes:
        asked.append((path, json.loads(body)))
        return http(200, b'{"statusCode": 200}', "Content-Type: application/json")

    async with endpoint(reply) as url:
        made = function(url)
        await made.prestart()
        assert await made.submit('{"text": "Grüße"}'.encode(), "test") == b'{"statusCode": 200}'
    assert asked == [("/2015-03-31/functions/Fn/invocations", {"text": "Grüße"})]


@pytest.mark.parametrize("size", [0, 1_000_000])
async def test_an_answer_in_pieces(function: Callable[..., RemoteFunction], size: int) -> None:
    async def reply(path: str, body: bytes) -> bytes:
        text = json.dumps("x" * size).encode()
        chunked = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (text[:1], text[1:]))
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + b"0\r\n\r\n"

    async with endpoint(reply) as url:
        assert json.loads(await function(url).submit(b"{}", "test")) == "x" * size


async def test_a_raised_error_is_one_though_nothing_marks_it(
    function: Callable[..., RemoteFunction], err: io.StringIO
) -> None:
    report = {"errorMessage": "no tea", "errorType": "KeyError", "requestId": "1", "stackTrace": ["line 1\n"]}

    async def reply(path: str, body: bytes) -> bytes:
        return http(200, json.dumps(report).encode())

    async with endpoint(reply) as url:
        failed = await failure(function(url).submit(b"{}", "test"))
    assert (failed.error_type, failed.message, failed.trace) == ("KeyError", "no tea", ["line 1\n"])
    assert "KeyError: no tea" in err.getvalue()


@pytest.mark.parametrize(
    ("status", "headers", "body", "error_type", "message"),
    [
        (200, {"x-amz-function-error": "Unhandled"}, b'{"errorMessage": "m", "errorType": "T"}', "T", "m"),
        (200, {"x-amz-function-error": "Unhandled"}, b"null", "Error", "^$"),
        (200, {}, b"", "Runtime.ExitError", "did not answer"),
        (404, {}, b'{"Type": "User", "Message": "Function not found: Fn"}', NOT_RUN, "Function not found: Fn"),
        (500, {}, b"<h1>broken</h1>", "ServiceException", "broken"),
        (502, {}, b"", "ServiceException", "502"),
    ],
)
async def test_what_is_no_answer(
    status: int, headers: dict[str, str], body: bytes, error_type: str, message: str
) -> None:
    with pytest.raises(FunctionFailed, match=message) as failed:
        answer_of(status, headers, body)
    assert failed.value.error_type == error_type


@pytest.mark.parametrize(
    "answer", [b"null", b'{"errorType": "of its own"}', b'{"errorType": 1, "errorMessage": 2, "statusCode": 500}']
)
async def test_an_answer_that_speaks_of_errors_is_one(answer: bytes) -> None:
    assert answer_of(200, {}, answer) == answer


async def test_nobody_listens(function: Callable[..., RemoteFunction], err: io.StringIO) -> None:
    async def reply(path: str, body: bytes) -> bytes:
        return b""

    async with endpoint(reply) as url:
        pass
    failed = await failure(function(url).submit(b"{}", "test"))
    assert failed.error_type == "ServiceException"
    assert url in err.getvalue()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"SSH-2.0-OpenSSH\r\n"])
async def test_a_broken_answer(function: Callable[..., RemoteFunction], sent: bytes) -> None:
    async def reply(path: str, body: bytes) -> bytes:
        return sent

    async with endpoint(reply) as url:
        assert (await failure(function(url).submit(b"{}", "test"))).error_type == "ServiceException"


async def test_an_answer_that_does_not_come(function: Callable[..., RemoteFunction]) -> None:
    gone = asyncio.Event()

    async def reply(path: str, body: bytes) -> bytes:
        await gone.wait()
        return b""

    async with endpoint(reply) as url:
        made = function(url, timeout=0.05, init_timeout=0.05)
        assert (await failure(made.submit(b"{}", "test"))).error_type == "Sandbox.Timedout"
        made = function(url)
        waiting = made.submit(b"{}", "test")
        await asyncio.sleep(0)
        await made.close()
        assert waiting.cancelled()
        gone.set()


async def test_load_beyond_the_limit_waits(function: Callable[..., RemoteFunction]) -> None:
    busy = most = 0

    async def reply(path: str, body: bytes) -> bytes:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.02)
        busy -= 1
        return http(200, b"1")

    async with endpoint(reply) as url:
        made = function(url, max_workers=2)
        assert await asyncio.gather(*(made.submit(b"{}", "test") for _ in range(6))) == [b"1"] * 6
    assert most == 2


async def test_events_over_6_mb_are_refused(function: Callable[..., RemoteFunction]) -> None:
    failed = await failure(function("http://127.0.0.1:1", payload_limit=10).submit(b'"0123456789"', "test"))
    assert failed.error_type == "RequestTooLargeException"


@pytest.mark.parametrize("url", ["127.0.0.1:3001", "ftp://here", "http://", "http://here:port", "http://here/?x=1"])
async def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(UsageError, match="--lambda-endpoint takes a URL"):
        LambdaEndpoint(url)


@pytest.mark.parametrize("option", [{"fresh": True}, {"app": f"{__file__}:thing"}])
async def test_options_that_the_other_process_cannot_follow(tmp_path: Path, option: dict[str, Any]) -> None:
    (tmp_path / "template.yaml").write_text(SMALL)
    options = Options(tmp_path / "template.yaml", port=0, lambda_endpoint="http://127.0.0.1:1", **option)
    with pytest.raises(UsageError, match="neither --app nor --fresh"):
        async with running(options):
            pass


async def test_the_gateway_waits_for_the_endpoint() -> None:
    async def reply(path: str, body: bytes) -> bytes:
        return b""

    async with endpoint(reply) as url:
        pass
    out = io.StringIO()
    waiting = asyncio.create_task(LambdaEndpoint(url).wait(10, Console(out, out)))
    while "Waiting for" not in out.getvalue():
        await asyncio.sleep(0)
    async with endpoint(reply, int(url.rpartition(":")[2])):
        await waiting
    with pytest.raises(GatewayError, match=f"nothing answers at {url}"):
        await LambdaEndpoint(url).wait(0.05, Console(out, out))


async def test_a_gateway_whose_functions_run_elsewhere(tmp_path: Path) -> None:
    """And the environment that it writes for them."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text(CODE)
    template = tmp_path / "template.yaml"
    template.write_text(
        SMALL.replace(
            "SIZE: !Ref Size",
            "SIZE: !Ref Size, CALLED: !Sub 'https://${Api}.execute-api.us-east-1.${AWS::URLSuffix}/live',"
            " TOLD: !Sub 'wss://${Api}.execute-api.us-east-1.${AWS::URLSuffix}/live', QUEUE: !Ref Queue, URL: 'http://localhost/'",
        )
        + "  Queue: {Type: AWS::SQS::Queue}\n"
    )
    env = tmp_path / "made" / "env.json"
    paths = []

    async def reply(path: str, body: bytes) -> bytes:
        paths.append(path)
        return http(200, b'{"statusCode": 200, "body": "from elsewhere"}')

    console = Console(io.StringIO(), io.StringIO())
    async with endpoint(reply) as url:
        options = Options(template, port=0, lambda_endpoint=url, sam_env=env, container_host="machine.test")
        async with running(options, console) as made, httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(made.url)).text == "from elsewhere"
            port = made.authority.rpartition(":")[2]
    assert paths == ["/2015-03-31/functions/Fn/invocations"]
    variables = json.loads(env.read_text())["Fn"]
    aws = variables["AWS_ENDPOINT_URL"]
    assert aws.startswith("http://machine.test:")
    assert variables == {
        "APP": "nothing:app",
        "SIZE": "5",
        "AWS_ENDPOINT_URL": aws,
        "AWS_ENDPOINT_URL_LAMBDA": f"http://machine.test:{port}",
        # A function calls the one from its container; the other it tells a client of this machine.
        "CALLED": f"http://machine.test:{port}/live",
        "TOLD": f"ws://127.0.0.1:{port}/live",
        "QUEUE": f"{aws}/123456789012/local-Queue",
        "URL": "http://localhost/",
    }


@pytest.mark.parametrize("package", ["Runtime: java21", "PackageType: Image"])
async def test_what_only_the_other_process_can_run(tmp_path: Path, package: str) -> None:
    (tmp_path / "code").mkdir()
    template = tmp_path / "template.yaml"
    text = SMALL.replace("Runtime: python3.13", package)
    if "Image" in package:
        text = text.replace("Handler: main.handler", "").replace("CodeUri: code", "")
    template.write_text(text)

    async def reply(path: str, body: bytes) -> bytes:
        return http(200, b'{"statusCode": 200, "body": "from elsewhere"}')

    for elsewhere in (True, False):
        err = io.StringIO()
        async with endpoint(reply) as url:
            options = Options(template, port=0, lambda_endpoint=url if elsewhere else None)
            async with running(options, Console(err, err)) as made, httpx.AsyncClient(trust_env=False) as client:
                answer = await client.get(made.url)
        assert (answer.text == "from elsewhere") == elsewhere
        assert ("Not run here: Fn (function" in err.getvalue()) != elsewhere


@pytest.mark.skipif(sys.platform != "linux", reason="a second loopback address")
async def test_containers_come_by_an_address_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text(CODE)
    (tmp_path / "template.yaml").write_text(SMALL)
    options = Options(
        tmp_path / "template.yaml", port=0, sam_env=tmp_path / "env.json", container_host="127.0.0.2", aws_port=0
    )
    async with running(options, Console(io.StringIO(), io.StringIO())) as made:
        aws = json.loads((tmp_path / "env.json").read_text())["Fn"]["AWS_ENDPOINT_URL"]
        assert aws.startswith("http://127.0.0.2:")
        async with httpx.AsyncClient(trust_env=False) as client:
            for address in (made.url, made.url.replace("127.0.0.1", "127.0.0.2")):
                assert (await client.get(address)).status_code == 200
            for address in (aws, aws.replace("127.0.0.2", "127.0.0.1")):
                assert (await client.get(f"{address}/moto-api/")).status_code == 200
        with pytest.raises(GatewayError, match="cannot listen on port"):
            async with running(replace(options, aws_port=urlsplit(aws).port or 0), made.console):
                pass
