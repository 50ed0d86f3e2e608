"""Lambda's Invoke API, without processes; what SDKs make of it is in `test_started`."""

import asyncio
import base64
import json
from typing import Any

import pytest

from gateway.functions.failures import NOT_RUN, FunctionFailed
from gateway.functions.invoke import InvokeApi, error_report
from gateway.http.events import HttpResponse
from gateway.journal import Invoked, Journal, Logged
from gateway.settings import Settings
from gateway.template.specs import FunctionSpec
from tests.gateway.conftest import ROOT

pytestmark = pytest.mark.anyio


class Api:
    """The API of one function, `fn`, which answers with `answer`."""

    def __init__(self, answer: bytes | FunctionFailed = b"null") -> None:
        self.answer = answer
        self.causes: list[str] = []
        self.put: list[tuple[str, bytes, str, str]] = []
        self.journal = Journal()
        spec = FunctionSpec("Fn", "fn", "arn:fn", "a.b", ROOT)
        settings = Settings(payload_limit=100, async_payload_limit=50)
        self.core = InvokeApi(
            [spec], {"Fn": {"live"}}, self.submit, lambda *event: self.put.append(event), settings, self.journal
        )

    def submit(self, function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        self.causes.append(cause)
        # Another invocation of the same event, at the same time.
        for invocation, event in (("other", bytes(bytearray(payload))), ("mine", payload)):
            self.journal.write(Invoked(0, invocation, function, cause, event, None))
            self.journal.write(Logged(0, invocation, function, f"a line of {invocation}"))
        result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if isinstance(self.answer, bytes):
            result.set_result(self.answer)
        else:
            result.set_exception(self.answer)
        return result

    async def invoke(self, body: bytes = b"{}", name: str = "fn", caller: str = "", **headers: str) -> HttpResponse:
        given = {f"x-amz-{key.replace('_', '-')}": value for key, value in headers.items()}
        return await self.core.invoke(name, None, given, body, caller)


def refusal(response: HttpResponse) -> tuple[int, str]:
    return response.status, dict(response.headers)["x-amzn-ErrorType"]


async def test_the_log_is_that_of_the_invocation() -> None:
    api = Api(b'{"a":1}')
    response = await api.invoke(log_type="Tail", caller="invocation of the caller")
    headers = dict(response.headers)
    assert (response.status, response.body) == (200, b'{"a":1}')
    assert base64.b64decode(headers["X-Amz-Log-Result"]) == b"a line of mine\n"
    assert headers["x-amzn-RequestId"] == "mine"
    assert api.causes == ["invocation of the caller"]
    assert "X-Amz-Log-Result" not in dict((await api.invoke()).headers)
    # Who called nobody knows: the request itself is the cause.
    assert len(api.causes[1]) == 36


async def test_what_a_crash_says() -> None:
    response = await Api(FunctionFailed("Sandbox.Timedout", "Task timed out after 3.00 seconds")).invoke()
    assert response.status == 200
    assert dict(response.headers)["X-Amz-Function-Error"] == "Unhandled"
    assert json.loads(response.body) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: mine Error: Task timed out after 3.00 seconds",
    }
    assert error_report(FunctionFailed("E", "m")) == {"errorType": "E", "errorMessage": "m"}


@pytest.mark.parametrize(
    ("failure", "status"),
    [("TooManyRequestsException", 429), ("ServiceException", 500), (NOT_RUN, 404)],
)
async def test_what_lambda_itself_refuses(failure: str, status: int) -> None:
    response = await Api(FunctionFailed(failure, "m")).invoke()
    assert refusal(response) == (status, failure)
    if status == 429:
        assert json.loads(response.body)["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"name": "fn:dead"}, (404, "ResourceNotFoundException")),
        ({"name": "arn:aws:lambda:eu-west-1:123456789012:function:fn"}, (404, "ResourceNotFoundException")),
        ({"name": "999999999999:function:fn"}, (404, "ResourceNotFoundException")),
        ({"name": "f n"}, (400, "ValidationException")),
        ({"body": b'{"a"'}, (400, "InvalidRequestContentException")),
        ({"body": b"1" * 101}, (413, "RequestTooLargeException")),
        ({"body": b"1" * 51, "invocation_type": "Event"}, (413, "RequestTooLargeException")),
        ({"invocation_type": "Later"}, (400, "InvalidParameterValueException")),
    ],
)
async def test_refusals(arguments: dict[str, Any], expected: tuple[int, str]) -> None:
    api = Api()
    assert refusal(await api.invoke(**arguments)) == expected
    assert (api.causes, api.put) == ([], [])


@pytest.mark.parametrize(
    "name",
    ["fn", "fn:$LATEST", "fn:live", "123456789012:function:fn", "arn:aws:lambda:us-east-1:123456789012:function:fn"],
)
async def test_names(name: str) -> None:
    assert (await Api().invoke(name=name)).status == 200


async def test_events_and_dry_runs() -> None:
    api = Api()
    response = await api.invoke(b'{"a":1}', invocation_type="Event", caller="c")
    assert (response.status, response.body) == (202, b"")
    assert api.put == [("Fn", b'{"a":1}', "c", dict(response.headers)["x-amzn-RequestId"])]
    assert (await api.invoke(invocation_type="DryRun")).status == 204
    assert api.causes == []
