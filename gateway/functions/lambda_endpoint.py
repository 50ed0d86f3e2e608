"""Functions that another process runs: invoked at an endpoint that speaks Lambda's API, as `sam local start-lambda`'s.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import asyncio
import json
from typing import Any
from urllib.parse import quote, urlsplit

import httptools

from gateway.clock import Clock
from gateway.console import Console
from gateway.errors import GatewayError, UsageError
from gateway.functions.failures import NOT_RUN, FunctionFailed
from gateway.ids import new_request_id
from gateway.journal import Invoked, Journal, Logged, Returned
from gateway.settings import Settings
from gateway.template.specs import FunctionSpec

_CHUNK = 65536
# What a runtime reports an error with. start-lambda passes it on, and does not mark it as Lambda does.
_ERROR = {"errorType", "errorMessage"}
_REPORT = _ERROR | {"stackTrace", "requestId", "cause"}
_MARK = "x-amz-function-error"


class LambdaEndpoint:
    """The endpoint at `url`, such as http://127.0.0.1:3001. Raises UsageError where that is no address."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise UsageError(f"--lambda-endpoint takes a URL such as http://127.0.0.1:3001, not {url}")
        self.url = url.rstrip("/")
        self._host = host
        self._tls = parts.scheme == "https"
        self._port = port or (443 if self._tls else 80)
        self._head = f"Host: {parts.netloc.rpartition('@')[2]}\r\n"
        self._path = parts.path.rstrip("/")

    async def wait(self, seconds: float, console: Console) -> None:
        """Return once it takes connections. Raises GatewayError if it does not within `seconds`."""
        told = False
        try:
            async with asyncio.timeout(seconds):
                while not await self._listens():
                    if not told:
                        console.progress(f"Waiting for {self.url} (sam local start-lambda) …")
                    told = True
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise GatewayError(f"nothing answers at {self.url}: start `sam local start-lambda` first") from None

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return False
        writer.close()
        return True

    async def invoke(self, function: str, payload: bytes) -> "Answer":
        """Invoke a function and return what is answered. Raises OSError, also where that is no HTTP."""
        head = (
            f"POST {self._path}/2015-03-31/functions/{quote(function)}/invocations HTTP/1.1\r\n{self._head}"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
        )
        answer = Answer()
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls or None)
        try:
            writer.write(head.encode("latin-1") + payload)
            await writer.drain()
            while not answer.complete and (chunk := await reader.read(_CHUNK)):
                answer.feed(chunk)
        finally:
            writer.close()
        if not answer.complete:
            raise OSError("the connection was closed before an answer had come")
        return answer


class Answer:
    """An HTTP answer, as it comes in."""

    def __init__(self) -> None:
        self.complete = False
        self.headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    @property
    def status(self) -> int:
        """The status code."""
        return self._parser.get_status_code()

    @property
    def body(self) -> bytes:
        """The body, as far as it has come."""
        return b"".join(self._body)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises OSError if they are no HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise OSError(f"what answers speaks no HTTP: {error}") from None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, its name in lower case."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer has ended."""
        self.complete = True


class RemoteFunction:
    """One function behind an endpoint. Its environment is the other process's affair."""

    def __init__(
        self, spec: FunctionSpec, endpoint: LambdaEndpoint, settings: Settings, clock: Clock, journal: Journal
    ) -> None:
        self.spec = spec
        self._endpoint = endpoint
        self._settings = settings
        self._clock = clock
        self._journal = journal
        self._free = asyncio.Semaphore(max(1, min(settings.max_workers, spec.concurrency or settings.max_workers)))
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        """Invoke the function; see Pool.submit."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[bytes] = loop.create_future()
        task = loop.create_task(self._run(payload, cause, result))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return result

    async def prestart(self) -> None:
        """Nothing: the other process starts what it runs."""

    def reload(self) -> None:
        """Nothing: the other process reads the code."""

    async def settle(self, seconds: float) -> None:
        """Wait for what has not been answered, at most `seconds`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        await self.close()

    async def close(self) -> None:
        """Give up on what has not been answered."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, payload: bytes, cause: str, result: asyncio.Future[bytes]) -> None:
        try:
            async with self._free:
                # Whoever asked may have given up meanwhile.
                answer = b"" if result.done() else await self._told(payload, cause)
            if not result.done():
                result.set_result(answer)
        except FunctionFailed as failure:
            if not result.done():
                result.set_exception(failure)
                result.exception()
        finally:
            result.cancel()

    async def _told(self, payload: bytes, cause: str) -> bytes:
        """Return the function's answer, with its begin and end in the journal. Raises FunctionFailed."""
        function, invocation, began = self.spec.logical_id, new_request_id(), self._clock.monotonic()
        self._journal.write(Invoked(self._clock.now(), invocation, function, cause, payload, None))
        answer, error, message = b"", "", ""
        try:
            answer = await self._invoke(payload)
        except FunctionFailed as failure:
            error, message = failure.error_type, failure.message
            self._journal.write(Logged(self._clock.now(), invocation, function, f"{error}: {message}", fault=True))
            raise
        finally:
            now, taken = self._clock.now(), self._clock.monotonic() - began
            self._journal.write(Returned(now, invocation, function, taken, answer, error, message))
        return answer

    async def _invoke(self, payload: bytes) -> bytes:
        """Return the function's answer. Raises FunctionFailed."""
        limit = self._settings.payload_limit
        if len(payload) > limit:
            raise FunctionFailed("RequestTooLargeException", f"the event is over {limit} bytes")
        # The function's own time, and what a container may take to start.
        seconds = self.spec.timeout + self._settings.init_timeout
        try:
            async with asyncio.timeout(seconds):
                answer = await self._endpoint.invoke(self.spec.logical_id, payload)
        except TimeoutError:
            raise FunctionFailed("Sandbox.Timedout", f"{self._endpoint.url}: no answer in {seconds:g} s") from None
        except OSError as error:
            raise FunctionFailed("ServiceException", f"{self._endpoint.url}: {error.strerror or error}") from None
        return answer_of(answer.status, answer.headers, answer.body)


def answer_of(status: int, headers: dict[str, str], body: bytes) -> bytes:
    """Return the function's answer out of an endpoint's. Raises FunctionFailed where it is an error."""
    try:
        value: Any = json.loads(body)
    except ValueError:
        value = None
    report = value if isinstance(value, dict) else {}
    if status != 200:
        kind = NOT_RUN if status == 404 else "ServiceException"
        message = report.get("Message") or report.get("message") or body.decode("utf-8", "replace").strip()
        raise FunctionFailed(kind, f"{message or 'no reason given'} (HTTP status {status})")
    if _MARK in headers or _ERROR <= report.keys() <= _REPORT:
        trace = [str(line) for line in report.get("stackTrace") or []]
        raise FunctionFailed(str(report.get("errorType", "Error")), str(report.get("errorMessage", "")), trace)
    if not body:
        # So start-lambda answers for a function that ran out of time, or whose container ended.
        raise FunctionFailed("Runtime.ExitError", "the function did not answer; why is in the endpoint's own output")
    return body
