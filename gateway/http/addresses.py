"""Which API a request is for: by the host it names, by a path of the API's own, or the first one.

At each of them an API is as at its own address: `/{stage}/…`, and `/…` for the stage `$default`.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from gateway.http.api import HttpApi
from gateway.template.specs import HttpSpec

_HOST = re.compile(r"(?P<id>[A-Za-z0-9]+)\.(execute-api|lambda-url)\.", re.IGNORECASE)
_PATH = re.compile(r"/_apis/(?P<id>[^/]+)(?P<rest>/.*)?", re.DOTALL)


class Found(NamedTuple):
    """An API, the path as at its own address, and whether the request named the API; `domain` is the host it named."""

    api: HttpApi
    path: str
    named: bool
    domain: str | None = None

    @property
    def claims(self) -> bool:
        """Whether the path is this API's even where a WebSocket API has a stage of the name."""
        return self.named or self.path.strip("/") in self.api.spec.stages


def paths(specs: Sequence[HttpSpec]) -> dict[str, str]:
    """Return below which path each API is, by its id: none for the first one that is no function's URL."""
    found = {spec.api_id: f"/_apis/{spec.api_id}" for spec in specs}
    return found | {spec.api_id: "" for spec in [spec for spec in specs if spec.kind != "URL"][:1]}


class Addresses:
    """The APIs of a stack. Each has an id and a logical id; the first one is at `/` too, unless it is a function's."""

    def __init__(self, apis: Sequence[HttpApi]) -> None:
        below = paths([api.spec for api in apis])
        self._apis = {api.spec.api_id: api for api in apis}
        self._logical = {api.spec.logical_id: api for api in apis}
        self.first = next((api for api in apis if not below[api.spec.api_id]), None)

    def find(self, host: str, path: str) -> Found | None:
        """Return what a request with the header `host` for `path` reaches, or None."""
        by_host = _HOST.match(host)
        if by_host is not None and (api := self._apis.get(by_host["id"].lower())) is not None:
            return Found(api, path, True, host)
        by_path = _PATH.fullmatch(path)
        if by_path is not None:
            found = self._apis.get(by_path["id"]) or self._logical.get(by_path["id"])
            if found is not None:
                return Found(found, by_path["rest"] or "/", True)
        return None if self.first is None else Found(self.first, path, False)

    def urls(self, base: str) -> list[tuple[str, str]]:
        """Return each address of each API below `base`, such as `http://127.0.0.1:3000`, with its logical id."""
        below = paths([api.spec for api in self._apis.values()])
        found = []
        for api in self._apis.values():
            at = base + below[api.spec.api_id]
            for stage in api.spec.stages:
                found.append((f"{at}/" if stage == "$default" else f"{at}/{stage}/", api.spec.logical_id))
        return found
