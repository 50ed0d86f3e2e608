"""Selection expressions: what a message says of the route, the model or the template that it takes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-selection-expressions.html
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_WHERE = r"(request\.body|integration\.response)"
_ONE = re.compile(rf"\$\{{?{_WHERE}\.([A-Za-z0-9_.\-\[\]]+)\}}?")
# Variables among other text, and a dollar sign that is none.
_PART = re.compile(rf"\$\{{{_WHERE}\.([^{{}}]+)\}}|\${_WHERE}\.([A-Za-z0-9_.\[\]]+)|\\\$")
_NOTHING: Mapping[str, str] = {}


def selected_key(selection: str, text: str, response: Mapping[str, str] = _NOTHING) -> str | None:
    """Return the value of a selection expression on a message, None where it has none.

    A static expression such as `\\$default` is its own value; `$request.body.x` looks into a JSON body once, and
    `$integration.response.x` into `response_values`. Of several variables, or one among other text, what is not found
    is empty.
    """
    if re.search(rf"\$\{{?{_WHERE}\.", selection) is None:
        return selection.replace("\\$", "$")
    body: Any = None
    if "request.body." in selection:
        try:
            body = json.loads(text)
        except ValueError:
            return None

    def value(where: str, path: str) -> str | None:
        return _found(body, path) if where == "request.body" else response.get(path.lower())

    if (one := _ONE.fullmatch(selection)) is not None:
        return value(one[1], one[2])
    return _PART.sub(
        lambda part: (value(part[1] or part[3], path) or "") if (path := part[2] or part[4]) else "$", selection
    )


def response_values(status: int, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return what `$integration.response` knows of an answer, by names in lower case.

    [I] A header's name may be in any case, and several values of one name are one, with commas, as in HTTP.
    """
    found: dict[str, list[str]] = {}
    for name, text in headers:
        for kind in ("header", "multivalueheader"):
            found.setdefault(f"{kind}.{name.lower()}", []).append(text)
    return {"statuscode": str(status), **{name: ",".join(values) for name, values in found.items()}}


def _found(value: Any, path: str) -> str | None:
    """Return what a path leads to as text, None where there is no text, number or boolean."""
    for name in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
