"""What CloudFormation does to a template before SAM does: loops, and parts from other files.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-languageextensions.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-include.html
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.errors import TemplateError

_LOOP = "Fn::ForEach::"
_NOT_A_LOOP = "needs [identifier, collection, {key: value}]"


def included(value: Any, root: Path, read: Callable[[Path], Any]) -> Any:
    """Return a template's part with each `AWS::Include` replaced by what `read` gives for its local file.

    Raises TemplateError for one in S3.
    """
    if isinstance(value, list):
        return [included(item, root, read) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for key, item in value.items():
        if key == "Fn::Transform" and isinstance(item, dict) and item.get("Name") == "AWS::Include":
            location = str((item.get("Parameters") or {}).get("Location", ""))
            if not location or "://" in location:
                raise TemplateError(f"AWS::Include: {location or 'its Location'} is not a file on this machine")
            found = included(read(root / location), root, read)
            if not isinstance(found, dict):
                raise TemplateError(f"AWS::Include: {location} is not a mapping")
            result |= found
        else:
            result[key] = included(item, root, read)
    return result


def unrolled(value: Any, collection: Callable[[Any], Any]) -> Any:
    """Return a template's part with each `Fn::ForEach` written out; `collection` resolves what it goes through.

    Raises TemplateError for one that is none.
    """
    if isinstance(value, list):
        return [unrolled(item, collection) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for key, item in value.items():
        if not (isinstance(key, str) and key.startswith(_LOOP)):
            result[key] = unrolled(item, collection)
            continue
        if not isinstance(item, list) or len(item) != 3 or not isinstance(item[2], dict):
            raise TemplateError(f"{key} {_NOT_A_LOOP}")
        identifier, items, body = item
        found = collection(items)
        if not isinstance(found, list):
            raise TemplateError(f"{key} {_NOT_A_LOOP}")
        for each in map(str, found):
            result |= unrolled(_with(body, str(identifier), each), collection)
    return result


def _with(value: Any, identifier: str, each: str) -> Any:
    """Return a loop's body for one value: `${X}` and `&{X}`, the latter without what is not alphanumeric."""
    if isinstance(value, str):
        plain = "".join(filter(str.isalnum, each))
        return value.replace(f"${{{identifier}}}", each).replace(f"&{{{identifier}}}", plain)
    if isinstance(value, list):
        return [_with(item, identifier, each) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value == {"Ref": identifier}:
        return each
    return {_with(key, identifier, each): _with(item, identifier, each) for key, item in value.items()}
