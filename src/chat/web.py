"""The page and its files, compressed, under names that change with their content: a browser asks for each once."""

import hashlib
import time
from functools import lru_cache
from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

WEB = Path(__file__).parent.parent / "web"

WORTH_IT = 1_000
"""Bytes from which a file is compressed."""

_PREFIX = "v-"


def version() -> str:
    """Return a name for what the files hold; looked at anew each second, since on a developer's machine they change."""
    return _version(int(time.monotonic()))


@lru_cache(maxsize=1)
def _version(_: int) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in WEB.rglob("*") if path.is_file()):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(WEB)} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:12]


def page(request: Request) -> Response:
    """Answer with the page, whose files have their version in their addresses."""
    current = version()
    headers = {"ETag": f'W/"{current}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    text = (WEB / "index.html").read_text("utf-8").replace('"/web/', f'"/web/{_PREFIX}{current}/')
    return HTMLResponse(text, headers=headers)


class Files(StaticFiles):
    """Files of a folder, with or without their version before them; with it they never change."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        first, _, rest = path.partition("/")
        if not first.startswith(_PREFIX):
            return await super().get_response(path, scope)
        response = await super().get_response(rest, scope)
        if first == f"{_PREFIX}{version()}":  # else the page is of before, or of after
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def site() -> ASGIApp:
    """Return the page at `/` and `/r/{room}`, and its files below `/web`."""
    routes = [Route("/", page), Route("/r/{room_id}", page), Mount("/web", Files(directory=WEB))]
    return GZipMiddleware(Router(routes), minimum_size=WORTH_IT)
