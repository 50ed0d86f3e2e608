"""Authorizers, signatures, keys, models and limits of a template, through sockets and processes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.gateway.conftest import ROOT, SESSION, Started, gateway

TEMPLATE = ROOT / "tests" / "gateway" / "doors" / "template.yaml"


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    # Neither tables nor queues: no AWS is asked for anything.
    log = tmp_path_factory.mktemp("doors") / "log"
    with gateway(log, str(TEMPLATE), "--endpoint-url", "http://127.0.0.1:9") as running:
        yield running


def at(doors: Started, path: str) -> str:
    return doors.url.replace("http", "ws", 1) + path


@pytest.mark.parametrize(
    ("query", "status", "body"),
    [
        ("", 401, '{"message":"Unauthorized"}'),
        ("?token=unknown", 401, '{"message":"Unauthorized"}'),
        ("?token=bad", 403, '{"message":"User is not authorized to access this resource"}'),
    ],
)
def test_an_authorizer_refuses(doors: Started, query: str, status: int, body: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(at(doors, f"/live{query}"), proxy=None)
    response = refused.value.response
    assert (response.status_code, (response.body or b"").decode()) == (status, body)


def test_code_reaches_its_caller_at_the_address_of_the_event(doors: Started) -> None:
    with connect(at(doors, "/live?token=good"), proxy=None) as socket:
        socket.send('{"text":"post"}')
        posted = json.loads(socket.recv(10))
        assert socket.recv(10) == "answer"
    authorizer = posted["authorizer"]
    assert (authorizer["principalId"], authorizer["level"]) == ("somebody", "7")


def test_a_model_and_a_routes_own_limit(doors: Started) -> None:
    with connect(at(doors, "/live?token=good"), proxy=None) as socket:
        socket.send('{"kind":"checked","text":"long"}')
        assert '"message": "Bad request body"' in str(socket.recv(10))
        socket.send('{"kind":"checked","text":"ok"}')
        assert socket.recv(10) == "answer"
        socket.send('{"action":"once"}')
        assert socket.recv(10) == "answer"
        socket.send('{"action":"once"}')
        assert '"message": "Too Many Requests"' in str(socket.recv(10))


def test_a_signed_address_opens_what_iam_guards(doors: Started) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(at(doors, "/signed"), proxy=None)
    assert refused.value.response.status_code == 403
    assert refused.value.response.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    request = AWSRequest("GET", f"{doors.url}/signed")
    SigV4QueryAuth(SESSION.get_credentials(), "execute-api", "us-east-1", expires=60).add_auth(request)
    with connect(str(request.url).replace("http", "ws", 1), proxy=None):
        pass


@pytest.mark.parametrize(("key", "status"), [("", 403), ("abcdefghij0123456789", 403), ("0123456789abcdefghij", 101)])
def test_a_key_of_a_usage_plan(doors: Started, key: str, status: int) -> None:
    headers = {"x-api-key": key} if key else {}
    try:
        with connect(at(doors, "/keyed"), additional_headers=headers, proxy=None) as socket:
            assert socket.response is not None
            response = socket.response
    except InvalidStatus as refused:
        response = refused.response
        assert response.body == b'{"message":"Forbidden"}'
    assert response.status_code == status


def test_all_of_the_template_is_run(doors: Started) -> None:
    assert "Not run here" not in doors.log.read_text()


def test_nobody_has_to_sign_where_that_is_turned_off(tmp_path: Path) -> None:
    arguments = (str(TEMPLATE), "--endpoint-url", "http://127.0.0.1:9", "--no-sigv4")
    with gateway(tmp_path / "log", *arguments) as running, connect(at(running, "/signed"), proxy=None):
        pass
