"""Engine.IO 4: how a session begins, and what does not begin one.

https://github.com/socketio/socket.io/blob/main/docs/engine.io-protocol/v4-current.md
"""

import json
from typing import Any

import httpx
import pytest

from tests.conformance.wire import (
    BAD_METHOD,
    BAD_REQUEST,
    POLLING,
    UNKNOWN_SESSION,
    UNKNOWN_TRANSPORT,
    UNSUPPORTED_VERSION,
    Server,
    Wire,
    handshake_of,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

FIELDS = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}


def assert_is_handshake(handshake: dict[str, Any], upgrades: list[str]) -> None:
    assert handshake.keys() == FIELDS
    assert handshake["upgrades"] == upgrades
    assert isinstance(handshake["sid"], str)
    assert len(handshake["sid"]) >= 20
    assert handshake["pingInterval"] == handshake["pingTimeout"]
    assert handshake["pingInterval"] in (2_000, 60_000)


def test_polling_opens_a_session(server: Server, wire: Wire) -> None:
    """A GET without a session is answered with the open packet alone: text that no cache may keep."""
    answer = wire.request("GET", POLLING)
    assert answer.status_code == 200
    handshake = handshake_of(answer.text)
    assert_is_handshake(handshake, ["websocket"])
    assert handshake["maxPayload"] == 1_000_000
    assert answer.headers["content-type"].lower().replace(" ", "") == "text/plain;charset=utf-8"
    if server.ours:
        assert answer.headers["cache-control"] == "no-store"


def test_parameters_of_no_meaning_are_allowed(wire: Wire) -> None:
    """Clients add a time stamp against caches (`t`), and some `b64`."""
    answer = wire.request("GET", {**POLLING, "t": "N8hyd6w", "b64": "1"})
    assert answer.status_code == 200
    assert_is_handshake(handshake_of(answer.text), ["websocket"])


def test_websocket_opens_a_session(server: Server, wire: Wire) -> None:
    """The first frame is the open packet; from a WebSocket there is nothing to upgrade to."""
    socket = wire.websocket()
    assert_is_handshake(socket.handshake, [])
    assert socket.handshake["maxPayload"] > 0


def test_sessions_are_told_apart(wire: Wire) -> None:
    """Each handshake has a session id of its own."""
    talks = [wire.polling(), wire.polling(), wire.websocket(), wire.websocket()]
    assert len({talk.sid for talk in talks}) == 4


@pytest.mark.parametrize("version", [{}, {"EIO": "2"}, {"EIO": "abc"}, {"EIO": "5"}])
def test_polling_of_another_version(server: Server, wire: Wire, version: dict[str, str]) -> None:
    """EIO is mandatory, and 4 or 3; all else is answered 400. Node's server, if it takes 3, takes all for 3."""
    if not server.ours and server.serves_3():
        pytest.skip("a rule of ours")
    server.refuses(wire.request("GET", {"transport": "polling", **version}), UNSUPPORTED_VERSION)


@pytest.mark.parametrize("version", ["", "2", "abc"])
def test_websocket_of_another_version(server: Server, wire: Wire, version: str) -> None:
    """EIO is mandatory for WebSocket, too."""
    if not server.ours and server.serves_3():
        pytest.skip("a rule of ours")
    wire.refused(EIO=version)


@pytest.mark.parametrize("transport", [{}, {"transport": "abc"}, {"transport": "webtransport"}])
def test_polling_of_an_unknown_transport(server: Server, wire: Wire, transport: dict[str, str]) -> None:
    """`transport` is mandatory; what the server does not have is answered 400."""
    server.refuses(wire.request("GET", {"EIO": "4", **transport}), UNKNOWN_TRANSPORT)


@pytest.mark.parametrize("transport", ["", "abc"])
def test_websocket_of_an_unknown_transport(wire: Wire, transport: str) -> None:
    """`transport` is mandatory for WebSocket, too."""
    wire.refused(transport=transport)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_only_get_opens_a_session(server: Server, wire: Wire, method: str) -> None:
    """The handshake is a GET."""
    server.refuses(wire.request(method, POLLING, "40"), BAD_METHOD)


