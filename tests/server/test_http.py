"""Engine.IO's routes beside an application's own, and who else's pages may use them."""

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI

from server.http import router
from server.ports import Unavailable
from tests.server.rig import Rig

OPEN = "/socket.io/?EIO=4&transport=polling"
OURS, FOREIGN = "https://chat.example.com", "https://evil.example.com"


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/"])


class Web:
    """Requests to an application, without a server."""

    def __init__(self, app: FastAPI) -> None:
        self._transport = httpx.ASGITransport(app)

    def request(self, method: str, url: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://test") as client:
                return await client.request(method, url, headers=headers)

        return anyio.run(ask)

    def get(self, url: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.request("GET", url, headers)


def client(rig: Rig, **options: Any) -> Web:
    app = FastAPI()
    app.include_router(router(rig.sio, **options))

    @app.get("/hello")
    def hello() -> dict[str, int]:
        rig.sio.emit("visited")
        return {"members": len(rig.sio.members(None))}

    return Web(app)


def test_beside_routes_of_its_own(rig: Rig) -> None:
    web = client(rig)
    opened = web.get(OPEN)
    assert opened.status_code == 200
    assert opened.text.startswith('0{"sid":')
    assert opened.headers["cache-control"] == "no-store"
    listener = rig.client("/")
    assert web.get("/hello").json() == {"members": 1}
    assert listener.take() == ['42["visited"]']


def test_errors_have_a_code(rig: Rig) -> None:
    answer = client(rig).get("/socket.io/?EIO=4&transport=pigeon")
    assert answer.status_code == 400
    assert answer.json() == {"code": 0, "message": "Transport unknown"}


def test_a_table_that_does_not_answer(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise Unavailable("throttled")

    monkeypatch.setattr(rig.world.connections, "open", refuse)
    assert client(rig).get(OPEN).status_code == 503


@pytest.mark.parametrize(
    ("options", "environment", "origin", "allowed"),
    [
        ({}, "", FOREIGN, False),
        ({}, OURS, FOREIGN, False),
        ({}, f"https://x.example.com, {OURS}", OURS, True),
        ({}, "*", FOREIGN, True),
        ({"origins": OURS}, "", OURS, True),
        ({"origins": ""}, "*", FOREIGN, False),
    ],
)
def test_origins(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, options: Any, environment: str, origin: str, allowed: bool
) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", environment)
    web = client(rig, **options)
    answer = web.get(OPEN, headers={"Origin": origin})
    assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
    assert answer.headers.get("access-control-allow-credentials") == ("true" if allowed else None)
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a"}
    preflight = web.request("OPTIONS", OPEN, asked)
    assert preflight.status_code == 204
    assert preflight.headers.get("access-control-allow-methods") == ("GET,POST" if allowed else None)
    assert preflight.headers.get("access-control-allow-headers") == ("x-a" if allowed else None)


def test_the_client_bundle(rig: Rig, tmp_path: Path) -> None:
    bundle = tmp_path / "socket.io.esm.min.js"
    bundle.write_text("export {};")
    answer = client(rig, client=bundle).get("/socket.io/socket.io.esm.min.js")
    assert answer.text == "export {};"
    assert "javascript" in answer.headers["content-type"]
