"""DynamoDB and SQS for the gateway: moto in a process of its own, and how the gateway starts and stops it.

moto's backends are plain Python objects without locks, so its application is called on the event loop itself:
one request at a time, in the order of arrival.
"""

import asyncio
import contextlib
import io
import json
import os
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gateway.errors import GatewayError
from gateway.functions import bootstrap

_READY = b"ready\n"
_SENT = ("AmazonSQS.SendMessage", "AmazonSQS.SendMessageBatch", "AmazonSQS.ChangeMessageVisibility")


class MotoServer:
    """The embedded AWS. `endpoint` is known at once, `start` returns when it answers.

    It listens on `port`, 0 for a free one, of the loopback and of the `others`, addresses of this machine.
    `on_sent(queue_url, group)` is called after messages were put on a queue, once for each message group; the group is
    empty where there is none, or it is not known. Raises OSError where it cannot listen.
    """

    def __init__(
        self, account_id: str, on_sent: Callable[[str, str], None], port: int = 0, others: Sequence[str] = ()
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
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self, timeout: float = 60) -> None:
        """Start the process. Raises GatewayError if it ends or is not ready in `timeout` seconds."""
        descriptors = [listening.fileno() for listening in self._sockets]
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.aws.server",
            *map(str, descriptors),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=descriptors,
            env={
                **os.environ,
                bootstrap.PARENT: str(os.getpid()),
                "PYTHONPATH": os.pathsep.join(filter(None, [_package_root(), os.environ.get("PYTHONPATH")])),
                "MOTO_ACCOUNT_ID": self._account_id,
            },
            start_new_session=True,
        )
        self._close_sockets()
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout):
                line = await self._process.stdout.readline()
        except TimeoutError:
            line = b""
        if line != _READY:
            await self.close()
            raise GatewayError("the embedded AWS did not start; its own words are above")
        self._reader = asyncio.create_task(self._read(self._process.stdout))

    async def close(self) -> None:
        """Kill the process."""
        self._close_sockets()
        if self._reader is not None:
            self._reader.cancel()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def _close_sockets(self) -> None:
        for listening in self._sockets:
            listening.close()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            url, _, group = line.decode().strip().partition(" ")
            self._on_sent(url, group)


def _package_root() -> str:
    return str(Path(__file__).resolve().parents[2])


# ---------------------------------------------------------------- the child


class OneAtATime:
    """An ASGI application around a WSGI one, which it calls without threads."""

    def __init__(self, wsgi: Callable[..., Iterable[bytes]], on_answer: Callable[[str, bytes, int], None]) -> None:
        self._wsgi = wsgi
        self._on_answer = on_answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        parts = []
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(parts)
        environ = _environ(scope, body)
        status, headers, answer = self._call(environ)
        self._on_answer(environ.get("HTTP_X_AMZ_TARGET", ""), body, status)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _call(self, environ: dict[str, Any]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started[:] = [int(status.split(" ", 1)[0]), headers]

        result = self._wsgi(environ, start_response)
        try:
            answer = b"".join(result)
        finally:
            if hasattr(result, "close"):
                result.close()
        names = {name.lower() for name, _ in started[1]}
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in started[1]]
        if "content-length" not in names:
            headers.append((b"content-length", str(len(answer)).encode()))
        return started[0], headers, answer


def _environ(scope: Any, body: bytes) -> dict[str, Any]:
    # PEP 3333.
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value.decode("latin-1")
        elif key != "CONTENT_LENGTH":
            environ[f"HTTP_{key}"] = value.decode("latin-1")
    return environ


def _tell(target: str, body: bytes, status: int) -> None:
    if status == 200 and target in _SENT:
        with contextlib.suppress(ValueError, KeyError, BrokenPipeError):
            request = json.loads(body)
            groups = {message.get("MessageGroupId", "") for message in request.get("Entries", [request])}
            # Neither has a blank in it.
            print(*(f"{request['QueueUrl']} {group}" for group in groups), sep="\n", flush=True)


def serve(descriptors: Iterable[int]) -> None:
    """Serve on listening sockets until the process is killed, or its standard input ends."""
    bootstrap.die_with_parent()
    import moto.dynamodb.responses
    import moto.sqs.responses  # noqa: F401
    import uvicorn
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    # moto takes a second to import, and the gateway's own process does not need it.
    from gateway.aws import repairs

    repairs.repair()
    config = uvicorn.Config(
        OneAtATime(DomainDispatcherApplication(create_backend_app), _tell),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        http="httptools",
        # boto3 takes a kept connection again after any pause; one that was closed meanwhile costs it a retry.
        timeout_keep_alive=86400,
        server_header=False,
    )
    server = uvicorn.Server(config)

    async def main() -> None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), lambda: os.read(0, 1) or os._exit(0))
        print(_READY.decode(), end="", flush=True)
        await server.serve(sockets=[socket.socket(fileno=descriptor) for descriptor in descriptors])

    asyncio.run(main(), debug=False)


if __name__ == "__main__":
    serve(map(int, sys.argv[1:]))
