"""One process of a function: started, given one invocation at a time, killed when it takes too long."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import weakref
from collections.abc import Callable
from typing import Any

from gateway.chaos.faults import NO_FAULTS, Faults
from gateway.clock import Clock, Timer
from gateway.credentials import Credentials
from gateway.functions import bootstrap, runtimes
from gateway.functions.failures import FunctionFailed
from gateway.functions.runtime_api import Invocation, RuntimeConnection
from gateway.journal import Invoked, Journal, Logged, Returned
from gateway.settings import Settings
from gateway.template.specs import FunctionSpec

_CHUNK = 65536
# So much output is read at a time, that a function which writes without end does not hold up the others.
_CHUNKS = 16
_LONGEST_LINE = 262144


class Worker:
    """A process of one function.

    `on_idle(worker)` is called each time it waits for an invocation, `on_end(worker, failure)` once when it is gone;
    the failure says why it never became ready, and is None for a worker that was.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        environment: dict[str, str],
        settings: Settings,
        clock: Clock,
        journal: Journal,
        credentials: Credentials,
        on_idle: Callable[["Worker"], None],
        on_end: Callable[["Worker", FunctionFailed | None], None],
        faults: Faults = NO_FAULTS,
    ) -> None:
        self.spec = spec
        self.ready = False
        self.used = False
        self._credentials = credentials
        # Also while it is idle: what is told of a call may come after the answer that it was made for.
        self._credential = credentials.issue(lambda: self._last_request_id)
        self._environment = {**environment, **self._credential.variables}
        self._settings = settings
        self._clock = clock
        self._journal = journal
        self._on_idle = on_idle
        self._on_end = on_end
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        self._give: Callable[[Invocation, str, int], None] | None = None
        self._invocation: Invocation | None = None
        self._last_request_id = ""
        self._began = clock.monotonic()
        self._init: float | None = None
        self._timer: Timer | asyncio.TimerHandle | None = None
        self._failure: FunctionFailed | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._server: asyncio.Server | None = None
        # A runtime may open one for each request.
        self._connections: weakref.WeakSet[RuntimeConnection] = weakref.WeakSet()
        self._output = -1
        self._line = b""
        self._ended = False
        self._stopping = False
        # What it has sent before it died is of no interest any more, and it gets nothing.
        self._killed = False

    async def run(self) -> None:
        """Start the process and stay until it has ended."""
        try:
            await self._start()
            assert self._process is not None
            code = await self._process.wait()
        except OSError as error:
            self._failure = FunctionFailed("Runtime.StartError", f"cannot start {sys.executable}: {error}")
            code = 1
        finally:
            self.kill()
            if self._process is not None:
                # Also where this is given up: what the loop has of the process is to be gone before the loop.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await self._process.wait()
            self._close()
        self._end(code)

    async def _start(self) -> None:
        self._clock.hold(self)
        self._server = await self._loop.create_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        # Our own pipe, so that what is in it can be read before an answer is passed on; see _drain.
        self._output, child_end = os.pipe()
        os.set_blocking(self._output, False)
        channel: dict[str, str] = {}
        passed: list[socket.socket] = []
        if runtimes.is_python(self.spec):
            ours, theirs = socket.socketpair()
            await self._loop.create_unix_connection(self._connected, sock=ours)
            channel, passed = {bootstrap.CHANNEL: str(theirs.fileno())}, [theirs]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *runtimes.command(self.spec),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=child_end,
                stderr=child_end,
                cwd=self.spec.code,
                env={
                    **self._environment,
                    "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
                    bootstrap.PARENT: str(os.getpid()),
                    **channel,
                },
                pass_fds=[end.fileno() for end in passed],
                # Ctrl-C at the terminal is for the gateway alone; it ends its workers itself.
                start_new_session=True,
            )
        finally:
            os.close(child_end)
            for end in passed:
                end.close()
        self._loop.add_reader(self._output, self._drain)
        init_timeout = self._settings.init_timeout
        # By the machine's time: what it takes to start a process has nothing to do with the functions' own.
        self._timer = self._loop.call_later(init_timeout, self._init_timed_out, init_timeout)

    def _connected(self) -> RuntimeConnection:
        connection = RuntimeConnection(self)
        self._connections.add(connection)
        return connection

    @property
    def busy(self) -> bool:
        """Whether an invocation runs in it."""
        return self._invocation is not None

    @property
    def busy_for(self) -> float:
        """Seconds since its invocation began, or its start; 0 for an idle one."""
        return self._clock.monotonic() - self._began if self.busy or not self.ready else 0.0

    def invoke(self, invocation: Invocation) -> None:
        """Give the idle worker an invocation."""
        give, self._give = self._give, None
        assert give is not None
        self._drain()
        self.used = True
        self._invocation = invocation
        self._last_request_id = invocation.request_id
        timeout = self.spec.timeout
        self._timer = self._clock.call_later(timeout, self._timed_out)
        self._clock.hold(self)
        now, self._began = self._clock.now(), self._clock.monotonic()
        function, request_id = self.spec.logical_id, invocation.request_id
        init, self._init = self._init, None
        self._journal.write(Invoked(now, request_id, function, invocation.cause, invocation.payload, init))
        self._faults.begun(function, request_id, self.kill)
        give(invocation, self.spec.arn, int((now + timeout) * 1000))

    def stop(self) -> None:
        """End the process because the gateway stops: nothing is told of it."""
        self._stopping = True
        self.kill()

    def kill(self) -> None:
        """End the process at once, and whatever it started."""
        process = self._process
        if process is not None and process.returncode is None:
            self._killed = True
            # Its session is its own, so the group is the worker and its children.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    # ---- the Runtime API

    def on_next(self, give: Callable[[Invocation, str, int], None]) -> None:
        """The process is idle."""
        if self._killed:
            return
        if not self.ready:
            self._clock.release(self)
            self.ready = True
            self._init = self._clock.monotonic() - self._began
            self._stop_timer()
        self._give = give
        self._on_idle(self)

    def on_response(self, request_id: str, body: bytes) -> None:
        """The function returned."""
        if self._faults.answered(request_id):
            self.kill()
        if self._killed:
            return
        invocation = self._done(request_id)
        if invocation is None:
            return
        limit = self._settings.payload_limit
        if len(body) > limit:
            message = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
            self._tell_fault(request_id, message)
            self._fail(invocation, FunctionFailed("Function.ResponseSizeTooLarge", message))
            return
        self._tell_end(invocation, body)
        if not invocation.result.done():
            invocation.result.set_result(body)

    def on_error(self, request_id: str, error_type: str, body: bytes) -> None:
        """The function raised; its runtime has written the error to the log already."""
        invocation = self._done(request_id)
        if invocation is not None:
            self._fail(invocation, _failure(error_type, body))

    def on_init_error(self, error_type: str, body: bytes) -> None:
        """The module could not be loaded; the process is about to exit."""
        self._failure = _failure(error_type, body)

    # ---- ends

    def _done(self, request_id: str) -> Invocation | None:
        self._drain()
        invocation = self._invocation
        if invocation is None or invocation.request_id != request_id:
            return None
        self._stop_timer()
        self._faults.ended(request_id)
        self._invocation = None
        self._clock.release(self)
        return invocation

    def _timed_out(self) -> None:
        assert self._invocation is not None
        message = f"Task timed out after {self.spec.timeout:.2f} seconds"
        self._failure = FunctionFailed("Sandbox.Timedout", message)
        self.kill()

    def _init_timed_out(self, seconds: float) -> None:
        self._failure = FunctionFailed("Sandbox.Timedout", f"not ready after {seconds:g} seconds")
        self.kill()

    def _end(self, code: int) -> None:
        if self._ended:
            return
        self._ended = True
        self._clock.release(self)
        reason = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        failure = self._failure or FunctionFailed("Runtime.ExitError", f"Runtime exited with error: {reason}")
        invocation, self._invocation = self._invocation, None
        if invocation is not None:
            self._faults.ended(invocation.request_id)
            if not self._stopping:
                self._tell_fault(invocation.request_id, failure.message)
            self._fail(invocation, failure)
        self._on_end(self, None if self.ready else failure)

    def _close(self) -> None:
        self._stop_timer()
        self._credentials.revoke(self._credential)
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()
        if self._output >= 0:
            self._drain()
            self._loop.remove_reader(self._output)
            os.close(self._output)
            self._output = -1
            if self._line:
                self._show(self._line)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ---- what is told of it

    def _fail(self, invocation: Invocation, failure: FunctionFailed) -> None:
        self._tell_end(invocation, b"", failure)
        if not invocation.result.done():
            invocation.result.set_exception(failure)
            # Whoever gave up on the answer does not fetch it: that is no error of its own.
            invocation.result.exception()

    def _tell_end(self, invocation: Invocation, answer: bytes, failure: FunctionFailed | None = None) -> None:
        now, taken = self._clock.now(), self._clock.monotonic() - self._began
        error, message = (failure.error_type, failure.message) if failure else ("", "")
        function = self.spec.logical_id
        self._journal.write(Returned(now, invocation.request_id, function, taken, answer, error, message))

    def _tell_fault(self, request_id: str, message: str) -> None:
        self._journal.write(Logged(self._clock.now(), request_id, self.spec.logical_id, message, fault=True))

    # ---- output

    def _drain(self) -> None:
        """Read what the process has written; called before an answer too, so that lines keep their invocation."""
        for _ in range(_CHUNKS):
            if self._output < 0:
                return
            try:
                chunk = os.read(self._output, _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self._loop.remove_reader(self._output)
                return
            *lines, self._line = (self._line + chunk).split(b"\n")
            if len(self._line) > _LONGEST_LINE:
                lines, self._line = [*lines, self._line], b""
            for line in lines:
                self._show(line)

    def _show(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        self._journal.write(Logged(self._clock.now(), self._last_request_id, self.spec.logical_id, text))


def _failure(error_type: str, body: bytes) -> FunctionFailed:
    try:
        report: Any = json.loads(body)
    except ValueError:
        report = {}
    if not isinstance(report, dict):
        report = {}
    # Node's runtime has another name for it.
    trace = [str(line) for line in report.get("stackTrace") or report.get("trace") or []]
    return FunctionFailed(
        str(report.get("errorType") or error_type or "Error"), str(report.get("errorMessage", "")), trace
    )
