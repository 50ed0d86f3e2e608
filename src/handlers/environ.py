"""The WSGI environ that a ``connect`` handler gets, made of the $connect event: later events carry no headers."""

from typing import Any
from urllib.parse import urlencode

# What API Gateway and the WebSocket handshake put in; it tells an application nothing, and every write pays for it.
_LEFT_OUT = ("sec-websocket-", "x-amzn-")


def environ_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return the environ; all values are strings.

    Keys as in PEP 3333. ``REMOTE_ADDR`` is API Gateway's view: behind a CDN the client's address is in
    ``HTTP_X_FORWARDED_FOR``.
    """
    context = event["requestContext"]
    identity = context.get("identity", {})
    query = event.get("multiValueQueryStringParameters") or event.get("queryStringParameters") or {}
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/socket.io/",
        "QUERY_STRING": urlencode(query, doseq=True),
        "REMOTE_ADDR": identity.get("sourceIp", ""),
        "SERVER_NAME": context.get("domainName", ""),
        "wsgi.url_scheme": "https",
    }
    for name, value in (event.get("headers") or {}).items():
        if not name.lower().startswith(_LEFT_OUT):
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ
