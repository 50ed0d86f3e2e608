"""The process of the embedded AWS: moto behind uvicorn, with a clock, faults and a meter of the gateway's.

moto's backends are plain Python objects without locks, so its application is called on the event loop itself:
one request at a time, in the order of arrival.
"""

import asyncio
import contextlib
import gc
import io
import json
import os
import re
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gateway.aws.calls import AwsCall
from gateway.aws.faults import Answer, AwsFault, Faults, answer
from gateway.aws.lines import Lines
from gateway.clock import Clock
from gateway.functions import bootstrap
from gateway.meter import units

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/[^/]*/[^/]*/([^/]+)/")
_PRESIGNED = re.compile(r"X-Amz-Credential=([^&%/]+)(?:/|%2F)[^&%/]*(?:/|%2F)[^&%/]*(?:/|%2F)([^&%/]+)")
# In what field a service's calls name what they are about. Strings within strings have their quotes escaped.
_FIELDS = {
    "dynamodb": "TableName",
    "dynamodbstreams": "StreamArn|ShardIterator",
    "sqs": "QueueUrl|QueueName",
    "ssm": "Name",
    "secretsmanager": "SecretId|Name",
    "sns": "TopicArn|Name",
    "logs": "logGroupName",
    "events": "EventBusName|Name",
    "kinesis": "StreamName|StreamARN",
    "states": "stateMachineArn|name",
}
_RESOURCES = {service: re.compile(rf'"(?:{names})"\s*:\s*"([^"]*)"'.encode()) for service, names in _FIELDS.items()}
_FORM_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_FORM_RESOURCE = re.compile(rb"(?:^|&)(?:TopicArn|Name|RoleArn|RoleName|QueueUrl)=([^&]*)")
_CODE = re.compile(rb"<Code>([^<]*)</Code>")
# Seconds for which records of calls wait for more: writing each by itself would cost as much as making it.
_RECORDS_WITHIN = 0.005
_STREAM_TABLE = re.compile(r"table/([^/]+)/stream/")


@dataclass(slots=True)
class Request:
    """One request, and what could be told of it before moto saw it."""

    environ: dict[str, Any]
    body: bytes
    access_key: str
    service: str
    operation: str
    resource: str


class Application:
    """An ASGI application around moto, which it calls without threads."""

    def __init__(
        self,
        dispatch: Callable[[dict[str, Any], bytes], Answer],
        work: Any,
        clock: Clock,
        faults: Faults,
        on_call: Callable[[AwsCall], None],
    ) -> None:
        self._dispatch = dispatch
        self._work = work
        self._clock = clock
        self._faults = faults
        self._on_call = on_call
        # Set and replaced whenever something comes on a queue.
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """There may be something on a queue for receives that wait."""
        self._changed.set()
        self._changed = asyncio.Event()

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
        request = _request(_environ(scope, body), body)
        at, began = self._clock.now(), time.perf_counter()
        fault = self._faults.of_call(request.service, request.operation, request.resource)
        if fault is not None and fault.delay:
            await self._clock.sleep(fault.delay)
        if fault is None or fault.applied or not (fault.error or fault.cut):
            result, call = await self._perform(request)
        else:
            result, call = (500, [], b""), None
        if fault is not None and fault.error:
            result = answer(fault, request.service, request.operation, request.environ, body)
        self._tell(request, result, fault, call, at, time.perf_counter() - began)
        if fault is not None and fault.cut:
            scope["transport"].abort()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        status, headers, payload = result
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    async def _perform(self, request: Request) -> tuple[Answer, tuple[Any, ...]]:
        """Return moto's answer and what it metered; a receive that waits is asked again when something has come."""
        deadline = 0.0
        work = self._work
        while True:
            work.begin()
            result = self._call(request)
            measured = (work.write_units, work.read_units, not work.found, tuple(work.changed))
            if work.changed:
                self.wake()
            if work.found or not work.wait:
                return result, measured
            deadline = deadline or self._clock.monotonic() + work.wait
            changed, left = self._changed, deadline - self._clock.monotonic()
            if left <= 0:
                return result, measured
            # A visibility timeout that passes tells nobody.
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(min(left, 0.5)):
                    await changed.wait()

    def _call(self, request: Request) -> Answer:
        try:
            return self._dispatch(request.environ, request.body)
        except NotImplementedError as error:
            # 400, so that no SDK tries again.
            return answer(
                AwsFault(error="NotImplemented", message=f"The embedded AWS cannot do this: {error}"),
                request.service,
                request.operation,
                request.environ,
                request.body,
            )
        except Exception:
            traceback.print_exc()
            fault = AwsFault(error="InternalFailure", message="The embedded AWS failed; its words are on the console")
            return answer(fault, request.service, request.operation, request.environ, request.body)
        finally:
            request.environ["wsgi.input"] = io.BytesIO(request.body)

    def _tell(
        self,
        request: Request,
        result: Answer,
        fault: AwsFault | None,
        measured: tuple[Any, ...] | None,
        at: float,
        duration: float,
    ) -> None:
        status, headers, payload = result
        writes, reads, empty, changed = measured or (0, 0.0, False, ())
        error = "" if status < 400 else _error(headers, payload)
        if fault is not None and fault.cut:
            status, error, payload = 0, "ConnectionCut", b""
        self._on_call(
            AwsCall(
                request.access_key,
                request.service,
                request.operation,
                request.resource,
                status,
                error,
                round(at, 6),
                round(duration, 6),
                len(request.body),
                len(payload),
                writes,
                reads,
                _chunks(request.body, payload) if request.service == "sqs" else 1,
                empty,
                changed,
            )
        )


