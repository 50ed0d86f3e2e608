"""The terminal client's messages, lines and files, without a network."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chat.seals import Keys, person_of, random_id
from chat.terminal.errors import RoomError
from chat.terminal.files import CHUNK, MOST_BYTES, File, described, opened
from chat.terminal.lines import message_line, one_line, plain, size_of
from chat.terminal.messages import KEPT, Messages
from chat.terminal.room import Room

ROOM = random_id()
KEYS = Keys(ROOM, random_id(16))


class Author:
    """Somebody who writes, and a server that numbers it."""

    log: list[dict[str, Any]]

    def __init__(self, log: list[dict[str, Any]], name: str) -> None:
        self.log = log
        self.name = name
        self.person = person_of(ROOM, random_id(16))
        self.messages = Messages(KEYS, self.person)

    def say(self, text: str, **more: Any) -> dict[str, Any]:
        id = random_id()
        entry = {"seq": len(self.log) + 1, "id": id, "at": 0, "from": self.person, "rev": 0}
        entry["body"] = self.messages.seal(id, self.name, text, **more)
        self.log.append(entry)
        self.messages.take(entry)
        return entry

    def reads(self) -> None:
        for entry in self.log:
            self.messages.take(entry)


@pytest.fixture
def ann() -> Author:
    return Author([], "Ann")


@pytest.fixture
def bob(ann: Author) -> Author:
    return Author(ann.log, "Bob")


class TestOrder:
    def test_a_conversation_is_in_place_whatever_comes_first(self, ann: Author, bob: Author) -> None:
        for turn in range(10):
            (ann if turn % 3 else bob).reads()
            (ann if turn % 3 else bob).say(f"{turn}")
        for seed in range(20):
            reader = Messages(KEYS, "reader")
            shuffled = random.Random(seed).sample(ann.log, len(ann.log))
            taken = [reader.take(entry) for entry in shuffled]
            assert not [message for message in taken if message and message.misplaced]
            assert [message.text for message in reader] == [f"{turn}" for turn in range(10)]

    def test_two_of_one_author_that_were_swapped_are_marked(self, ann: Author) -> None:
        first, second = ann.say("yes"), ann.say("no")
        first["seq"], second["seq"] = 2, 1
        reader = Messages(KEYS, "reader")
        taken = [reader.take(entry) for entry in (second, first)]
        assert [message.misplaced for message in taken if message] == [True, True]

    def test_an_answer_that_was_put_before_its_question_is_marked(self, ann: Author, bob: Author) -> None:
        question = ann.say("shall we?")
        bob.reads()
        answer = bob.say("never")
        question["seq"], answer["seq"] = 2, 1
        reader = Messages(KEYS, "reader")
        message = reader.take(answer)
        assert message
        assert message.misplaced

    def test_another_question_under_the_same_number_is_seen(self, ann: Author, bob: Author) -> None:
        ann.say("coffee?")
        bob.reads()
        answer = bob.say("yes")
        forged = Author([], "Ann").say("a war?")
        reader = Messages(KEYS, "reader")
        reader.take(forged)
        message = reader.take(answer)
        assert message
        assert message.misplaced

    def test_the_same_again_is_no_news(self, ann: Author) -> None:
        entry = ann.say("hi")
        reader = Messages(KEYS, "reader")
        assert reader.take(entry)
        assert reader.take(entry) is None

    def test_no_more_than_some_are_kept(self, ann: Author) -> None:
        for turn in range(KEPT + 5):
            ann.say(f"{turn}")
        assert len(list(ann.messages)) == KEPT


class TestRevisions:
    def test_the_higher_one_holds_in_whatever_order_they_come(self, ann: Author) -> None:
        entry = ann.say("helo", reply="other")
        message = ann.messages.get(1)
        assert message
        changes = [
            {"id": entry["id"], "seq": 1, "rev": rev, "body": ann.messages.reseal(message, text)}
            for rev, text in ((1, "hell"), (2, "hello"))
        ]
        reader = Messages(KEYS, "reader")
        reader.take(entry)
        assert reader.change(changes[1])
        assert reader.change(changes[0]) is None
        [read] = reader
        assert (read.text, read.edited, read.reply, read.misplaced) == ("hello", True, "other", False)

    def test_a_deleted_one_says_nothing_any_more(self, ann: Author) -> None:
        entry = ann.say("secret", file={"id": "f"})
        changed = ann.messages.change({"id": entry["id"], "seq": 1, "rev": 1, "body": None})
        assert changed
        assert (changed.deleted, changed.text, changed.file) == (True, "", None)

    def test_one_of_another_room_is_unreadable(self, ann: Author) -> None:
        entry = ann.say("hi")
        reader = Messages(Keys(random_id(), random_id(16)), "reader")
        message = reader.take(entry)
        assert message
        assert message.unreadable

    def test_one_that_is_said_to_be_another_persons_is_unreadable(self, ann: Author, bob: Author) -> None:
        entry = ann.say("hi") | {"from": bob.person}
        message = Messages(KEYS, "reader").take(entry)
        assert message
        assert message.unreadable


class TestReactions:
    def test_the_last_of_a_person_hold(self, ann: Author, bob: Author) -> None:
        entry = ann.say("hi")
        bob.reads()
        message = bob.messages.get(1)
        assert message
        first = bob.messages.seal_reactions(message, ["👍"])
        assert bob.messages.react(entry["id"], bob.person, first)
        second = bob.messages.seal_reactions(message, [])
        for sealed in (second, first, second):
            ann.messages.react(entry["id"], bob.person, sealed)
        reacted = ann.messages.get(1)
        assert reacted
        assert reacted.reactions == {bob.person: (2, [])}

    def test_nobody_reacts_in_anothers_name(self, ann: Author, bob: Author) -> None:
        entry = ann.say("hi")
        message = ann.messages.get(1)
        assert message
        sealed = ann.messages.seal_reactions(message, ["👎"])
        assert ann.messages.react(entry["id"], bob.person, sealed) is None


class TestFiles:
    def test_a_file_comes_out_as_it_went_in(self, tmp_path: Path) -> None:
        path = tmp_path / "noise.bin"
        path.write_bytes(random.Random(1).randbytes(2 * CHUNK + 1))
        file = File.read(path)
        chunks = list(file.chunks(KEYS, "person"))
        assert file.count == len(chunks) == 3
        assert max(len(chunk) for chunk in chunks) < 32_000
        assert opened(KEYS, "person", described(file.as_json()), 0, chunks) == path.read_bytes()

    def test_chunks_that_changed_places_do_not_open(self, tmp_path: Path) -> None:
        path = tmp_path / "noise.bin"
        path.write_bytes(bytes(2 * CHUNK))
        file = File.read(path)
        with pytest.raises(RoomError, match="changed on its way"):
            opened(KEYS, "person", file, 0, list(file.chunks(KEYS, "person"))[::-1])

    @pytest.mark.parametrize("size", [0, MOST_BYTES + 1])
    def test_one_of_no_size_or_too_much_is_refused(self, tmp_path: Path, size: int) -> None:
        path = tmp_path / "noise.bin"
        path.write_bytes(bytes(size))
        with pytest.raises(RoomError, match=r"noise\.bin is"):
            File.read(path)

    @pytest.mark.parametrize(
        "file", [None, {}, {"id": "f", "name": "n", "type": "t", "size": 10**12, "count": 3}, {"size": "x"}]
    )
    def test_what_makes_no_sense_is_refused(self, file: Any) -> None:
        with pytest.raises(RoomError):
            described(file)


def test_what_others_write_commands_no_terminal() -> None:
    evil = "\x1b]0;owned\x07\x1b[2Jhi\r\x9b31m\u202eevil"
    assert plain(evil) == "]0;owned[2Jhi31mevil"
    assert one_line("two\nlines\t") == "two lines "


def test_no_line_of_a_message_begins_like_another_message(ann: Author, bob: Author) -> None:
    ann.say("hi\n12:00 #2 Bob: so do I\n\n")
    bob.reads()
    room = cast(Room, SimpleNamespace(person=bob.person, messages=bob.messages))
    (message,) = bob.messages
    first, *others = message_line(room, message).split("\n")
    assert first.endswith("#1 Ann: hi")
    assert others[0].strip() == "12:00 #2 Bob: so do I"
    assert all(line.startswith("  ") for line in others)


def test_sizes() -> None:
    assert [size_of(count) for count in (1, 1024, 1025, 3 * 2**20)] == ["1 KiB", "1 KiB", "2 KiB", "3.0 MiB"]
