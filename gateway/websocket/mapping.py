"""Mapping templates of integrations: Velocity, with the variables that API Gateway gives it. Text in, text out.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
https://velocity.apache.org/engine/1.7/user-guide.html
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import airspeed


class MappingError(ValueError):
    """A template asks for what is not run here, or a body is not what its functions take; one line says what."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What references see. `json_missing` is what `$input.json` gives where its path leads nowhere.

    `parameters` are the query's fields and the headers, which only `$connect` has.
    """

    context: Mapping[str, Any]
    stage_variables: Mapping[str, str]
    body: str
    json_missing: str = '""'
    parameters: Mapping[str, str] = field(default_factory=dict)


_CALL = re.compile(r"\$!?\{?(?P<root>input|util)\.(?P<name>\w+)")
_JSON_STEP = re.compile(r"""\.(?P<name>[\w-]+)|\[(?P<number>\d+)\]|\['(?P<quoted>[^']*)'\]|\["(?P<double>[^"]*)"\]""")


class Template:
    """A mapping template. Raises MappingError where it is no Velocity, and for a function that is not known here."""

    def __init__(self, text: str) -> None:
        for found in _CALL.finditer(text):
            if found["name"] not in (_UTIL if found["root"] == "util" else _INPUT):
                raise MappingError(f"{found[0]} in a mapping template")
        self._template = airspeed.Template(text)
        try:
            self._template.ensure_compiled()
        except airspeed.TemplateError as error:
            raise MappingError(f"a mapping template: {error}") from None

    def render(self, scope: Scope) -> str:
        """Return the text with each reference replaced; what is undefined stays as written. Raises MappingError."""
        names = {
            "context": _in_context(scope.context),
            "stageVariables": scope.stage_variables,
            "input": _Input(scope),
            "util": _UTIL,
        }
        try:
            return str(self._template.merge(names))
        except airspeed.TemplateError as error:
            raise MappingError(str(error.__cause__ or error)) from None


def url_encode(text: str) -> str:
    """Return `text` as Java's URLEncoder writes it: a blank is `+`, and of the signs only `.-*_` stay."""
    return quote_plus(text, safe="*").replace("~", "%7E")


def escape_javascript(text: str) -> str:
    """Return `text` as Commons Lang's escapeJavaScript writes it: the slash too, and ASCII only."""
    return "".join(_ESCAPES.get(char) or (char if " " <= char <= "~" else _utf16(char)) for char in text)


_ESCAPES = {char: f"\\{char}" for char in "'\"\\/"} | {
    char: f"\\{letter}" for char, letter in zip("\b\n\t\f\r", "bntfr", strict=True)
}


def _utf16(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex().upper()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _base64_decode(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError as error:
        raise MappingError(f"$util.base64Decode: {error}") from None


def _parse_json(text: str) -> Any:
    try:
        return _shown(json.loads(text))
    except ValueError as error:
        raise MappingError(f"$util.parseJson: {error}") from None


def _of_text(function: Callable[[str], Any]) -> Callable[[Any], Any]:
    # [I] A function of nothing gives nothing, so that the whole call stays as written.
    return lambda value: None if value is None else function(str(value))


_UTIL: dict[str, Callable[[Any], Any]] = {
    "urlEncode": _of_text(url_encode),
    "urlDecode": _of_text(unquote_plus),
    "base64Encode": _of_text(lambda text: base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()),
    "base64Decode": _of_text(_base64_decode),
    "escapeJavaScript": _of_text(escape_javascript),
    "parseJson": _of_text(_parse_json),
}


# ---------------------------------------------------------------- bodies


_INPUT = ("body", "json", "path", "params")


class _Input:
    """The `$input` of a template."""

    def __init__(self, scope: Scope) -> None:
        self.body = scope.body
        self._scope = scope

    def json(self, path: str) -> str:
        value = _found(self.body, path)
        return self._scope.json_missing if value is None else _dumped(value)

    def path(self, path: str) -> Any:
        return _shown(_found(self.body, path))

    def params(self, name: str) -> str | None:
        return self._scope.parameters.get(name)


class _Truth(int):
    """A boolean that is written as Java writes it."""

    def __str__(self) -> str:
        return "true" if self else "false"


class _Object(dict[str, Any]):
    """An object that is written as JSON, with the methods of Java's that templates use.

    [?] The service has a form of its own; who needs one asks for $input.json.
    """

    def __str__(self) -> str:
        return _dumped(self)

    def keySet(self) -> "_List":
        return _List(self)

    def entrySet(self) -> "_List":
        return _List(_Object(key=key, value=value) for key, value in self.items())

    def containsKey(self, name: str) -> _Truth:
        return _Truth(name in self)

    def size(self) -> int:
        return len(self)

    def isEmpty(self) -> _Truth:
        return _Truth(not self)


class _Context(_Object):
    """The `$context`, or an object in it. [R] The whole of it is written as Java writes a map."""

    def __str__(self) -> str:
        return "{" + ", ".join(f"{name}={value}" for name, value in self.items()) + "}"


def _in_context(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _Context((name, _in_context(item)) for name, item in value.items())
    return _shown(value)


class _List(list[Any]):
    """A list that is written as JSON, with the methods of Java's that templates use."""

    def __str__(self) -> str:
        return _dumped(self)

    def size(self) -> int:
        return len(self)

    def get(self, index: int) -> Any:
        return self[index]

    def contains(self, value: Any) -> _Truth:
        return _Truth(value in self)

    def isEmpty(self) -> _Truth:
        return _Truth(not self)

    def add(self, value: Any) -> _Truth:
        self.append(value)
        return _Truth(1)


def _shown(value: Any) -> Any:
    if isinstance(value, bool):
        return _Truth(value)
    if isinstance(value, Mapping):
        return _Object((name, _shown(item)) for name, item in value.items())
    return _List(map(_shown, value)) if isinstance(value, list) else value


def _found(body: str, path: str) -> Any:
    """Return what a JSONPath of names and numbers leads to. Raises MappingError for one that searches or filters."""
    rest = path.removeprefix("$")
    # Without its `$` a path begins with a name.
    rest = f".{rest}" if rest == path and rest else rest
    steps: list[str | int] = []
    at = 0
    while step := _JSON_STEP.match(rest, at):
        steps.append(int(step["number"]) if step["number"] else step["name"] or step["quoted"] or step["double"] or "")
        at = step.end()
    if at != len(rest):
        raise MappingError(f"path {path} in a mapping template")
    try:
        value = json.loads(body)
    except ValueError:
        return None
    for key in steps:
        value = _item(value, key)
    return value


def _item(value: Any, key: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    return value[key] if isinstance(value, list) and isinstance(key, int) and key < len(value) else None


def _dumped(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, _Truth):
        return bool(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
