"""Roundings and sizes against AWS's own examples."""

from fractions import Fraction
from typing import Any

import pytest

from gateway.meter import units


@pytest.mark.parametrize(
    ("size", "chunk", "count"),
    [
        # "For example, a 33 KB message is metered as two messages", API Gateway's pricing.
        (33 * 1024, units.WEBSOCKET_MESSAGE, 2),
        (32 * 1024, units.WEBSOCKET_MESSAGE, 1),
        (0, units.WEBSOCKET_MESSAGE, 1),
        (600 * 1024, units.HTTP_REQUEST, 2),
        # "an API action with a 256 KB payload is billed as 4 requests", SQS's pricing.
        (256 * 1024, units.SQS_REQUEST, 4),
    ],
)
def test_payloads_are_metered_in_chunks(size: int, chunk: int, count: int) -> None:
    assert units.chunks(size, chunk) == count


def test_an_invocation_is_metered_by_the_millisecond() -> None:
    # Lambda's pricing: 3 million invocations of 120 ms with 1,536 MB are 540,000 GB-seconds.
    assert 3_000_000 * units.gigabyte_seconds(1536, units.milliseconds(0.120)) == 540_000
    assert units.gigabyte_seconds(1024, units.milliseconds(0.0001)) == Fraction(1, 1000)
    assert units.gigabyte_seconds(512, units.milliseconds(1.0001)) == Fraction(1001, 2000)
    # 0.29 * 1000 is a little more than 290 as a float.
    assert units.gigabyte_seconds(1024, units.milliseconds(0.29)) == Fraction(290, 1000)


@pytest.mark.parametrize(("size", "count"), [(0, 1), (512, 1), (1024, 1), (1025, 2), (3 * 1024, 3), (400 * 1024, 400)])
def test_write_units(size: int, count: int) -> None:
    assert units.write_units(size) == count


@pytest.mark.parametrize(
    ("size", "consistent", "count"),
    # "if you read an item that is 3.5 KB, DynamoDB rounds the item size to 4 KB; of 10 KB, to 12 KB".
    [(3584, True, 1), (3584, False, 0.5), (10 * 1024, True, 3), (10 * 1024, False, 1.5), (0, True, 1), (0, False, 0.5)],
)
def test_read_units(size: int, consistent: bool, count: float) -> None:
    assert units.read_units(size, consistent=consistent) == count


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": ""}, 0),
        ({"S": "hello"}, 5),
        ({"S": "é€😀"}, 2 + 3 + 4),
        ({"N": "0"}, 1),
        ({"N": "0.00"}, 1),
        ({"N": "7"}, 2),
        ({"N": "12"}, 2),
        ({"N": "123"}, 3),
        # Zeros at both ends are trimmed.
        ({"N": "1200000"}, 2),
        ({"N": "0.0012"}, 2),
        ({"N": "-12"}, 3),
        ({"N": "1.5E10"}, 2),
        ({"N": "9" * 38}, 20),
        ({"B": b"\x00\x01\x02"}, 3),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["a", "bcd"]}, 4),
        ({"NS": ["1", "123"]}, 5),
        ({"BS": [b"ab", b"c"]}, 3),
        ({"L": []}, 3),
        ({"M": {}}, 3),
        # Three bytes for the list, one for each element.
        ({"L": [{"S": "ab"}, {"N": "1"}]}, 3 + 2 + 2 + 2),
        ({"M": {"k": {"S": "ab"}}}, 3 + 1 + 1 + 2),
        ({"M": {"a": {"L": [{"BOOL": True}]}}}, 3 + 1 + 1 + 3 + 1 + 1),
    ],
)
def test_item_sizes(value: dict[str, Any], size: int) -> None:
    assert units.item_size({"name": value}) == 4 + size


def test_names_count_as_utf_8() -> None:
    assert units.item_size({"ü": {"S": ""}, "ab": {"BOOL": True}}) == 2 + 2 + 1
