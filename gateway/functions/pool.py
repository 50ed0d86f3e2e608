"""Functions: a pool of workers each, more of them under load, with the environment that Lambda gives.

Where a pool runs them, or another process: who asks for a function does not know.
"""

import asyncio
import os
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from gateway.aws.resources import CREDENTIALS
from gateway.chaos.faults import NO_FAULTS, Faults
from gateway.clock import Clock
from gateway.credentials import Credentials
from gateway.errors import GatewayError
from gateway.functions import runtimes
from gateway.functions.failures import NOT_RUN, FunctionFailed
from gateway.functions.runtime_api import Invocation
from gateway.functions.worker import Worker
from gateway.ids import new_request_id, new_trace_id
from gateway.journal import Journal, Logged
from gateway.settings import Settings
from gateway.template.specs import FunctionSpec

# What a process needs of the gateway's own environment; the user's AWS settings stay outside.
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT", "SSL_CERT_FILE", "SSL_CERT_DIR")


_PROCESSORS = os.cpu_count() or 1


class Pool:
    """The workers of one function.

    `fresh` gives every invocation a process of its own. `environment` is complete but for the Runtime API's address.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        environment: dict[str, str],
        settings: Settings,
        clock: Clock,
        journal: Journal,
        credentials: Credentials,
        *,
        fresh: bool,
        faults: Faults = NO_FAULTS,
    ) -> None:
        self.spec = spec
        self._environment = environment
        self._settings = settings
        self._clock = clock
        self._journal = journal
        self._credentials = credentials
        self._fresh = fresh
        self._faults = faults
        self._limit = max(1, min(settings.max_workers, spec.concurrency or settings.max_workers))
        self._loop = asyncio.get_running_loop()
        self._workers: dict[Worker, asyncio.Task[None]] = {}
        # Those that finish what they run, and get nothing more.
        self._leaving: dict[Worker, asyncio.Task[None]] = {}
        self._idle: dict[Worker, float] = {}  # since when by the machine's time; the last one that idled comes last
        self._waiting: deque[Invocation] = deque()
        # What a worker was started for, where that is a cold start on purpose.
        self._reserved: dict[Worker, Invocation] = {}
        self._growth: asyncio.TimerHandle | None = None
        self._release: asyncio.TimerHandle | None = None
        self._prestarted: asyncio.Future[None] | None = None
        self._closed = False

    def submit(self, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        """Invoke the function with the event `payload`; the result is the answer's JSON, or FunctionFailed.

        Cancelling the result does not stop the function, as giving up on an answer does not on Lambda.
        """
        result: asyncio.Future[bytes] = self._loop.create_future()
        invocation = Invocation(new_request_id(), payload, new_trace_id(self._clock.now()), cause, result)
        if self._closed:
            result.set_exception(FunctionFailed("ServiceException", "the gateway is stopping"))
        elif len(payload) > self._settings.payload_limit:
            result.set_exception(FunctionFailed("RequestTooLargeException", "the event is over 6 MB"))
        elif self.spec.concurrency == 0:  # how a function is switched off
            result.set_exception(FunctionFailed("TooManyRequestsException", "Rate Exceeded."))
        elif self._room and (late := self._faults.cold_start(self.spec.logical_id)) is not None:
            self._clock.call_later(late, self._start_for, invocation)
        elif self._idle:
            self._idle.popitem()[0].invoke(invocation)
        elif self._settings.throttle and self._running() >= self._limit:
            result.set_exception(FunctionFailed("TooManyRequestsException", "Rate Exceeded."))
        else:
            self._waiting.append(invocation)
            self._grow_soon()
        return result

    def _running(self) -> int:
        return len(self._waiting) + len(self._reserved) + sum(worker.busy for worker in self._all)

    async def prestart(self) -> None:
        """Start one worker, and return once it is ready, or has failed and said so."""
        if not self._workers and self.spec.concurrency != 0:
            self._prestarted = self._loop.create_future()
            self._start()
            await self._prestarted

    def reload(self) -> None:
        """Let every invocation from now on find the code as it now is; those that run end in their own process."""
        self._leaving |= self._workers
        self._workers.clear()
        idle, self._idle = self._idle, {}
        for worker in idle:
            worker.kill()
        self._settle_prestart()
        self._grow_soon()

    def _settle_prestart(self) -> None:
        if self._prestarted is not None and not self._prestarted.done():
            self._prestarted.set_result(None)

    async def settle(self, seconds: float) -> None:
        """Forget what waits, and return once nothing runs; what still does in `seconds` is killed."""
        while self._waiting:
            self._waiting.popleft().result.cancel()
        # By the machine's time: a turn of the clock ends no process.
        end = self._loop.time() + seconds
        while any(worker.busy for worker in self._all):
            if self._loop.time() > end:
                for worker in self._all:
                    if worker.busy:
                        worker.stop()
            await asyncio.sleep(0.005)

    @property
    def _all(self) -> list[Worker]:
        return [*self._workers, *self._leaving]

    async def close(self) -> None:
        """Kill every worker."""
        self._closed = True
        for timer in (self._growth, self._release):
            if timer is not None:
                timer.cancel()
        workers = self._workers | self._leaving
        tasks = list(workers.values())
        for worker in workers:
            worker.stop()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=1)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for invocation in (*self._waiting, *self._reserved.values()):
            invocation.result.cancel()
        self._waiting.clear()
        self._reserved.clear()

    # ---- workers

    @property
    def _room(self) -> bool:
        """Whether another worker may start, if need be in place of an idle one."""
        return bool(self._idle) or len(self._workers) < self._limit

    def _start_for(self, invocation: Invocation) -> None:
        """Start a worker for an invocation alone."""
        if self._closed:
            invocation.result.cancel()
            return
        if self._idle and len(self._workers) >= self._limit:
            self._idle.popitem()[0].kill()
        self._reserved[self._start()] = invocation

    def _start(self) -> Worker:
        worker = Worker(
            self.spec,
            self._environment,
            self._settings,
            self._clock,
            self._journal,
            self._credentials,
            self._idled,
            self._ended,
            self._faults,
        )
        self._workers[worker] = self._loop.create_task(worker.run())
        return worker

    def _idled(self, worker: Worker) -> None:
        reserved = self._reserved.pop(worker, None)
        if reserved is not None:
            worker.invoke(reserved)
            return
        if worker in self._leaving or (self._fresh and worker.used):
            worker.kill()
            return
        self._settle_prestart()
        while self._waiting:
            invocation = self._waiting.popleft()
            # Given up meanwhile: nobody would see the answer.
            if not invocation.result.done():
                worker.invoke(invocation)
                return
        self._idle[worker] = self._loop.time()
        if self._release is None:
            self._release = self._loop.call_later(self._settings.idle_worker_life, self._let_go)

    def _ended(self, worker: Worker, failure: FunctionFailed | None) -> None:
        reserved = self._reserved.pop(worker, None)
        if reserved is not None and failure is not None and not reserved.result.done():
            reserved.result.set_exception(failure)
        if self._leaving.pop(worker, None) is not None:
            return
        self._workers.pop(worker, None)
        self._idle.pop(worker, None)
        self._settle_prestart()
        if self._closed:
            return
        if failure is not None:
            line = f"{failure.error_type}: {failure.message}"
            self._journal.write(Logged(self._clock.now(), "", self.spec.logical_id, line, fault=True))
            # Lambda fails the invocation that a process was started for.
            while self._waiting:
                invocation = self._waiting.popleft()
                if not invocation.result.done():
                    invocation.result.set_exception(failure)
                    break
        if self._fresh and worker.used and all(other.used for other in self._workers):
            # One process that has served nobody is kept ready: still a new one each time, but without the wait.
            self._start()
        self._grow_soon()

    def _grow_soon(self) -> None:
        if not self._waiting or self._growth is not None or len(self._workers) >= self._limit:
            return
        if not self._workers:
            self._start()
        delay = self._settings.scale_up_after
        self._growth = self._loop.call_later(delay, self._grow)

    def _grow(self) -> None:
        self._growth = None
        starting = sum(not worker.ready for worker in self._workers)
        if len(self._waiting) > starting and len(self._workers) < self._limit and self._held_up():
            self._start()
        self._grow_soon()

    def _let_go(self) -> None:
        """End the processes that a load has left behind, all but one."""
        self._release = None
        now, life = self._loop.time(), self._settings.idle_worker_life
        spare = len(self._idle) + sum(worker.busy for worker in self._workers) - 1
        for worker, since in list(self._idle.items())[:spare]:
            if now - since < life:
                self._release = self._loop.call_at(since + life, self._let_go)
                return
            del self._idle[worker]
            worker.kill()

    def _held_up(self) -> bool:
        """Tell whether another process would help: not where those at work use up the machine's processors."""
        return len(self._workers) < _PROCESSORS or all(
            worker.busy_for >= self._settings.scale_up_after for worker in self._workers
        )


