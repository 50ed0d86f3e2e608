"""The page without a gateway: its HTTP calls are answered here, and its room is as a test wants it (chat.js)."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from tests.e2e.people import Guest, Visitor
from tests.e2e.processes import ROOT

ROOM = "/r/AAAAAAAAAAAAAAAA#AAAAAAAAAAAAAAAAAAAAAA"
WEB = ROOT / "src" / "web"
HERE = Path(__file__).parent
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Handler(BaseHTTPRequestHandler):
    """Answers as the chat's HTTP API does (docs/chat.md), for whatever room is asked for."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        if self.path == "/config.json":
            self._say({"socket": {"url": "", "path": "/socket.io"}})
        elif self.path.startswith("/api/rooms/"):
            self._say({"room": self.path.removeprefix("/api/rooms/")} | self.server.room)
        elif self.path == "/web/chat/chat.js":
            self._send(HERE / "chat.js")
        elif self.path == "/contrast.js":
            self._send(HERE / "contrast.js")
        elif self.path.startswith("/web/"):
            self._send(WEB / self.path.removeprefix("/web/"))
        else:
            self._send(WEB / "index.html")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.room |= {name: asked[name] for name in ("title", "passphrase")}
        self._say({"room": asked["room"], "expires_at": self.server.room["expires_at"]})

    def _say(self, answer: dict[str, Any]) -> None:
        self._answer(json.dumps(answer).encode(), "application/json")

    def _send(self, file: Path) -> None:
        self._answer(file.read_bytes(), TYPES[file.suffix])

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """`room`: what is answered about a room."""

    room: dict[str, Any]
    daemon_threads = True  # a browser keeps its connections

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving() -> Iterator[Server]:
    """Serve the page on a free port."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.room = usual_room()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def usual_room() -> dict[str, Any]:
    return {"title": "", "expires_at": int(time.time()) + 3_600, "passphrase": False, "locked": False}


class Stage(Guest):
    """The page at `path`; `room`: what the server says about its room, where that is not the usual."""

    def __init__(
        self, browser: Browser, server: Server, path: str = "/", room: dict[str, Any] | None = None, **options: Any
    ) -> None:
        server.room = usual_room() | (room or {})
        Visitor.__init__(self, browser, server.url + path, **options)

    def open_room(self, title: str = "") -> None:
        """Create a room and enter it: nobody else is there."""
        self.at("title").fill(title)
        self.at("create").click()
        self.enter("Hana")

    def fill_room(self) -> None:
        """Let everybody and everything be in it that can be."""
        self.page.evaluate("staged.become(everything)")
        self.at("picture").scroll_into_view_if_needed()  # before that it is not loaded
        expect(self.at("picture")).to_have_attribute("data-state", "loaded")
        self.page.evaluate("scroller.scrollTop = scroller.scrollHeight")

    def become(self, **state: Any) -> None:
        """Change the room (the fields of chat.js)."""
        self.page.evaluate("(state) => staged.become(state)", state)

    def asked(self) -> list[list[Any]]:
        """Return what the page wanted of the room: each call's name and its values."""
        found: list[list[Any]] = self.page.evaluate("asked")
        return found
