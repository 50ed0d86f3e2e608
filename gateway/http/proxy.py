"""HTTP endpoints behind routes: a request passed on, an answer passed back."""

import urllib3
from anyio import to_thread

from gateway.http.events import HOP_BY_HOP, HttpRequest, HttpResponse
from gateway.template.specs import HttpProxy

_CONNECTIONS = urllib3.PoolManager(maxsize=32)


class Unreachable(Exception):
    """Nothing answered; one line says why."""


async def forward(target: HttpProxy, request: HttpRequest, parameters: dict[str, str]) -> HttpResponse:
    """Return what the endpoint answers, redirects as they are. Raises Unreachable.

    Cancelling gives up on the answer; the call itself goes on in its thread.
    """
    return await to_thread.run_sync(_call, target, request, parameters, abandon_on_cancel=True)


def _call(target: HttpProxy, request: HttpRequest, parameters: dict[str, str]) -> HttpResponse:
    url = target.url
    for name, value in parameters.items():
        url = url.replace(f"{{{name.removesuffix('+')}}}", value)
    if request.query:
        url += ("&" if "?" in url else "?") + request.query
    headers = urllib3.HTTPHeaderDict()
    for name, value in request.headers:
        if name.lower() not in ("host", *HOP_BY_HOP):
            headers.add(name, value)
    method = request.method if target.method == "ANY" else target.method
    try:
        answer = _CONNECTIONS.request(
            method,
            url,
            headers=headers,
            body=request.body or None,
            redirect=False,
            retries=False,
            decode_content=False,
            timeout=urllib3.Timeout(60),
        )
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise Unreachable(f"{url}: {error}") from None
    passed = [(name.lower(), value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
    return HttpResponse(answer.status, passed, answer.data)
