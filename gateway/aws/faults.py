"""Calls of the embedded AWS that fail on purpose: which ones, and what the caller gets. Nothing is drawn at will.

Every rule draws from a generator of its own, seeded by the rule, so that the same calls meet the same faults.
"""

import html
import json
import random
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

# [D] Status of the errors that any call may meet; others get 400.
_STATUS = {
    "InternalServerError": 500,
    "InternalFailure": 500,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "SlowDown": 503,
}
_NAMESPACES = {
    "dynamodb": "com.amazonaws.dynamodb.v20120810#",
    "dynamodbstreams": "com.amazonaws.dynamodb.v20120810#",
    "sqs": "com.amazonaws.sqs#",
}
_TRANSACTIONS = ("TransactWriteItems", "TransactGetItems")


@dataclass(frozen=True, slots=True)
class AwsFault:
    """One rule. It meets the calls of `service`, `operation` and `resource` (a table, a queue), each empty for any.

    Of those it hits every nth, or a share of `rate` (0 to 1) where `every` is 0, and at most `times` in all if that is
    not 0. A call that is hit waits `delay` seconds. Then the caller gets the error `error`, with `status` or the
    code's own for 0; with `cut` the connection ends without an answer. With `applied` AWS has done its work
    nevertheless, otherwise it has not. Without error and cut the call is only late.

    `duplicate` is for what is received from queues: a message that is hit is given out again `delay` seconds later,
    though it is in flight or deleted.
    """

    service: str = ""
    operation: str = ""
    resource: str = ""
    error: str = ""
    status: int = 0
    message: str = ""
    rate: float = 1.0
    every: int = 0
    times: int = 0
    delay: float = 0.0
    applied: bool = False
    cut: bool = False
    duplicate: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for what makes no sense."""
        if not 0 <= self.rate <= 1:
            raise ValueError(f"a fault's rate is between 0 and 1, not {self.rate}")
        if self.every < 0 or self.times < 0 or self.delay < 0:
            raise ValueError("a fault's every, times and delay are not negative")
        if self.duplicate and (self.error or self.cut):
            raise ValueError("a fault either gives messages out again or fails calls: take two")


class _Rule:
    """A rule and where it stands."""

    def __init__(self, fault: AwsFault) -> None:
        self.fault = fault
        self._draw = random.Random(fault.seed)
        self._met = 0
        self._hit = 0

    def hits(self, service: str, operation: str, resource: str) -> bool:
        fault = self.fault
        wanted = ((fault.service, service), (fault.operation, operation), (fault.resource, resource))
        if any(rule not in ("", given) for rule, given in wanted):
            return False
        self._met += 1
        hit = self._met % fault.every == 0 if fault.every else self._draw.random() < fault.rate
        if not hit or (fault.times and self._hit == fault.times):
            return False
        self._hit += 1
        return True


class Faults:
    """The rules that hold. The first one that hits a call is the one that it meets."""

    def __init__(self) -> None:
        self.set(())

    def set(self, faults: Iterable[AwsFault]) -> None:
        """Let these rules hold, from their beginning, and no others."""
        rules = [_Rule(fault) for fault in faults]
        self._calls = [rule for rule in rules if not rule.fault.duplicate]
        self._messages = [rule for rule in rules if rule.fault.duplicate]

    def of_call(self, service: str, operation: str, resource: str) -> AwsFault | None:
        """Return what a call meets."""
        return _first(self._calls, service, operation, resource)

    def of_message(self, queue: str) -> AwsFault | None:
        """Return what a message meets that is received from a queue."""
        return _first(self._messages, "sqs", "ReceiveMessage", queue) if self._messages else None


def _first(rules: Iterable[_Rule], service: str, operation: str, resource: str) -> AwsFault | None:
    # Each rule sees each call, so that what one draws does not hang on another.
    hit = [rule.fault for rule in rules if rule.hits(service, operation, resource)]
    return hit[0] if hit else None


def answer(fault: AwsFault, service: str, operation: str, environ: Mapping[str, Any], body: bytes) -> Answer:
    """Return the error answer of a call in its protocol's shape.

    https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html#operation-error-serialization and its siblings
    """
    code = fault.error
    fields: dict[str, Any] = {}
    if code in ("TransactionConflict", "TransactionConflictException"):
        code, fields = _conflict(operation, body)
    status = fault.status or _STATUS.get(code, 400)
    message = fields.pop("message", fault.message or f"{code}: a fault on purpose")
    request_id = str(uuid.uuid4())
    target, content_type = environ.get("HTTP_X_AMZ_TARGET"), str(environ.get("CONTENT_TYPE", ""))
    headers = [(b"x-amzn-requestid", request_id.encode())]
    if target:
        words = json.dumps({"__type": _NAMESPACES.get(service, "") + code, "message": message, **fields})
        kind = content_type or "application/x-amz-json-1.0"
        if service == "sqs":
            headers.append((b"x-amzn-query-error", f"{code};{'Receiver' if status >= 500 else 'Sender'}".encode()))
    elif "x-www-form-urlencoded" in content_type or service in ("s3", "s3control", "route53", "cloudfront"):
        inner = f"<Code>{html.escape(code)}</Code><Message>{html.escape(message)}</Message>"
        words = f"<RequestId>{request_id}</RequestId>"
        if service == "s3":
            words = f"<Error>{inner}{words}</Error>"
        else:
            blame = "Receiver" if status >= 500 else "Sender"
            words = f"<ErrorResponse><Error><Type>{blame}</Type>{inner}</Error>{words}</ErrorResponse>"
        kind = "text/xml"
    else:
        words = json.dumps({"message": message})
        kind = "application/json"
        headers.append((b"x-amzn-errortype", code.encode()))
    payload = words.encode()
    headers += [(b"content-type", kind.encode()), (b"content-length", str(len(payload)).encode())]
    return status, headers, payload


def _conflict(operation: str, body: bytes) -> tuple[str, dict[str, Any]]:
    """Return the code and fields of a conflict with a transaction: a transaction itself is cancelled for it.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    if operation not in _TRANSACTIONS:
        return "TransactionConflictException", {}
    try:
        count = len(json.loads(body)["TransactItems"])
    except (ValueError, KeyError, TypeError):
        count = 1
    reasons = [{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}]
    reasons += [{"Code": "None"}] * (count - 1)
    words = ", ".join(reason["Code"] for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{words}]"
    return "TransactionCanceledException", {"message": message, "CancellationReasons": reasons}
