"""HTTP: long polling, and beside it the chat's page and rooms API, or whatever HTTP_APP names."""

import importlib
import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from mangum import Mangum

from handlers import wiring
from server.http import router

CHAT = {"chat.app:sio": "chat.api:app"}
CLIENT = Path(__file__).parent.parent / "web" / "socket.io.esm.min.js"


def _application() -> FastAPI:
    """Return the FastAPI application beside the Socket.IO one (APP); without any, Socket.IO's routes alone."""
    sio = wiring.load(os.environ["APP"])
    wiring.run(sio)
    name = os.environ.get("HTTP_APP") or CHAT.get(os.environ["APP"])
    if name:
        module, _, attribute = name.partition(":")
        found: FastAPI = getattr(importlib.import_module(module), attribute or "app")
        return found
    app = FastAPI(openapi_url=None)
    app.include_router(router(sio, client=CLIENT))
    return app


_adapter = Mangum(_application(), lifespan="off")
wiring.ready()


@wiring.guarded(lambda event: {"statusCode": 500, "headers": {"content-type": "application/json"}, "body": _ERROR})
def handler(event: wiring.Event, context: Any) -> dict[str, Any]:
    return dict(_adapter(event, context))


_ERROR = '{"error":{"code":"internal","message":"Something went wrong here. Try again."}}'
