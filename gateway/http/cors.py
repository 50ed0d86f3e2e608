"""What an API with a CORS configuration answers browsers by itself.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
"""

from gateway.http.events import HttpRequest, HttpResponse
from gateway.template.specs import Cors
from gateway.websocket.events import Headers

_PREFIX = "access-control-"


def is_preflight(request: HttpRequest) -> bool:
    """Tell whether a browser asks what it may ask."""
    return (
        request.method == "OPTIONS"
        and request.header("origin") is not None
        and request.header(f"{_PREFIX}request-method") is not None
    )


def preflight_response(cors: Cors, origin: str) -> HttpResponse:
    """Return the answer to a preflight; one of an origin that is not allowed names nothing."""
    headers = _common(cors, origin)
    if headers:
        for name, values in (("methods", cors.methods), ("headers", cors.headers)):
            if values:
                headers.append((f"{_PREFIX}allow-{name}", ",".join(values)))
        if cors.max_age is not None:
            headers.append((f"{_PREFIX}max-age", str(cors.max_age)))
    return HttpResponse(204, headers)


def with_cors(cors: Cors, origin: str | None, response: HttpResponse) -> HttpResponse:
    """Return an answer with the API's own headers for a request from `origin`; the function's do not count [D]."""
    headers = [(name, value) for name, value in response.headers if not name.lower().startswith(_PREFIX)]
    added = _common(cors, origin) if origin is not None else []
    return HttpResponse(response.status, [*headers, *added], response.body)


def _common(cors: Cors, origin: str) -> Headers:
    if not _allowed(cors, origin):
        return []
    anybody = "*" in cors.origins and not cors.credentials
    headers = [(f"{_PREFIX}allow-origin", "*" if anybody else origin)]
    if not anybody:
        headers.append(("vary", "Origin"))
    if cors.credentials:
        headers.append((f"{_PREFIX}allow-credentials", "true"))
    if cors.exposed:
        headers.append((f"{_PREFIX}expose-headers", ",".join(cors.exposed)))
    return headers


def _allowed(cors: Cors, origin: str) -> bool:
    # Beside names there are `*`, `http://*` and `https://*`.
    return any(
        wanted in ("*", origin) or (wanted.endswith("*") and origin.startswith(wanted[:-1])) for wanted in cors.origins
    )