def _request(environ: dict[str, Any], body: bytes) -> Request:
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "")) or _PRESIGNED.search(environ["QUERY_STRING"])
    access_key, service = signed.groups() if signed else ("", "")
    if target:
        prefix, _, operation = target.rpartition(".")
        if prefix.startswith("DynamoDBStreams"):
            service = "dynamodbstreams"
        found = _RESOURCES[service].search(body) if service in _RESOURCES else None
        resource = _name(found[1].decode()) if found else _batch(body) if service == "dynamodb" else ""
    elif form := _FORM_ACTION.search(body):
        operation, found = form[1].decode(), _FORM_RESOURCE.search(body)
        resource = _name(found[1].decode().replace("%3A", ":").replace("%2F", "/")) if found else ""
    else:
        operation, resource = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    return Request(environ, body, access_key, service, operation, resource)


def _name(value: str) -> str:
    """Return the name in an address, an ARN or a stream's iterator."""
    if table := _STREAM_TABLE.search(value):
        return table[1]
    if value.startswith(("http:", "https:", "arn:")):
        return value.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return value


def _batch(body: bytes) -> str:
    """Return the tables of a batch."""
    with contextlib.suppress(ValueError, AttributeError):
        return ", ".join(_name(table) for table in json.loads(body).get("RequestItems", ()))
    return ""


def _chunks(body: bytes, payload: bytes) -> int:
    """Return how many requests a call of SQS is metered as."""
    if max(len(body), len(payload)) <= units.SQS_REQUEST:
        return 1
    return max(units.chunks(_messages(text), units.SQS_REQUEST) for text in (body, payload))


def _messages(text: bytes) -> int:
    """Return the size of the messages in a request or an answer: what is around them does not count."""
    try:
        call = json.loads(text)
    except ValueError:
        return len(text)
    if not isinstance(call, dict):
        return 0
    size = 0
    for message in call.get("Entries") or call.get("Messages") or [call]:
        size += len(str(message.get("MessageBody") or message.get("Body") or "").encode())
        for name, value in (message.get("MessageAttributes") or {}).items():
            content = value.get("StringValue") or value.get("BinaryValue") or ""
            size += len(name.encode()) + len(value.get("DataType", "")) + len(content.encode())
    return size


def _error(headers: list[tuple[bytes, bytes]], payload: bytes) -> str:
    """Return the code of an error answer, however its protocol says it."""
    named = dict(headers).get(b"x-amzn-errortype")
    if named:
        return named.decode("latin-1").partition(":")[0].rpartition("#")[2]
    if xml := _CODE.search(payload):
        return xml[1].decode()
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(payload).get("__type", "")).rpartition("#")[2]
    return ""