class Runner(Protocol):
    """What runs one function: a pool here, or what another process serves."""

    def submit(self, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        """Invoke the function with the event `payload`; see Pool.submit."""

    async def prestart(self) -> None:
        """Return once an invocation would not wait for a start."""

    def reload(self) -> None:
        """Let every invocation from now on find the code as it now is."""

    async def settle(self, seconds: float) -> None:
        """Forget what waits, and return once nothing runs; give up what still does in `seconds`."""

    async def close(self) -> None:
        """Give up what runs."""


class Functions:
    """Every function of a stack, by logical id."""

    def __init__(self, runners: Mapping[str, Runner], settings: Settings) -> None:
        self._runners = runners
        self._settings = settings

    def submit(self, function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        """Invoke a function by logical id; see Pool.submit."""
        runner = self._runners.get(function)
        if runner is None:
            result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            result.set_exception(FunctionFailed(NOT_RUN, f"{function} is not run here"))
            return result
        return runner.submit(payload, cause)

    async def reload(self, functions: Iterable[str]) -> None:
        """Let functions, by logical id, run the code as it now is."""
        runners = [self._runners[name] for name in functions]
        for runner in runners:
            runner.reload()
        await self._prestart(runners)

    async def prestart(self) -> None:
        """Start one worker of each function, a few at a time."""
        await self._prestart(self._runners.values())

    async def _prestart(self, runners: Iterable[Runner]) -> None:
        limit = asyncio.Semaphore(self._settings.prestart_concurrency)

        async def start(runner: Runner) -> None:
            async with limit:
                await runner.prestart()

        await asyncio.gather(*map(start, runners))

    async def settle(self, seconds: float) -> None:
        """Forget what waits, and return once no function runs; give up what still does in `seconds`."""
        await asyncio.gather(*(runner.settle(seconds) for runner in self._runners.values()))

    async def close(self) -> None:
        """End what runs every function."""
        await asyncio.gather(*(runner.close() for runner in self._runners.values()))


def environment(spec: FunctionSpec, endpoint: str, extra_path: str | None, settings: Settings) -> dict[str, str]:
    """Return the environment of a function's processes: Lambda's own variables, the template's, the AWS endpoint.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    execution = runtimes.PYTHON if runtimes.is_python(spec) else spec.runtime
    variables = {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        **{name.upper(): value for name, value in CREDENTIALS.items()},
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{execution}",
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": spec.log_format,
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "LAMBDA_TASK_ROOT": str(spec.code),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "TZ": ":UTC",
        "_HANDLER": spec.handler,
        # boto3 finds the local AWS by itself, and never the user's profile or an instance's role.
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if spec.log_level:
        variables["AWS_LAMBDA_LOG_LEVEL"] = spec.log_level
    reserved = sorted(
        set(spec.environment) & {"_HANDLER", "AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "LAMBDA_TASK_ROOT"}
    )
    if reserved:
        raise GatewayError(f"{spec.logical_id}: Lambda reserves the variable {', '.join(reserved)}")
    variables |= spec.environment
    return variables | runtimes.search_paths(spec, extra_path, variables)
