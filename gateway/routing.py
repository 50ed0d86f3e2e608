"""Which route a message or a request takes."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from gateway.template.specs import HttpRoute, WebSocketRoute, WebSocketSpec
from gateway.websocket.selection import selected_key

_RESERVED = ("$connect", "$disconnect")


def select_route(spec: WebSocketSpec, text: str) -> WebSocketRoute | None:
    """Return the route of a message: the selection's value if it is a route key, else `$default`, else None.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html
    """
    key = selected_key(spec.selection, text)
    if key is not None and key not in _RESERVED and key in spec.routes:
        return spec.routes[key]
    return spec.routes.get("$default")


def match_http(routes: Sequence[HttpRoute], method: str, path: str) -> tuple[HttpRoute, dict[str, str]] | None:
    """Return the route of a request and its path parameters.

    The most specific path wins: literal before `{name}` before `{name+}` before `$default`, and a method before ANY.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
    """
    best: tuple[tuple[Any, ...], HttpRoute, dict[str, str]] | None = None
    for route in routes:
        if route.method not in (method, "ANY"):
            continue
        found = _pattern(route.path)
        if found is None:
            rank: tuple[Any, ...] = (1,)
            parameters: dict[str, str] = {}
        else:
            match = found[0].fullmatch(path)
            if match is None:
                continue
            parameters = {name: match[f"p{index}"] for index, name in enumerate(found[1])}
            rank = (0, found[2], route.method == "ANY")
        if best is None or rank < best[0]:
            best = (rank, route, parameters)
    return None if best is None else (best[1], best[2])


@lru_cache(maxsize=512)
def _pattern(path: str) -> tuple[re.Pattern[str], list[str], tuple[int, ...]] | None:
    """Return a route path as an expression, its parameters' names and a rank a segment; None for `$default`."""
    if path == "$default":
        return None
    names: list[str] = []
    parts = []
    rank = []
    for segment in path.strip("/").split("/"):
        if segment.startswith("{") and segment.endswith("}"):
            greedy = segment.endswith("+}")
            parts.append(f"(?P<p{len(names)}>{'.+' if greedy else '[^/]+'})")
            names.append(segment[1:-1].rstrip("+"))
            rank.append(2 if greedy else 1)
        else:
            parts.append(re.escape(segment))
            rank.append(0)
    # [R] A slash at the end is ignored, except that a greedy part keeps it.
    return re.compile("/" + "/".join(parts) + "/?", re.DOTALL), names, tuple(rank)