def test_websocket_by_plain_http(server: Server, wire: Wire) -> None:
    """A GET that says `transport=websocket` but asks for no upgrade opens nothing."""
    server.refuses(wire.request("GET", {"EIO": "4", "transport": "websocket"}), BAD_REQUEST)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_polling_of_an_unknown_session(server: Server, wire: Wire, method: str) -> None:
    """A session id that the server does not know is answered 400, whatever it looks like."""
    for sid in ("AAAAAAAAAAAAAAAAAAAA", "constructor", "a/../b", "é", "x" * 3000):
        server.refuses(wire.request(method, {**POLLING, "sid": sid}, "40"), UNKNOWN_SESSION)


def test_websocket_of_an_unknown_session(wire: Wire) -> None:
    """An upgrade of a session that the server does not know is refused."""
    wire.refused(sid="AAAAAAAAAAAAAAAAAAAA")


def test_the_version_stays(server: Server, wire: Wire) -> None:
    """EIO is mandatory in every request of a session; one without it, or with another, leaves the session alone."""
    polling = wire.polling()
    server.refuses(polling.request("GET", EIO=""), BAD_REQUEST)
    server.refuses(polling.request("POST", "40", EIO="3"), BAD_REQUEST)
    wire.refused(sid=polling.sid, EIO="3")
    polling.join()


def test_the_transport_stays(server: Server, wire: Wire) -> None:
    """A polling session is not asked by `transport=websocket` without an upgrade, nor with none; it stays as it is."""
    polling = wire.polling()
    server.refuses(polling.request("GET", transport="websocket"), BAD_REQUEST)
    server.refuses(polling.request("POST", "40", transport="websocket"), BAD_REQUEST)
    server.refuses(polling.request("GET", transport=""), UNKNOWN_TRANSPORT)
    server.refuses(polling.request("GET", transport="abc"), UNKNOWN_TRANSPORT)
    polling.join()


def test_a_websocket_session_is_not_polled(server: Server, wire: Wire) -> None:
    """A session that began by WebSocket takes no requests of long polling.

    Node says "Bad request" for it; here long polling knows of no such session, and looks for none.
    """
    socket = wire.websocket()
    query = {**POLLING, "sid": socket.sid}
    server.refuses(wire.request("GET", query), UNKNOWN_SESSION)
    server.refuses(wire.request("POST", query, "40"), UNKNOWN_SESSION)
    socket.join()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods(wire: Wire, method: str) -> None:
    """A session is asked by GET and POST; another method is an error, and changes nothing."""
    polling = wire.polling()
    assert polling.request(method, "40").status_code >= 400
    polling.join()


# ---------------------------------------------------------------- other origins
FOREIGN = {"Origin": "https://elsewhere.example"}


def assert_says_nothing_to_strangers(answer: httpx.Response) -> None:
    assert not [name for name in answer.headers if name.startswith("access-control-allow-")], answer.headers


def test_pages_of_other_origins_read_nothing(wire: Wire) -> None:
    """By default no other origin is let in: without Access-Control-Allow-Origin its page cannot read an answer."""
    assert_says_nothing_to_strangers(wire.request("GET", POLLING, headers=FOREIGN))
    polling = wire.polling()
    assert_says_nothing_to_strangers(wire.request("POST", {**POLLING, "sid": polling.sid}, "40", FOREIGN))


def test_pages_of_other_origins_are_not_preflighted(wire: Wire) -> None:
    """Nor does a preflight allow it a request with headers of its own."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = wire.request("OPTIONS", POLLING, headers=FOREIGN | asked)
    assert_says_nothing_to_strangers(answer)
    assert answer.status_code < 500


def test_pages_of_the_same_origin(server: Server, wire: Wire) -> None:
    """The server's own page names its origin, and is served."""
    answer = wire.request("GET", POLLING, headers={"Origin": server.url})
    assert json.loads(answer.text[1:]).keys() == FIELDS
