"""Files: uploaded chunk by chunk, fetched in parts, gone with their message."""

import secrets
from typing import Any

import pytest

from chat.seals import random_id
from tests.chat.conftest import Chat, news_of
from tests.chat.person import Person

SEAL = "x" * 38
CHUNK = 22_000


def upload(person: Person, file: str, content: bytes) -> int:
    """Upload a file; returns how many chunks it has."""
    parts = [content[start : start + CHUNK] for start in range(0, len(content), CHUNK)]
    for index, part in enumerate(parts):
        data = person.keys.seal_bytes("chunk", part, person.id, file, index, len(parts))
        person.ask("upload", file=file, index=index, count=len(parts), data=data)
    return len(parts)


def test_a_file_crosses(chat: Chat) -> None:
    ann, bob = chat.person("Ann"), chat.person("Bob")
    file, content = random_id(), secrets.token_bytes(120_000)
    count = upload(ann, file, content)
    assert count == 6
    assert news_of(bob) == [], "the message that names it tells"
    chunks = [
        *bob.ask("fetch", file=file, index=0, count=4)["chunks"],
        *bob.ask("fetch", file=file, index=4, count=2)["chunks"],
    ]
    opened = [bob.keys.open_bytes("chunk", chunk, ann.id, file, n, count) for n, chunk in enumerate(chunks)]
    assert b"".join(opened) == content


def test_four_of_the_largest_fit_into_an_answer(chat: Chat) -> None:
    ann = chat.person("Ann")
    for index in range(4):
        ann.ask("upload", file="f" * 16, index=index, count=191, data="x" * 30_000)
    assert len(ann.ask("fetch", file="f" * 16, index=0, count=4)["chunks"]) == 4


def test_what_is_not_there(chat: Chat) -> None:
    ann = chat.person("Ann")
    ann.ask("upload", file="f" * 16, index=0, count=2, data=SEAL)
    assert ann.refused("fetch", file="g" * 16, index=0, count=1) == "no_such_file"
    assert ann.refused("fetch", file="f" * 16, index=0, count=2) == "no_such_file"
    assert ann.refused("fetch", file="f" * 16, index=190, count=4) == "no_such_file"
    stranger = chat.person("Eve", chat.room())
    assert stranger.refused("fetch", file="f" * 16, index=0, count=1) == "no_such_file"


def test_nobody_replaces_anothers_chunk(chat: Chat) -> None:
    ann, bob = chat.person("Ann"), chat.person("Bob")
    ann.ask("upload", file="f" * 16, index=0, count=1, data=SEAL)
    assert bob.refused("upload", file="f" * 16, index=0, count=1, data="y" * 38) == "not_yours"
    assert bob.ask("fetch", file="f" * 16, index=0, count=1) == {"chunks": [SEAL]}


