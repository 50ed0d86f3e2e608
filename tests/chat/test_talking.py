"""Messages: said, replaced, taken back, reacted to, and read again."""

from typing import Any

import pytest

from chat.seals import SealError, random_id
from tests.chat.conftest import Chat, news_of
from tests.chat.person import Person

SEAL = "x" * 38

BAD_IDS = [None, "", 1, "x" * 65, "\ud800", ["x"]]
BAD_BODIES = [None, "", "text", 7, {"$": 1}, "x" * 37, "x" * 30_001, "x" * 40 + "=", "é" * 40, "\ud83d" * 40]
BAD_REVS: list[Any] = [None, 0, -1, True, 1.0, "1", 10**15]


@pytest.fixture
def people(chat: Chat) -> tuple[Person, Person]:
    return chat.person("Ann"), chat.person("Bob")


class TestMessage:
    def test_everybody_gets_it_once_numbered(self, chat: Chat, people: tuple[Person, Person]) -> None:
        ann, bob = people
        for n in (1, 2, 3):
            body = ann.message(f"text {n}", f"m{n}")
            answer = ann.ask("message", id=f"m{n}", body=body)
            assert answer == {"seq": n, "at": chat.world.clock}
            entry = {"seq": n, "id": f"m{n}", "from": ann.id, "body": body, "rev": 0, "at": chat.world.clock}
            assert news_of(ann) == news_of(bob) == [["message", entry]]
            assert bob.read(entry) == f"text {n}"

    def test_the_same_id_again(self, chat: Chat, people: tuple[Person, Person]) -> None:
        ann, bob = people
        first = ann.say("once", "m")
        chat.world.clock += 5_000
        assert news_of(bob)
        assert ann.say("twice", "m") == first
        assert news_of(bob) == []

    def test_somebody_elses_id(self, people: tuple[Person, Person]) -> None:
        ann, bob = people
        ann.say("mine", "m")
        assert bob.refused("message", id="m", body=bob.message("mine", "m")) == "bad_id"
        assert [text for _, text in ann.heard] == ["mine"]

    def test_the_server_says_who_sent(self, people: tuple[Person, Person]) -> None:
        """A seal that names another author does not open."""
        ann, bob = people
        bob.ask("message", id="m", body=ann.message("I am Ann", "m"))
        (entry,) = ann.events("message")
        assert entry["from"] == bob.id
        with pytest.raises(SealError):
            ann.read(entry)

    @pytest.mark.parametrize("key", BAD_IDS)
    def test_bad_ids(self, people: tuple[Person, Person], key: Any) -> None:
        assert people[0].refused("message", id=key, body=SEAL) == "bad_id"
        assert news_of(people[1]) == []

    @pytest.mark.parametrize("body", BAD_BODIES)
    def test_bad_bodies(self, people: tuple[Person, Person], body: Any) -> None:
        assert people[0].refused("message", id="m", body=body) == "bad_body"
        assert news_of(people[1]) == []

    def test_the_longest(self, people: tuple[Person, Person]) -> None:
        ann, bob = people
        text = "😀" * 4_000
        ann.say(text, "😀" * 64)
        assert bob.heard == [(1, text)]

    def test_not_in_a_room(self, chat: Chat) -> None:
        assert chat.stranger("Eve").refused("message", id="m", body=SEAL) == "not_in_room"

    def test_when_the_time_is_up(self, chat: Chat, people: tuple[Person, Person]) -> None:
        chat.world.clock += 3_600_000
        assert people[0].refused("message", id="m", body=SEAL) == "expired"


class TestEdit:
    def test_everybody_sees_it(self, people: tuple[Person, Person]) -> None:
        ann, bob = people
        ann.say("teh", "m")
        assert news_of(bob)
        assert ann.edit("m", "the", 1) == {}
        ((event, changed),) = news_of(bob)
        assert (event, changed["id"], changed["seq"], changed["rev"]) == ("changed", "m", 1, 1)
        assert bob.read({**changed, "from": ann.id}) == "the"
        (entry,) = bob.join()["history"]
        assert (bob.read(entry), entry["rev"]) == ("the", 1)

    def test_again_is_the_same(self, people: tuple[Person, Person]) -> None:
        ann, bob = people
        ann.say("teh", "m")
        body = ann.message("the", "m")
        for _ in range(2):
            ann.ask("edit", id="m", body=body, rev=1)
        assert [changed["rev"] for changed in bob.events("changed")] == [1, 1]

    @pytest.mark.parametrize("rev", [1, 3, 10**9])
    def test_another_came_first(self, people: tuple[Person, Person], rev: int) -> None:
        ann, bob = people
        ann.say("teh", "m")
        ann.edit("m", "the", 1)
        news_of(bob)
        answer = ann.client.call("edit", {"id": "m", "body": ann.message("then", "m"), "rev": rev})
        assert answer["error"] == {"code": "stale", "message": "This message was changed meanwhile.", "rev": 1}
        assert news_of(bob) == []

    def test_only_by_its_author(self, chat: Chat, people: tuple[Person, Person]) -> None:
        """The owner can take it back, and not put words into anybody's mouth."""
        ann, bob = people
        ann.say("mine", "m")
        for other in (bob, chat.person("Olga", owns=True)):
            assert other.refused("edit", id="m", body=SEAL, rev=1) == "not_yours"
        tab = chat.person("Ann", me=ann.me)
        tab.edit("m", "mine, from another tab", 1)

    def test_what_is_not_there(self, people: tuple[Person, Person]) -> None:
        ann, _ = people
        for event, data in (("edit", {"body": SEAL, "rev": 1}), ("delete", {"rev": 1}), ("react", {"body": SEAL})):
            assert ann.refused(event, id="nothing", **data) == "no_such_message"

    @pytest.mark.parametrize("rev", BAD_REVS)
    def test_bad_revs(self, people: tuple[Person, Person], rev: Any) -> None:
        ann, _ = people
        ann.say("hi", "m")
        assert ann.refused("edit", id="m", body=SEAL, rev=rev) == "bad_rev"
        assert ann.refused("delete", id="m", rev=rev) == "bad_rev"

    @pytest.mark.parametrize("event", ["edit", "delete", "react"])
    def test_what_is_not_right(self, chat: Chat, people: tuple[Person, Person], event: str) -> None:
        ann, _ = people
        ann.say("hi", "m")
        right = {"id": "m", "rev": 1, "body": SEAL}
        assert chat.stranger("Eve").refused(event, **right) == "not_in_room"
        for key in BAD_IDS:
            assert ann.refused(event, **right | {"id": key}) == "bad_id"
        if event != "delete":
            for body in BAD_BODIES:
                assert ann.refused(event, **right | {"body": body}) == "bad_body"


class TestDelete:
    def test_its_content_goes(self, chat: Chat, people: tuple[Person, Person]) -> None:
        ann, bob = people
        sent = ann.say("secret")
        bob.react(sent["id"], "👍")
        news_of(bob)
        ann.ask("delete", id=sent["id"], rev=1)
        assert news_of(bob) == [["changed", {"id": sent["id"], "seq": 1, "body": None, "rev": 1}]]
        (entry,) = bob.join()["history"]
        assert entry == {"seq": 1, "id": sent["id"], "from": ann.id, "body": None, "rev": 1, "at": sent["at"]}

    def test_again_is_the_same(self, people: tuple[Person, Person]) -> None:
        ann, _ = people
        ann.say("secret", "m")
        for rev in (1, 1, 7):
            ann.ask("delete", id="m", rev=rev)
        assert [changed["rev"] for changed in ann.events("changed")] == [1, 1, 1]

    def test_by_whom(self, chat: Chat, people: tuple[Person, Person]) -> None:
        ann, bob = people
        ann.say("mine", "m")
        assert bob.refused("delete", id="m", rev=1) == "not_yours"
        chat.person("Olga", owns=True).ask("delete", id="m", rev=1)
        assert bob.events("changed") == [{"id": "m", "seq": 1, "body": None, "rev": 1}]

    @pytest.mark.parametrize(("event", "data"), [("edit", {"body": SEAL, "rev": 2}), ("react", {"body": SEAL})])
    def test_what_is_deleted_stays_so(self, people: tuple[Person, Person], event: str, data: dict[str, Any]) -> None:
        ann, _ = people
        ann.say("hi", "m")
        ann.ask("delete", id="m", rev=1)
        assert ann.refused(event, id="m", **data) == "no_such_message"
        assert ann.say("again", "m")["seq"] == 1, "the id is taken, too"
        assert ann.join()["history"][0]["body"] is None

    @pytest.mark.parametrize(("first", "second"), [("edit", "delete"), ("delete", "edit")])
    def test_edited_and_deleted_at_once(
        self, chat: Chat, people: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch, first: str, second: str
    ) -> None:
        """One of two holds, whichever was written first; the other learns of it."""
        ann, bob = people
        olga = chat.person("Olga", owns=True)
        ann.say("hi", "m")
        news_of(bob)
        acts = {"edit": (ann, {"body": ann.message("ha", "m")}), "delete": (olga, {})}
        rewrite = chat.world.journals.rewrite

        def late(*args: Any) -> Any:
            """Write only after the other has."""
            monkeypatch.setattr(chat.world.journals, "rewrite", rewrite)
            person, data = acts[first]
            assert person.client.call(first, {"id": "m", "rev": 1, **data})["ok"]
            return rewrite(*args)

        monkeypatch.setattr(chat.world.journals, "rewrite", late)
        person, data = acts[second]
        code = "stale" if second == "delete" else "no_such_message"
        assert person.refused(second, id="m", rev=1, **data) == code
        ((_, changed),) = news_of(bob)
        assert (changed["rev"], changed["body"] is None) == (1, first == "delete")


