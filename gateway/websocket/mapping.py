"""Mapping templates of service integrations: Velocity's references, without its directives. Text in, text out.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
https://velocity.apache.org/engine/1.7/user-guide.html
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, unquote_plus


class MappingError(ValueError):
    """A template asks for what is not run here, or a body is not what its functions take; one line says what."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What references see. `json_missing` is what `$input.json` gives where its path leads nowhere."""

    context: Mapping[str, Any]
    stage_variables: Mapping[str, str]
    body: str
    json_missing: str = '""'


# What a reference or an argument comes to; None is Velocity's null, and an undefined reference.
Value = Callable[[Scope], Any]

_REFERENCE = re.compile(r"(?P<slashes>\\*)\$(?P<quiet>!?)(?P<brace>\{?)(?P<root>[A-Za-z_][\w-]*)", re.ASCII)
_DIRECTIVE = re.compile(
    r"#(?:\{?(?:set|if|elseif|else|end|foreach|include|parse|stop|break|evaluate|define|macro)\b\}?|[#*]|\[\[)"
)
_PROPERTY = re.compile(r"\.(?P<name>[A-Za-z_][\w-]*)(?P<call>\()?", re.ASCII)
_INDEX = re.compile(r"""\[\s*(?:(?P<number>\d+)|'(?P<single>[^']*)'|"(?P<double>[^"]*)")\s*\]""", re.ASCII)
_STRING = re.compile(r"""'(?P<single>[^']*)'|"(?P<double>[^"]*)\"""")
_BLANK = re.compile(r"\s*")
_JSON_STEP = re.compile(r"""\.(?P<name>[\w-]+)|\[(?P<number>\d+)\]|\['(?P<quoted>[^']*)'\]|\["(?P<double>[^"]*)"\]""")


class Template:
    """A mapping template. Raises MappingError for a directive, and for a function that is not known here."""

    def __init__(self, text: str) -> None:
        if found := _DIRECTIVE.search(text):
            raise MappingError(f"directive {found[0]} in a mapping template")
        self._parts = _parts(text)

    @property
    def refers(self) -> bool:
        """Whether there is any reference in it."""
        return len(self._parts) > 1

    def render(self, scope: Scope) -> str:
        """Return the text with each reference replaced; what is undefined stays as written. Raises MappingError."""
        return "".join(part if isinstance(part, str) else part(scope) for part in self._parts)


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


_UTIL: dict[str, Callable[[str], str]] = {
    "urlEncode": url_encode,
    "urlDecode": unquote_plus,
    "base64Encode": lambda text: base64.b64encode(text.encode("utf-8", "surrogatepass")).decode(),
    "base64Decode": _base64_decode,
    "escapeJavaScript": escape_javascript,
}


# ---------------------------------------------------------------- parsing


def _parts(text: str) -> list[str | Callable[[Scope], str]]:
    parts: list[str | Callable[[Scope], str]] = []
    at = 0
    while found := _REFERENCE.search(text, at):
        value, end = _reference(text, found)
        parts += [text[at : found.start()], _shown(found, text[found.end("slashes") : end], value)]
        at = end
    parts.append(text[at:])
    return parts


def _shown(found: re.Match[str], source: str, value: Value) -> Callable[[Scope], str]:
    """Return what prints a reference. Backslashes before a defined one halve, and an odd one keeps it as written."""
    slashes = len(found["slashes"])

    def show(scope: Scope) -> str:
        result = value(scope)
        if result is None:
            return "\\" * slashes + ("" if found["quiet"] else source)
        return "\\" * (slashes // 2) + (source if slashes % 2 else _text(result))

    return show


def _reference(text: str, found: re.Match[str]) -> tuple[Value, int]:
    """Return the value of the reference that begins at `found`, and where it ends."""
    root, at = found["root"], found.end()
    value = _root(root)
    path = f"${root}"
    while True:
        if step := _PROPERTY.match(text, at):
            path = f"{path}.{step['name']}"
            if step["call"]:
                argument, at = _argument(text, step.end(), path)
                value = _called(path, argument)
            else:
                value, at = _stepped(value, step["name"]), step.end()
        elif step := _INDEX.match(text, at):
            key = int(step["number"]) if step["number"] else step["single"] or step["double"] or ""
            value, at = _stepped(value, key), step.end()
        else:
            break
    if found["brace"]:
        if text[at : at + 1] != "}":
            raise MappingError(f"${{{found['root']}… in a mapping template has no end")
        at += 1
    return value, at


def _root(name: str) -> Value:
    if name == "context":
        return lambda scope: scope.context
    if name == "stageVariables":
        return lambda scope: scope.stage_variables
    if name == "input":
        return lambda scope: {"body": scope.body}
    return lambda scope: None


def _stepped(value: Value, key: str | int) -> Value:
    return lambda scope: _item(value(scope), key)


def _item(value: Any, key: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return None


def _argument(text: str, at: int, path: str) -> tuple[str | Value, int]:
    """Return a call's only argument, a constant or a value, and where the call ends. Raises MappingError."""
    at = _after_blank(text, at)
    argument: str | Value
    if literal := _STRING.match(text, at):
        # In double quotes references are replaced, in single ones not.
        template = Template(literal["double"] or "")
        argument = template.render if template.refers else literal["double"] or literal["single"] or ""
        at = literal.end()
    elif found := _REFERENCE.match(text, at):
        argument, at = _reference(text, found)
    else:
        raise MappingError(f"argument of {path}() in a mapping template")
    at = _after_blank(text, at)
    if text[at : at + 1] != ")":
        raise MappingError(f"arguments of {path}() in a mapping template")
    return argument, at + 1


def _after_blank(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _called(path: str, argument: str | Value) -> Value:
    if path in ("$input.json", "$input.path"):
        if not isinstance(argument, str):
            raise MappingError(f"computed path of {path}() in a mapping template")
        steps = _json_steps(argument)
        return (lambda scope: _json(scope, steps)) if path == "$input.json" else (lambda scope: _found(scope, steps))
    function = _UTIL.get(path.removeprefix("$util."))
    if function is None:
        raise MappingError(f"function {path}() in a mapping template")
    value: Value = (lambda scope: argument) if isinstance(argument, str) else argument

    def called(scope: Scope) -> Any:
        given = value(scope)
        # [I] A function of nothing gives nothing, so that the whole call stays as written.
        return None if given is None else function(_text(given))

    return called


# ---------------------------------------------------------------- bodies


def _json_steps(path: str) -> list[str | int]:
    """Return the keys of a JSONPath of names and numbers. Raises MappingError for one that searches or filters."""
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
    return steps


def _found(scope: Scope, steps: list[str | int]) -> Any:
    try:
        value = json.loads(scope.body)
    except ValueError:
        return None
    for step in steps:
        value = _item(value, step)
    return value


def _json(scope: Scope, steps: list[str | int]) -> str:
    value = _found(scope, steps)
    return scope.json_missing if value is None else _dumped(value)


def _text(value: Any) -> str:
    # [I] The service prints objects in a form of Java's own; who needs one asks for $input.json.
    return value if isinstance(value, str) else _dumped(value)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
