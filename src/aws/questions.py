"""Emits that ask for acknowledgements, in DynamoDB: one item each, an answer an attribute of it."""

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from aws import keys
from aws.clients import translated
from aws.table import Item, Table, key, pack, text, unpack
from aws.table import number as as_number
from aws.updates import Update
from server.records import Asked, Question

_ANSWER = "from:"

# The question is this namespace's, its time is not up, and it is not over.
IS_ASKED = "asked_in = :namespace AND due_at > :now AND attribute_not_exists(ended_at)"

# Somebody's answer has not come, and nobody has called the callback yet.
IS_UNANSWERED = "attribute_exists(waiting) AND attribute_not_exists(ended_at)"

# Nobody has called the callback yet.
IS_OPEN = "attribute_not_exists(ended_at)"

IS_FREE = "attribute_not_exists(pk)"


class DynamoQuestions:
    """Fills `server.ports.Questions`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def open(self, number: int, asked: Asked) -> bool:
        item = {
            **_key(number),
            "asked_in": text(asked.namespace),
            "waiting": {"SS": sorted(asked.waiting)},
            "question": pack(asked.question._asdict()),
            "due_at": as_number(asked.until),
            "ttl": as_number(asked.until // 1000 + keys.QUESTION_TTL),
        }
        with translated():
            try:
                self._table.client.put_item(TableName=self._table.name, Item=item, ConditionExpression=IS_FREE)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                return False
        return True

    def answer(self, number: int, namespace: str, sid: str, frames: Sequence[str], frame: int, at: int) -> Asked | None:
        answer = pack([frame, list(frames)])
        update = Update("answer", spread=True).assign(_ANSWER + sid, answer).delete("waiting", [sid])
        update.when(IS_ASKED, namespace=text(namespace), now=as_number(at))
        is_awaited, value = "contains(waiting, :sid)", {"sid": text(sid)}
        if frame:
            is_awaited += f" OR {update.name(_ANSWER + sid)} = :same"
            value["same"] = answer
        update.when(f"({is_awaited})", **value)
        item, is_done = update.run(self._table, _key(number))
        return _as_asked(item) if is_done and item else None

    def close(self, number: int, at: int) -> Asked | None:
        asked = self.read(number)
        if asked is None or asked.until > at:
            return asked
        item, is_done = (
            Update("end").assign("ended_at", as_number(1)).when(IS_UNANSWERED).run(self._table, _key(number))
        )
        return _as_asked(item) if is_done and item else None

    def end(self, number: int) -> bool:
        return Update("end").assign("ended_at", as_number(1)).when(IS_OPEN).run(self._table, _key(number))[1]

    def read(self, number: int) -> Asked | None:
        with translated():
            answer = self._table.client.get_item(TableName=self._table.name, Key=_key(number), ConsistentRead=True)
        return _as_asked(answer["Item"]) if "Item" in answer else None


def _key(number: int) -> Item:
    return key(f"{keys.QUESTION}{number}", keys.QUESTION)


def _as_asked(item: Item) -> Asked:
    question: dict[str, Any] = unpack(item["question"])
    answers = {
        name.removeprefix(_ANSWER): list(unpack(value)[1]) for name, value in item.items() if name.startswith(_ANSWER)
    }
    waiting = frozenset(item.get("waiting", {}).get("SS", []))
    question["args"] = tuple(question["args"])
    return Asked(item["asked_in"]["S"], waiting, answers, Question(**question), int(item["due_at"]["N"]))