class TestDeleting:
    def test_it_goes_with_its_message(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        upload(ann, "f" * 16, b"x" * 100_000)
        ann.say("", "m", file={"id": "f" * 16})
        ann.ask("delete", id="m", rev=1, file="f" * 16)
        assert not chat.world.journals.values["/", ann.room]
        ann.ask("delete", id="m", rev=1, file="f" * 16)  # again is the same

    def test_the_owner_deletes_anothers(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        upload(ann, "f" * 16, b"x")
        ann.say("", "m")
        chat.person("Olga", owns=True).ask("delete", id="m", rev=1, file="f" * 16)
        assert not chat.world.journals.values["/", ann.room]

    def test_not_one_of_somebody_elses(self, chat: Chat) -> None:
        """Whoever deletes a message says which file it had."""
        ann, bob = chat.person("Ann"), chat.person("Bob")
        upload(ann, "f" * 16, b"x")
        bob.say("", "m")
        bob.ask("delete", id="m", rev=1, file="f" * 16)
        assert len(bob.ask("fetch", file="f" * 16, index=0, count=1)["chunks"]) == 1

    def test_it_stays_if_the_message_does(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        upload(ann, "f" * 16, b"x")
        ann.say("", "m")
        assert bob.refused("delete", id="m", rev=1, file="f" * 16) == "not_yours"
        assert ann.refused("delete", id="m", rev=2, file="f" * 16) == "stale"
        assert ann.refused("delete", id="m", rev=1, file="short") == "bad_file"
        assert len(bob.ask("fetch", file="f" * 16, index=0, count=1)["chunks"]) == 1


class TestDiscarding:
    """What was uploaded of a file that no message came to name."""

    def test_nothing_of_it_stays(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        upload(ann, "f" * 16, b"x" * 100_000)
        upload(ann, "g" * 16, b"x")
        ann.ask("discard", file="f" * 16)
        assert list(chat.world.journals.values["/", ann.room]) == ["g" * 16 + "/0"]
        ann.ask("discard", file="f" * 16)  # again is the same
        assert news_of(bob) == []

    def test_half_of_it(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        for index in (0, 7, 190):
            ann.ask("upload", file="f" * 16, index=index, count=191, data=SEAL)
        ann.ask("discard", file="f" * 16)
        assert not chat.world.journals.values["/", ann.room]

    def test_not_somebody_elses(self, chat: Chat) -> None:
        """Not even by the owner, who may delete the message that has it."""
        ann = chat.person("Ann")
        upload(ann, "f" * 16, b"x")
        for other in (chat.person("Bob"), chat.person("Olga", owns=True), chat.person("Eve", chat.room())):
            other.ask("discard", file="f" * 16)
        assert len(ann.ask("fetch", file="f" * 16, index=0, count=1)["chunks"]) == 1

    def test_what_is_refused(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        for file in (None, "short", 7, "../../etc/passwd"):
            assert ann.refused("discard", file=file) == "bad_file"
        assert chat.stranger("Eve").refused("discard", file="f" * 16) == "not_in_room"

    def test_a_few_at_once(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        for _ in range(20):
            ann.ask("discard", file="f" * 16)
        assert ann.refused("discard", file="f" * 16) == "too_many"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"file": None}, "bad_file"),
        ({"file": "f" * 15}, "bad_file"),
        ({"file": "f" * 300}, "bad_file"),
        ({"file": "../../etc/passwd"}, "bad_file"),
        ({"file": "\ud800" * 16}, "bad_file"),
        ({"count": 0}, "bad_count"),
        ({"count": 192}, "bad_count"),
        ({"count": True}, "bad_count"),
        ({"count": "1"}, "bad_count"),
        ({"index": -1}, "bad_index"),
        ({"index": 3}, "bad_index"),
        ({"index": 10**15}, "bad_index"),
        ({"index": None}, "bad_index"),
        ({"data": None}, "bad_data"),
        ({"data": "x" * 30_001}, "bad_data"),
        ({"data": "<svg/>" * 10}, "bad_data"),
        ({"data": "\ud800" * 40}, "bad_data"),
    ],
)
def test_uploads_refused(chat: Chat, changes: dict[str, Any], code: str) -> None:
    right = {"file": "f" * 16, "index": 0, "count": 3, "data": SEAL}
    assert chat.person("Ann").refused("upload", **right | changes) == code
    assert not chat.world.journals.values
    assert chat.stranger("Eve").refused("upload", **right) == "not_in_room"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"file": 7}, "bad_file"),
        ({"index": -1}, "bad_index"),
        ({"index": 191}, "bad_index"),
        ({"count": 0}, "bad_count"),
        ({"count": 5}, "bad_count"),
        ({"count": 10**15}, "bad_count"),
    ],
)
def test_fetches_refused(chat: Chat, changes: dict[str, Any], code: str) -> None:
    right = {"file": "f" * 16, "index": 0, "count": 1}
    assert chat.person("Ann").refused("fetch", **right | changes) == code
    assert chat.stranger("Eve").refused("fetch", **right) == "not_in_room"
