"""Bills: exact sums, and what a reader sees."""

import json
import re
from decimal import Decimal
from fractions import Fraction

import pytest

from gateway.meter.bill import bill
from gateway.meter.prices import prices


def test_a_million_of_each_costs_its_price() -> None:
    quantities = {price.unit: Fraction(price.per) for price in prices().prices}
    found = bill(quantities, prices(), 0)
    assert [line.cost for line in found.lines] == [Fraction(price.price) for price in prices().prices]
    assert found.total == sum((Fraction(price.price) for price in prices().prices), Fraction(0))
    assert found.per_million_messages is None


def test_sums_have_no_rounding_in_them() -> None:
    # A third of a minute, three times, is a minute.
    third = bill({"connection-minute": Fraction(1, 3)}, prices(), 1)
    assert 3 * third.total == Fraction(Decimal("0.25")) / 1_000_000
    assert third.as_json()["total"] == "0.000000083333"


def test_a_unit_without_a_price_is_an_error() -> None:
    with pytest.raises(KeyError, match="no price for moonlight"):
        bill({"moonlight": Fraction(1)}, prices(), 0)


def test_as_json() -> None:
    found = bill({"websocket-message": Fraction(2), "dynamodb-read-unit": Fraction(1, 2)}, prices(), 2, ["tea"])
    values = json.loads(json.dumps(found.as_json()))
    assert [(line["unit"], line["quantity"], line["cost"]) for line in values["lines"]] == [
        ("websocket-message", "2", "0.000002"),
        ("dynamodb-read-unit", "0.5", "0.0000000625"),
    ]
    assert values["total"] == "0.0000020625"
    assert values["per_million_messages"] == "1.03125"
    assert [line["per_million_messages"] for line in values["lines"]] == ["1", "0.03125"]
    assert (values["messages"], values["notes"], values["currency"]) == (2, ["tea"], "USD")


def test_as_text() -> None:
    quantities = {
        "websocket-message": Fraction(1234),
        "lambda-gb-second-arm64": Fraction(25, 8),
        "dynamodb-stream-read": Fraction(3),
    }
    text = bill(quantities, prices(), 1234, ["data transfer"]).text()
    lines = text.splitlines()
    assert lines[0] == f"What this would cost on AWS (us-east-1, prices of {prices().date})"
    assert lines[1].split() == ["count", "price", "cost", "per", "million", "messages"]
    rows = [re.split(r"\s{2,}", line) for line in lines[2:5]]
    assert rows == [
        ["API Gateway WebSocket", "messages (32 KB)", "1,234", "$1.00 / M", "$0.00123400", "$1.00"],
        ["Lambda", "GB-seconds, arm64", "3.125", "$0.0000133334", "$0.00004167", "$0.03"],
        ["DynamoDB Streams", "read requests", "3", "$0.02 / 100,000", "$0.00000060", "$0.00"],
    ]
    assert lines[5].startswith("Total")
    assert "1,234 messages" in lines[5]
    assert lines[6] == "Not counted: data transfer"
    # Numbers stand below each other.
    assert len({len(line) for line in lines[1:6]}) == 1
