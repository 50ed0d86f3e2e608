"""How the gateway starts, asks and stops the process of the embedded AWS."""

import asyncio
import contextlib
import itertools
import os
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.aws.calls import AwsCall
from gateway.aws.faults import AwsFault
from gateway.aws.lines import Lines
from gateway.errors import GatewayError
from gateway.functions import bootstrap


class MotoServer:
    """The embedded AWS. `endpoint` is known at once, `start` returns when it answers.

    It listens on `port`, 0 for a free one, of the loopback and of the `others`, addresses of this machine.
    `on_sent(queue, group)` is called when there may be something new on a queue, by its name; the group is empty where
    there is none, or it is not known. `on_call(call)` gets every call, soon after its answer; `on_invoke(arn, event,
    service)` an event for a function, from a topic, a rule or a bucket. Items whose time to live
    has been over for `ttl_lag` seconds are deleted every `ttl_sweep` seconds. `region` is the one that is asked for
    first. Raises OSError where it cannot listen.
    """

    def __init__(
        self,
        account_id: str,
        on_sent: Callable[[str, str], None],
        port: int = 0,
        others: Sequence[str] = (),
        *,
        on_call: Callable[[AwsCall], None] | None = None,
        on_invoke: Callable[[str, str, str], None] | None = None,
        ttl_sweep: float = 60.0,
        ttl_lag: float = 0.0,
        region: str = "us-east-1",
    ) -> None:
        # The port is ours from here on: the child gets the sockets themselves.
        self._sockets = [socket.create_server(("127.0.0.1", port), backlog=512)]
        port = self._sockets[0].getsockname()[1]
        try:
            for address in others:
                self._sockets.append(socket.create_server((address, port), backlog=512))
        except OSError:
            self._close_sockets()
            raise
        self.endpoint = f"http://127.0.0.1:{port}"
        self._account_id = account_id
        self._on_sent = on_sent
        self._on_call = on_call
        self._on_invoke = on_invoke
        self._arguments = (str(ttl_sweep), str(ttl_lag), region)
        self._process: asyncio.subprocess.Process | None = None
        self._lines = Lines(self._told, self._lost)
        self._ready: asyncio.Future[None] | None = None
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[None]] = {}

    async def start(self, timeout: float = 60) -> None:
        """Start the process. Raises GatewayError if it ends or is not ready in `timeout` seconds."""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        ours, control = socket.socketpair()
        descriptors = [listening.fileno() for listening in (control, *self._sockets)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.aws.child",
            str(descriptors[0]),
            *self._arguments,
            *map(str, descriptors[1:]),
            stdin=asyncio.subprocess.DEVNULL,
            # moto prints now and then; our own stdout is for other things.
            stdout=sys.__stderr__,
            pass_fds=descriptors,
            env={
                **os.environ,
                bootstrap.PARENT: str(os.getpid()),
                "PYTHONPATH": os.pathsep.join(filter(None, [_package_root(), os.environ.get("PYTHONPATH")])),
                "MOTO_ACCOUNT_ID": self._account_id,
                # The same pools have the same ids at each start, and once all is emptied.
                "MOTO_COGNITO_IDP_USER_POOL_ID_STRATEGY": "HASH",
                "MOTO_COGNITO_IDP_USER_POOL_CLIENT_ID_STRATEGY": "HASH",
            },
            start_new_session=True,
        )
        control.close()
        self._close_sockets()
        await loop.create_connection(lambda: self._lines, sock=ours)
        try:
            async with asyncio.timeout(timeout):
                await self._ready
        except (TimeoutError, GatewayError):
            await self.close()
            raise GatewayError("the embedded AWS did not start; its own words are above") from None

    async def close(self) -> None:
        """Kill the process."""
        self._close_sockets()
        self._lines.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    # ---- what it is asked

    async def advance(self, seconds: float) -> None:
        """Let time pass at once: delays, visibility timeouts, retention, deduplication, time to live.

        Raises GatewayError where the process is gone, as all of these do.
        """
        await self._ask(do="advance", seconds=seconds)

    async def set_faults(self, faults: Iterable[AwsFault]) -> None:
        """Let calls meet these faults from now on, and no others."""
        await self._ask(do="faults", faults=[asdict(fault) for fault in faults])

    async def reset(self) -> None:
        """Forget all tables, queues and whatever else there is. Its time stays."""
        await self._ask(do="reset")

    async def _ask(self, **question: Any) -> None:
        number = next(self._numbers)
        done = self._asked[number] = asyncio.get_running_loop().create_future()
        if self._ready is None or not self._ready.done() or self._lines.lost:
            del self._asked[number]
            raise GatewayError("the embedded AWS does not run")
        self._lines.send({"id": number, **question})
        try:
            await done
        finally:
            self._asked.pop(number, None)

    # ---- what it tells

    def _told(self, line: Any) -> None:
        if isinstance(line, list) and len(line) > 2:
            call = AwsCall._make([*line[:-1], tuple((queue, group) for queue, group in line[-1])])
            for queue, group in dict.fromkeys(call.changed):
                self._on_sent(queue, group)
            if self._on_call is not None:
                self._on_call(call)
        elif isinstance(line, list):
            self._on_sent(*line)
        elif "ready" in line:
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
        elif "invoke" in line:
            if self._on_invoke is not None:
                self._on_invoke(line["invoke"], line["payload"], line["service"])
        elif (done := self._asked.get(line["done"])) is not None and not done.done():
            done.set_result(None)

    def _lost(self) -> None:
        for waiting in (self._ready, *self._asked.values()):
            if waiting is not None and not waiting.done():
                waiting.set_exception(GatewayError("the embedded AWS has ended"))

    def _close_sockets(self) -> None:
        for listening in self._sockets:
            listening.close()


def _package_root() -> str:
    return str(Path(__file__).resolve().parents[2])