class TestReactions:
    def test_everybody_sees_them(self, people: tuple[Person, Person]) -> None:
        ann, bob = people
        ann.say("cake?", "m")
        news_of(ann)
        bob.react("m", "👍", "🎂")
        ((event, reacted),) = news_of(ann)
        assert (event, reacted["id"], reacted["person"]) == ("reacted", "m", bob.id)
        opened = ann.keys.open("reaction", reacted["body"], bob.id, "m")
        assert opened == {"n": 1, "emoji": ["👍", "🎂"]}
        (entry,) = ann.join()["history"]
        assert entry["reactions"] == {bob.id: reacted["body"]}
        assert entry["rev"] == 0

    def test_each_person_has_their_own(self, people: tuple[Person, Person]) -> None:
        ann, bob = people
        ann.say("cake?", "m")
        ann.react("m", "👍")
        bob.react("m", "👎")
        bob.react("m", n=2)
        (entry,) = ann.join()["history"]
        emoji = {who: ann.keys.open("reaction", body, who, "m")["emoji"] for who, body in entry["reactions"].items()}
        assert emoji == {ann.id: ["👍"], bob.id: []}

    def test_at_once(self, chat: Chat, people: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither of two is lost."""
        ann, bob = people
        ann.say("cake?", "m")
        rewrite = chat.world.journals.rewrite

        def late(*args: Any) -> Any:
            monkeypatch.setattr(chat.world.journals, "rewrite", rewrite)
            bob.react("m", "👎")
            return rewrite(*args)

        monkeypatch.setattr(chat.world.journals, "rewrite", late)
        ann.react("m", "👍")
        (entry,) = ann.join()["history"]
        assert entry["reactions"].keys() == {ann.id, bob.id}

    def test_they_outlive_an_edit(self, people: tuple[Person, Person]) -> None:
        ann, bob = people
        ann.say("cake?", "m")
        bob.react("m", "👍")
        ann.edit("m", "cake!", 1)
        assert bob.join()["history"][0]["reactions"].keys() == {bob.id}

    def test_too_long(self, people: tuple[Person, Person]) -> None:
        ann, _ = people
        ann.say("cake?", "m")
        assert ann.refused("react", id="m", body="x" * 401) == "bad_body"

    def test_no_message_outgrows_a_page(self, chat: Chat) -> None:
        """Reactions that somebody leaves under one `me` after another end somewhere."""
        ann = chat.person("Ann")
        ann.ask("message", id="m", body="x" * 30_000)
        for n in range(70):
            entry = chat.world.journals.logs["/", ann.room]["m"]
            entry.body.setdefault("reactions", {})[f"{n:016}"] = "x" * 400
        for n in range(20):
            answer = ann.client.call("react", {"id": "m", "body": "x" * 400})
            if not answer["ok"]:
                break
            ann = chat.person(f"Ann {n}")
        assert answer["error"]["code"] == "full"
        assert [entry["id"] for entry in ann.ask("history")["history"]] == ["m"]


class TestHistory:
    @pytest.fixture
    def ann(self, chat: Chat) -> Person:
        """Somebody who has said 250 things, over a few minutes."""
        ann = chat.person("Ann")
        for n in range(1, 251):
            ann.say(str(n))
            chat.world.clock += 1_000
        return ann

    def test_page_by_page(self, chat: Chat, ann: Person) -> None:
        bob = chat.stranger("Bob")
        page = bob.join()
        read = [page["history"]]
        while page["more"]:
            page = bob.ask("history", before=read[0][0]["seq"])
            read.insert(0, page["history"])
        assert [len(each) for each in read] == [50, 100, 100]
        assert [bob.read(entry) for each in read for entry in each] == [str(n) for n in range(1, 251)]

    def test_without_a_number_it_is_the_last_page(self, ann: Person) -> None:
        assert [entry["seq"] for entry in ann.ask("history")["history"]] == list(range(151, 251))

    def test_before_the_first(self, ann: Person) -> None:
        assert ann.ask("history", before=1) == {"history": [], "more": False}
        assert ann.ask("history", before=10**9)["history"][-1]["seq"] == 250

    def test_no_more_than_an_answer_holds(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        for n in range(10):
            ann.ask("message", id=random_id(), body=str(n) * 30_000)
        page = chat.stranger("Bob").join()
        seqs = [[entry["seq"] for entry in page["history"]]]
        while page["more"]:
            page = ann.ask("history", before=seqs[0][0])
            seqs.insert(0, [entry["seq"] for entry in page["history"]])
        assert seqs == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]

    @pytest.mark.parametrize("before", [0, -1, True, 1.5, "1", [1], 10**15])
    def test_refusals(self, chat: Chat, before: Any) -> None:
        assert chat.person("Ann").refused("history", before=before) == "bad_before"
        assert chat.stranger("Eve").refused("history", before=1) == "not_in_room"


class TestTwice:
    @pytest.mark.parametrize("event", ["message", "edit", "delete", "react", "upload", "lock", "join"])
    def test_a_doubled_frame(self, chat: Chat, event: str) -> None:
        """Is answered as the first one was, and changes nothing more."""
        ann = chat.person("Ann", owns=True)
        ann.say("hi", "m")
        frames: dict[str, dict[str, Any]] = {
            "message": {"id": "n", "body": ann.message("ho", "n")},
            "edit": {"id": "m", "body": ann.message("ha", "m"), "rev": 1},
            "delete": {"id": "m", "rev": 1},
            "react": {"id": "m", "body": SEAL},
            "upload": {"file": "f" * 16, "index": 0, "count": 1, "data": SEAL},
            "lock": {"locked": True},
            "join": ann.joining(),
        }
        first = ann.ask(event, **frames[event])
        head, log = chat.world.journals.heads["/", ann.room], dict(chat.world.journals.logs["/", ann.room])
        assert ann.ask(event, **frames[event]) == first
        assert (chat.world.journals.heads["/", ann.room], chat.world.journals.logs["/", ann.room]) == (head, log)
