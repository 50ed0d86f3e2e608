"""Lambda's own API for invoking functions: what SDKs and the AWS CLI call, without sockets.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import base64
import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from gateway.functions.failures import NOT_RUN, FunctionFailed
from gateway.functions.runtime_api import Submit
from gateway.http.events import HttpResponse
from gateway.ids import new_request_id
from gateway.journal import Entry, Invoked, Journal, Logged
from gateway.settings import Settings
from gateway.template.specs import FunctionSpec

# A function's name, partial or whole ARN, each with or without a version or an alias.
_NAME = re.compile(
    r"(?:arn:[^:]+:lambda:(?P<region>[^:]+):(?P<account>\d+):function:|(?P<owner>\d{12}):function:)?"
    r"(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>[A-Za-z0-9_$-]+))?"
)
_LONGEST_TAIL = 4096  # [D] bytes
_REFUSALS = {
    "TooManyRequestsException": (429, "Rate Exceeded."),
    "ServiceException": (500, "ServiceException"),
}
Put = Callable[[str, bytes, str, str], None]


class InvokeApi:
    """The functions of a stack, by name. `put` takes asynchronous events; see `Asynchronous.put`.

    `qualifiers` are the versions and aliases of each function, by logical id.
    """

    def __init__(
        self,
        functions: Collection[FunctionSpec],
        qualifiers: Mapping[str, Collection[str]],
        submit: Submit,
        put: Put,
        settings: Settings,
        journal: Journal,
    ) -> None:
        self._functions = {spec.name: spec for spec in functions}
        self._qualifiers = qualifiers
        self._submit = submit
        self._put = put
        self._settings = settings
        self._journal = journal

    async def invoke(
        self, name: str, qualifier: str | None, headers: Mapping[str, str], body: bytes, caller: str
    ) -> HttpResponse:
        """Answer a call for the function `name`; `headers` in lower case, `caller` the invocation that makes it."""
        request_id = new_request_id()
        try:
            spec = self._find(name, qualifier)
            payload = self._checked(body or b"{}", headers.get("x-amz-invocation-type", "RequestResponse"))
            cause = caller or request_id
            match headers.get("x-amz-invocation-type", "RequestResponse"):
                case "DryRun":
                    return HttpResponse(204, [("x-amzn-RequestId", request_id)])
                case "Event":
                    self._put(spec.logical_id, payload, cause, request_id)
                    return HttpResponse(202, [("x-amzn-RequestId", request_id)])
                case "RequestResponse":
                    tail = headers.get("x-amz-log-type") == "Tail"
                    return await self._run(spec.logical_id, payload, cause, request_id, tail=tail)
                case other:
                    raise _Refused(400, "InvalidParameterValueException", f"no invocation type {other}")
        except _Refused as refused:
            return refused.response(request_id)

    def _find(self, name: str, qualifier: str | None) -> FunctionSpec:
        found = _NAME.fullmatch(name)
        if found is None:
            raise _Refused(400, "ValidationException", f"no function can be called {name}")
        spec = self._functions.get(found["name"])
        settings = self._settings
        asked = qualifier or found["qualifier"]
        known = {"$LATEST", *self._qualifiers.get(spec.logical_id, ())} if spec is not None else set()
        elsewhere = found["region"] not in (None, settings.region) or (
            (found["account"] or found["owner"]) not in (None, settings.account_id)
        )
        if spec is None or elsewhere or (asked is not None and asked not in known):
            arn = (
                f"arn:{settings.partition}:lambda:{found['region'] or settings.region}:"
                f"{found['account'] or found['owner'] or settings.account_id}:function:{found['name']}"
            )
            raise _Refused(404, NOT_RUN, f"Function not found: {arn}" + (f":{asked}" if asked else ""))
        return spec

    def _checked(self, body: bytes, kind: str) -> bytes:
        limit = self._settings.payload_limit
        if len(body) > limit:
            words = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
            raise _Refused(413, "RequestTooLargeException", words)
        limit = self._settings.async_payload_limit
        if kind == "Event" and len(body) > limit:
            words = f"{len(body)} byte payload is too large for the Event invocation type (limit {limit} bytes)"
            raise _Refused(413, "RequestTooLargeException", words)
        try:
            json.loads(body)
        except ValueError as error:
            words = f"Could not parse request body into json: {error}"
            raise _Refused(400, "InvalidRequestContentException", words) from None
        return body

    async def _run(self, function: str, payload: bytes, cause: str, request_id: str, *, tail: bool) -> HttpResponse:
        watch = _Watch(payload)
        unsubscribe = self._journal.subscribe(watch)
        headers = [("content-type", "application/json"), ("X-Amz-Executed-Version", "$LATEST")]
        try:
            body = await self._submit(function, watch.payload, cause)
        except FunctionFailed as failure:
            if failure.error_type in _REFUSALS:
                status, words = _REFUSALS[failure.error_type]
                raise _Refused(status, failure.error_type, words) from None
            if failure.error_type == NOT_RUN:
                raise _Refused(404, NOT_RUN, failure.message) from None
            headers.append(("X-Amz-Function-Error", "Unhandled"))
            body = json.dumps(error_report(failure, watch.invocation)).encode()
        finally:
            unsubscribe()
        headers.append(("x-amzn-RequestId", watch.invocation or request_id))
        if tail:
            headers.append(("X-Amz-Log-Result", watch.tail()))
        return HttpResponse(200, headers, body)


class _Watch:
    """Reads of the journal what becomes of one invocation: the one that begins with this very payload."""

    def __init__(self, payload: bytes) -> None:
        # A copy of its own, so that no other invocation has the same object.
        self.payload = bytes(bytearray(payload))
        self.invocation = ""
        self._lines: list[str] = []

    def __call__(self, entry: Entry) -> None:
        if isinstance(entry, Invoked) and entry.payload is self.payload:
            self.invocation = entry.invocation
        elif isinstance(entry, Logged) and self.invocation and entry.invocation == self.invocation:
            self._lines.append(entry.line)

    def tail(self) -> str:
        text = "".join(line + "\n" for line in self._lines).encode()
        return base64.b64encode(text[-_LONGEST_TAIL:]).decode()


class _Refused(Exception):
    def __init__(self, status: int, kind: str, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.kind = kind
        self.words = words

    def response(self, request_id: str) -> HttpResponse:
        body: dict[str, Any] = {"Type": "User", "Message": self.words}
        if self.status == 429:
            body = {
                "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
                "Type": "User",
                "message": self.words,
            }
        headers = [("content-type", "application/json"), ("x-amzn-RequestId", request_id)]
        return HttpResponse(self.status, [*headers, ("x-amzn-ErrorType", self.kind)], json.dumps(body).encode())


def error_report(failure: FunctionFailed, invocation: str = "") -> dict[str, Any]:
    """Return what a caller gets for a function that failed; `invocation` is its request id, if it is known."""
    message = failure.message
    # What the function did not write itself names the invocation in its words [R].
    if invocation and failure.error_type.startswith(("Sandbox.", "Runtime.Exit")):
        message = f"RequestId: {invocation} Error: {message}"
    report: dict[str, Any] = {"errorMessage": message, "errorType": failure.error_type}
    if invocation and failure.trace:
        report["requestId"] = invocation
    if failure.trace:
        report["stackTrace"] = failure.trace
    return report
