"""Conditional writes that may be repeated.

The SDK repeats a call whose answer was lost, and a condition that held the first time may fail the second. So each
write leaves a token in the item; one that finds its own token there was done before. Others write to the item between
the two, so each kind of write has a token of its own.
"""

import secrets
from typing import Any

from botocore.exceptions import ClientError

from aws.clients import translated
from aws.table import Item, Table, text

TOKEN = "token:"

SPREAD = 8
"""Tokens of a kind of write that several do at the same time; each has one of them, at random."""

NOT_DONE_YET = "(attribute_not_exists(#token) OR #token <> :token)"


class Update:
    """Builds an update of one item: what to change, and under which conditions.

    `kind` is what others do not do at the same time, as a rule; with ``spread`` they do.

    Attribute names are aliased, since namespaces are part of some. Conditions name attributes as they are, and values
    by what `when` is given.
    """

    def __init__(self, kind: str, *, spread: bool = False) -> None:
        self._token = f"{TOKEN}{kind}{secrets.randbelow(SPREAD) if spread else ''}"
        self._clauses: dict[str, list[str]] = {}
        self._conditions: list[str] = []
        self._names: dict[str, str] = {}
        self._values: Item = {}

    def assign(self, name: str, value: Item) -> "Update":
        return self._clause("SET", f"{self.name(name)} = {self._value(value)}")

    def append(self, name: str, values: list[Item]) -> "Update":
        """Append to a list, which need not exist."""
        alias, none, some = self.name(name), self._value({"L": []}), self._value({"L": values})
        return self._clause("SET", f"{alias} = list_append(if_not_exists({alias}, {none}), {some})")

    def keep_previous(self, name: str, other: str, default: Item) -> "Update":
        """Assign what another attribute was before this update."""
        return self._clause("SET", f"{self.name(name)} = if_not_exists({self.name(other)}, {self._value(default)})")

    def remove(self, *names: str) -> "Update":
        for name in names:
            self._clause("REMOVE", self.name(name))
        return self

    def remove_first(self, name: str, count: int) -> "Update":
        """Remove the first values of a list."""
        if count:
            alias = self.name(name)
            self._clause("REMOVE", ", ".join(f"{alias}[{n}]" for n in range(count)))
        return self

    def increase(self, name: str) -> "Update":
        """Add one to a number, which need not exist."""
        return self._clause("ADD", f"{self.name(name)} {self._value({'N': '1'})}")

    def add(self, name: str, texts: list[str]) -> "Update":
        """Add to a set."""
        return self._clause("ADD", f"{self.name(name)} {self._value({'SS': texts})}")

    def delete(self, name: str, texts: list[str]) -> "Update":
        """Take out of a set."""
        return self._clause("DELETE", f"{self.name(name)} {self._value({'SS': texts})}")

    def when(self, *conditions: str, **values: Item) -> "Update":
        """Add conditions, with the values that they name."""
        self._conditions += conditions
        self._values |= {f":{name}": value for name, value in values.items()}
        return self

    def run(self, table: Table, key: Item) -> tuple[Item | None, bool]:
        """Do it; returns the item as it is now and True or, if a condition does not hold, as it is and False."""
        token = text(secrets.token_hex(8))
        self.assign(self._token, token).when(NOT_DONE_YET, token=token)
        self._names["#token"] = self._token
        with translated():
            try:
                answer = table.client.update_item(TableName=table.name, Key=key, **self._parameters())
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                item: Item | None = error.response.get("Item")  # type: ignore[assignment]
                return item, bool(item) and item.get(self._token) == token  # type: ignore[union-attr]
        return answer["Attributes"], True

    def name(self, name: str) -> str:
        """Return an attribute's alias."""
        alias = f"#n{len(self._names)}"
        self._names[alias] = name
        return alias

    def _parameters(self) -> dict[str, Any]:
        return {
            "UpdateExpression": " ".join(f"{verb} {', '.join(terms)}" for verb, terms in self._clauses.items()),
            "ConditionExpression": " AND ".join(self._conditions),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _clause(self, verb: str, term: str) -> "Update":
        self._clauses.setdefault(verb, []).append(term)
        return self

    def _value(self, value: Item) -> str:
        alias = f":v{len(self._values)}"
        self._values[alias] = value
        return alias
