"""What the counted units cost: exact sums, as text for a terminal and as plain values for JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from gateway.meter.prices import Price, Prices

_MILLION = 1_000_000
_PLACES = 12


@dataclass(frozen=True, slots=True)
class Line:
    """A unit of a service, how many of it there were, and what `price.per` of them cost."""

    price: Price
    quantity: Fraction

    @property
    def cost(self) -> Fraction:
        """What they cost together, in US dollars."""
        return self.quantity * Fraction(self.price.price) / self.price.per


@dataclass(frozen=True, slots=True)
class Bill:
    """What a run would have cost; `messages` are WebSocket messages in and out, `notes` what is not in the sum."""

    region: str
    date: str
    lines: tuple[Line, ...]
    messages: int
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> Fraction:
        """The sum in US dollars."""
        return sum((line.cost for line in self.lines), Fraction(0))

    @property
    def per_million_messages(self) -> Fraction | None:
        """The sum for a million WebSocket messages, None where there were none."""
        return self.total * _MILLION / self.messages if self.messages else None

    def as_json(self) -> dict[str, Any]:
        """Return plain values; sums are decimal strings, since they are exact."""
        return {
            "region": self.region,
            "date": self.date,
            "currency": "USD",
            "lines": [
                {
                    "service": line.price.service,
                    "unit": line.price.unit,
                    "name": line.price.name,
                    "quantity": _decimal(line.quantity),
                    "price": str(line.price.price),
                    "per": line.price.per,
                    "cost": _decimal(line.cost),
                    "per_million_messages": self._share(line),
                }
                for line in self.lines
            ],
            "messages": self.messages,
            "total": _decimal(self.total),
            "per_million_messages": None if self.per_million_messages is None else _decimal(self.per_million_messages),
            "notes": list(self.notes),
        }

    def _share(self, line: Line) -> str | None:
        return _decimal(line.cost * _MILLION / self.messages) if self.messages else None

    def text(self) -> str:
        """Return a table, with what a million messages would cost beside what there were."""
        head = ("", "", "count", "price", "cost", "per million messages")
        rows = [head, *(self._row(line) for line in self.lines)]
        share = "" if self.per_million_messages is None else f"${_rounded(self.per_million_messages, 2)}"
        rows.append(("Total", f"{self.messages:,} messages", "", "", f"${_rounded(self.total, 8)}", share))
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = [f"What this would cost on AWS ({self.region}, prices of {self.date})"]
        for row in rows:
            # Words to the left, numbers to the right.
            cells = [
                text.ljust(width) if column < 2 else text.rjust(width)
                for column, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, *(f"Not counted: {note}" for note in self.notes)])

    def _row(self, line: Line) -> tuple[str, ...]:
        price = line.price
        per = "" if price.per == 1 else " / M" if price.per == _MILLION else f" / {price.per:,}"
        share = f"${_rounded(line.cost * _MILLION / self.messages, 2)}" if self.messages else ""
        count = f"{int(line.quantity):,}" if line.quantity.denominator == 1 else _rounded(line.quantity, 3)
        return (price.service, price.name, count, f"${price.price}{per}", f"${_rounded(line.cost, 8)}", share)


def bill(quantities: Mapping[str, Fraction], prices: Prices, messages: int, notes: Iterable[str] = ()) -> Bill:
    """Return the bill of units. Raises KeyError for one that has no price."""
    known = {price.unit: price for price in prices.prices}
    if unknown := [unit for unit in quantities if unit not in known]:
        raise KeyError(f"no price for {', '.join(unknown)}")
    lines = tuple(Line(price, quantities[unit]) for unit, price in known.items() if quantities.get(unit))
    return Bill(prices.region, prices.date, lines, messages, tuple(notes))


def _rounded(value: Fraction, places: int) -> str:
    scaled = round(value * 10**places)
    return f"{Decimal(scaled).scaleb(-places):,f}"


def _decimal(value: Fraction) -> str:
    """Return a number as a decimal: exact, or to 12 places where it has no end."""
    text = _rounded(value, _PLACES).replace(",", "")
    return text.rstrip("0").rstrip(".")
