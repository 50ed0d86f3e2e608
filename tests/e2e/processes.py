"""What the e2e tests start: the gateway, Node clients and reference servers, each as a process of its own."""

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
PATIENCE = 60


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def children_of(process: int) -> list[int]:
    """Return the ids of the processes that a process has started, or those have, and that live."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in table.splitlines())}
    found: list[int] = []
    for pid in parents:
        ancestor = pid
        while ancestor in parents and ancestor != process:
            ancestor = parents[ancestor]
        if ancestor == process and pid != process:
            found.append(pid)
    return found


class Process:
    """A child process whose lines of output can be waited for; ended by SIGINT, as Ctrl-C does."""

    def __init__(self, command: Sequence[str], env: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._news = threading.Condition()
        self.popen = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | (env or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout
        for line in self.popen.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, wanted: Callable[[str], bool], seconds: float = PATIENCE) -> str:
        """Return the first line that is wanted; AssertionError with all that was printed if none comes."""
        with self._news:
            self._news.wait_for(lambda: any(map(wanted, self.lines)) or not self._reader.is_alive(), seconds)
            for line in self.lines:
                if wanted(line):
                    return line
        raise AssertionError("it never said so:\n" + "\n".join(self.lines[-50:]))

    def stop(self, kind: signal.Signals = signal.SIGINT) -> int:
        """End the process; returns its exit code, and fails if it takes more than ten seconds."""
        if self.popen.poll() is None:
            self.popen.send_signal(kind)
        try:
            code = self.popen.wait(10)
        finally:
            if self.popen.poll() is None:
                self.popen.kill()
                self.popen.wait()
            self._reader.join(5)
            for stream in (self.popen.stdin, self.popen.stdout):
                if stream:
                    stream.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Gateway(Process):
    """The local gateway on the project's template."""

    def __init__(self, *options: str, single_origin: bool = True, env: dict[str, str] | None = None) -> None:
        self.single_origin = single_origin
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        parameters = ["RoomsPerHour=0", *([f"PublicUrl={self.url}"] if single_origin else [])]
        parameters += [option for option in options if not option.startswith("--") and "=" in option]
        others = [option for option in options if option not in parameters]
        command = [sys.executable, "-m", "gateway", "template.yaml", "--port", str(self.port), *others]
        command += ["--parameter-overrides", *parameters]
        super().__init__(command, env)
        try:
            self.wait_for(lambda line: line.startswith("Ready:"))
        except BaseException:
            self.stop()
            raise

    def children(self) -> list[int]:
        """Return the process ids of everything that it has started and that lives."""
        return children_of(self.popen.pid)


class NodeClient(Process):
    """A socket.io-client under Node that does what it is told; what it hears is in `heard`."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        node = shutil.which("node")
        assert node
        super().__init__([node, "tests/e2e/client.mjs", url, json.dumps(options)])
        self._answers = 0
        self._ids = iter(range(1, 1_000_000))
        self.wait_for(lambda line: line.startswith('{"connected"'))

    @property
    def heard(self) -> list[list[Any]]:
        """Every event so far: its name and its arguments."""
        return [line["event"] for line in map(json.loads, list(self.lines)) if "event" in line]

    def call(self, event: str, *args: Any) -> Any:
        """Emit with an acknowledgement, and return it."""
        number = next(self._ids)
        self._tell({"emit": [event, *args], "call": number})
        line = self.wait_for(lambda line: line.startswith(f'{{"ack":{number},'))
        return json.loads(line)["with"]

    def close(self) -> None:
        self._tell({"close": True})
        self.popen.wait(10)

    def _tell(self, command: dict[str, Any]) -> None:
        assert self.popen.stdin
        self.popen.stdin.write(json.dumps(command) + "\n")
        self.popen.stdin.flush()


class PythonClient:
    """python-socketio's client with the same three verbs."""

    EVENTS = ("message", "changed", "reacted", "joined", "left", "typing", "seen", "room", "removed", "burned")

    def __init__(self, url: str, path: str, namespace: str = "/", events: Sequence[str] = EVENTS, auth: Any = None):
        import socketio

        self.heard: list[list[Any]] = []
        self._news: queue.Queue[None] = queue.Queue()
        self.client = socketio.Client(reconnection=False)
        self.namespace = namespace
        for event in events:
            self.client.on(event, self._hear(event), namespace=namespace)
        self.client.on("disconnect", self._hear("disconnect"), namespace=namespace)
        self.client.connect(
            url, transports=["websocket"], socketio_path=path, namespaces=[namespace], auth=auth, wait_timeout=PATIENCE
        )

    def _hear(self, event: str) -> Callable[..., None]:
        def hear(*args: Any) -> None:
            self.heard.append([event, *args])
            self._news.put(None)

        return hear

    def call(self, event: str, *args: Any) -> Any:
        return self.client.call(event, args[0] if len(args) == 1 else args or None, namespace=self.namespace)

    def close(self) -> None:
        self.client.disconnect()


def in_order(client: Any) -> Callable[[], None]:
    """Have a python-socketio client handle its messages one after another; returns what ends that.

    python-engineio handles each in a thread of its own, and they may overtake each other.
    """
    trigger = client.eio._trigger_event
    messages: queue.Queue[tuple[Any, ...] | None] = queue.Queue()

    def queued(event: str, *args: Any, **options: Any) -> Any:
        return messages.put(args) if event == "message" else trigger(event, *args, **options)

    def handle() -> None:
        while (args := messages.get()) is not None:
            trigger("message", *args)

    client.eio._trigger_event = queued
    threading.Thread(target=handle, daemon=True).start()
    return lambda: messages.put(None)


def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Wait for something that other processes bring about; returns it."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.02)
    return value