def _environ(scope: Any, body: bytes) -> dict[str, Any]:
    # PEP 3333.
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        # The path as it came: an object's key may have an escaped slash.
        "RAW_URI": scope["raw_path"].decode("latin-1"),
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
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            environ[f"HTTP_{key}"] = value.decode("latin-1")
    return environ


class _Control:
    """What the gateway asks of this process."""

    def __init__(self, clock: Clock, faults: Faults, ttl_lag: float) -> None:
        self.lines = Lines(self._asked, lambda: os._exit(0))
        self._clock = clock
        self._faults = faults
        self._ttl_lag = ttl_lag
        self.wake: Callable[[], None] = lambda: None
        self._tasks: set[asyncio.Task[None]] = set()

    def _asked(self, question: dict[str, Any]) -> None:
        task = asyncio.create_task(self._answer(question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, question: dict[str, Any]) -> None:
        match question["do"]:
            case "advance":
                await self._clock.turn(question["seconds"])
                self.expire()
                self.wake()
            case "faults":
                self._faults.set(AwsFault(**fault) for fault in question["faults"])
            case "reset":
                from moto.moto_api._internal.models import moto_api_backend

                moto_api_backend.reset()
        self.lines.send({"done": question["id"]})

    def expire(self) -> None:
        """Delete items whose time to live is over."""
        from gateway.aws import expiry

        expiry.sweep(self._clock.now(), self._ttl_lag)

    async def expire_every(self, period: float) -> None:
        """Delete them now and then."""
        while True:
            await self._clock.sleep(period)
            self.expire()


def serve(control: int, descriptors: Iterable[int], ttl_sweep: float, ttl_lag: float, region: str) -> None:
    """Serve on listening sockets until the process is killed, or the other end of the `control` socket is gone."""
    bootstrap.die_with_parent()
    # So many objects come up here, all to stay, that looking for garbage among them takes a tenth of the start.
    gc.disable()
    import uvicorn
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    # moto takes a second to import, and the gateway's own process does not need it.
    from gateway.aws import expiry, metering, repairs  # noqa: F401
    from gateway.aws.dispatch import Dispatcher

    class WithTransport(HttpToolsProtocol):
        """Tells the application its transport, so that it can cut the connection."""

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        clock, faults = Clock(), Faults()
        asked = _Control(clock, faults, ttl_lag)
        lines = asked.lines

        def later(delay: float, queue: str, group: str) -> None:
            def come() -> None:
                lines.send([queue, group])
                asked.wake()

            clock.call_later(delay, come)

        repairs.repair(clock, metering.work, faults, later)
        metering.install()

        def invoke(arn: str, payload: str, service: str) -> None:
            lines.send({"invoke": arn, "payload": payload, "service": service})

        dispatcher = Dispatcher(invoke)

        def tell(call: AwsCall) -> None:
            # Who polls a queue waits for it; a record of a call has time.
            lines.send(call, 0.0 if call.changed else _RECORDS_WITHIN)

        application = Application(dispatcher, metering.work, clock, faults, tell)
        asked.wake = application.wake
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            http=WithTransport,
            # boto3 takes a kept connection again after any pause; one that was closed meanwhile costs it a retry.
            timeout_keep_alive=86400,
            server_header=False,
        )
        await loop.create_connection(lambda: lines, sock=socket.socket(fileno=control))
        sweeping = asyncio.create_task(asked.expire_every(ttl_sweep))
        gc.freeze()
        gc.enable()
        lines.send({"ready": True})
        loop.call_later(0.001, dispatcher.warm, os.environ["MOTO_ACCOUNT_ID"], region)
        await uvicorn.Server(config).serve(sockets=[socket.socket(fileno=descriptor) for descriptor in descriptors])
        sweeping.cancel()

    asyncio.run(main(), debug=False)


if __name__ == "__main__":
    serve(int(sys.argv[1]), map(int, sys.argv[5:]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
