"""JSON that is safe to read from anybody and safe to send to JavaScript."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import strict_json
from protocol.errors import ProtocolError, excerpt

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


@given(VALUES)
def test_values_survive(value: Any) -> None:
    assert strict_json.loads(strict_json.dumps(value)) == value


@given(VALUES)
def test_the_standard_library_reads_the_same(value: Any) -> None:
    assert json.loads(strict_json.dumps(value)) == value
    assert strict_json.loads(json.dumps(value)) == value


@given(st.text(st.characters(max_codepoint=0x1F)))
def test_control_characters_are_escaped(text: str) -> None:
    assert not any(character < " " for character in strict_json.dumps(text))


@given(st.text(st.characters(min_codepoint=0xD700, max_codepoint=0xE0FF)))
def test_lone_surrogates_are_escaped(text: str) -> None:
    encoded = strict_json.dumps({text: text})
    encoded.encode("utf-8")
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    assert strict_json.loads(encoded) == {joined: joined}


def test_text_is_compact_and_not_escaped_beyond_need() -> None:
    assert strict_json.dumps({"a": [1, "é€😀\u2028"], "b": None}) == '{"a":[1,"é€😀\u2028"],"b":null}'
    assert strict_json.dumps("\ud800x\udfff") == '"\\ud800x\\udfff"'
    assert strict_json.dumps("\ud7ff\ue000") == '"\ud7ff\ue000"'


def test_is_utf8() -> None:
    assert strict_json.is_utf8("")
    assert strict_json.is_utf8("é😀\ud7ff\ue000")
    assert not strict_json.is_utf8("a\ud800")
    assert not strict_json.is_utf8("\udfffa")


def test_keys_become_strings() -> None:
    assert strict_json.dumps({2: 2, None: 3, True: 4}) == '{"2":2,"null":3,"true":4}'


def test_default_substitutes() -> None:
    assert strict_json.dumps([b"ab"], default=list) == "[[97,98]]"


@pytest.mark.parametrize("value", [{1, 2}, Decimal(1), object(), b"", {(1, 2): 3}, {b"key": 1}])
def test_what_json_has_no_type_for(value: Any) -> None:
    with pytest.raises(TypeError):
        strict_json.dumps(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [math.nan], {"a": math.inf}])
def test_numbers_that_json_has_not(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        strict_json.dumps(value)


def test_cycles() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(ValueError, match="Circular"):
        strict_json.dumps(cycle)


def test_depth_when_writing() -> None:
    value: Any = []
    for _ in range(strict_json.MAX_DEPTH - 1):
        value = [value]
    assert strict_json.dumps(value) == nested(strict_json.MAX_DEPTH)
    with pytest.raises(ValueError, match="deeper than 128"):
        strict_json.dumps([value])
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="deeper than 128"):
        strict_json.dumps(value)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_depth_when_reading(opening: str, closing: str) -> None:
    levels = strict_json.MAX_DEPTH // len(opening.replace('"a":', ""))
    text = opening * levels + ("1" if closing.startswith("}") else "") + closing * levels
    strict_json.loads(text)
    with pytest.raises(ProtocolError, match="deeper than 128"):
        strict_json.loads(f"[{text}]")


@pytest.mark.parametrize("before", ["", "[]," * 500, '"]]",' * 500, '{"a":[]},' * 500])
def test_depth_after_much_else(before: str) -> None:
    assert strict_json.loads(f"[{before}{nested(strict_json.MAX_DEPTH - 1)}]")
    with pytest.raises(ProtocolError, match="deeper than 128"):
        strict_json.loads(f"[{before}{nested(strict_json.MAX_DEPTH)}]")


@pytest.mark.parametrize("text", ['"' + "[" * 200 + '"', '["\\"' + "[" * 200 + '"]', '["\\\\","' + "{" * 200 + '"]'])
def test_brackets_in_strings_are_not_depth(text: str) -> None:
    assert strict_json.loads(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '["",' * 100_000,
        '["\\\\",' * 50_000,
        '[{"":' * 50_000,
        "[]" + "]" * 1000 + "[" * 100_000,
        '"' + '\\"' * 200_000 + "[" * 200,
        '"' * 200_001 + "[" * 200,
        "\\" * 200_000 + "[" * 200,
        "9" * 10**6,
        "-" + "9" * 10**6,
        "9" * 10**6 + ".5",
        "1" + "0" * 10**6 + "e5",
    ],
    ids=lambda text: text[:8],
)
def test_hostile_texts_are_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        strict_json.loads(text)


@pytest.mark.parametrize("digits", ["9" * 309, "-" + "9" * 309])
def test_digits_of_an_integer(digits: str) -> None:
    assert strict_json.loads(digits) == int(digits)
    with pytest.raises(ProtocolError, match="more than 309 digits"):
        strict_json.loads(digits + "9")


@pytest.mark.parametrize("text", ["1e309", "-1e309", "NaN", "Infinity", "-Infinity", "[1e999]"])
def test_numbers_without_a_value(text: str) -> None:
    with pytest.raises(ProtocolError):
        strict_json.loads(text)
    assert strict_json.loads("1e308") == 1e308


@pytest.mark.parametrize("text", ["", " ", "[1,]", "{'a':1}", "1 2", '"\n"', "\ufeff1", "[1", '"\\x"', "tru"])
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(ProtocolError, match="JSON cannot be read"):
        strict_json.loads(text)


def test_excerpt_is_short_and_printable() -> None:
    assert excerpt("a" * 40) == "'" + "a" * 40 + "'"
    assert excerpt("a" * 41) == "'" + "a" * 40 + "'…"
    assert excerpt("\n\ud800") == "'\\n\\ud800'"
