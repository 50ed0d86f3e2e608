"""SendMessage in the SQS query protocol: a form in, the arguments of the SDK's call out.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
"""

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

# [D] A message is text that XML 1.0 can hold.
_INVALID = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class FormError(ValueError):
    """SQS would refuse the request; the message is its error code and what it is about."""


def send_arguments(form: str, action: str = "") -> dict[str, Any]:
    """Return SendMessage's arguments, without a QueueUrl where the form has none. Raises FormError.

    `action` is the one of the request's address, if it has one. Fields that SendMessage does not know are passed over.
    """
    fields = dict(parse_qsl(form, keep_blank_values=True))
    asked = fields.get("Action", action)
    if asked != "SendMessage":
        raise FormError(f"InvalidAction: {asked or 'none'}")
    body = fields.get("MessageBody", "")
    if not body:
        raise FormError("MissingParameter: MessageBody")
    if found := _INVALID.search(body):
        raise FormError(f"InvalidMessageContents: U+{ord(found[0]):04X}")
    arguments: dict[str, Any] = {"MessageBody": body}
    for name in ("QueueUrl", "MessageGroupId", "MessageDeduplicationId"):
        if name in fields:
            arguments[name] = fields[name]
    if "DelaySeconds" in fields:
        try:
            arguments["DelaySeconds"] = int(fields["DelaySeconds"])
        except ValueError:
            raise FormError(f"MalformedInput: DelaySeconds {fields['DelaySeconds']}") from None
    if attributes := _attributes(fields):
        arguments["MessageAttributes"] = attributes
    return arguments


def _attributes(fields: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    attributes: dict[str, dict[str, Any]] = {}
    number = 1
    while (name := fields.get(f"MessageAttribute.{number}.Name")) is not None:
        prefix = f"MessageAttribute.{number}.Value."
        value: dict[str, Any] = {"DataType": fields.get(f"{prefix}DataType", "")}
        if (text := fields.get(f"{prefix}StringValue")) is not None:
            value["StringValue"] = text
        elif (binary := fields.get(f"{prefix}BinaryValue")) is not None:
            value["BinaryValue"] = _decoded(binary)
        attributes[name] = value
        number += 1
    return attributes


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise FormError("MalformedInput: BinaryValue") from None
