"""Prices, read from `prices.toml` beside this file."""

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Price:
    """What `per` units cost, in US dollars; `service` and `name` are for people, `source` is AWS's page.

    `seen` says where the price was read, or that it was not found.
    """

    unit: str
    service: str
    name: str
    price: Decimal
    per: int
    source: str
    seen: str


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of a Region at a date, in the order of a bill."""

    region: str
    date: str
    prices: tuple[Price, ...]


@cache
def prices() -> Prices:
    """Return the prices that this repository knows."""
    table = tomllib.loads(Path(__file__).with_name("prices.toml").read_text())
    entries = [Price(**{**entry, "price": Decimal(entry["price"])}) for entry in table["price"]]
    return Prices(table["region"], table["date"], tuple(entries))
