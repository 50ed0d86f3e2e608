"""The gateway with `sam local start-lambda` as the runner of its functions."""

import json
from functools import partial

import pytest

from tests.chat.person import Invitation, Person
from tests.e2e.processes import PythonClient, until
from tests.sam.conftest import Remote
from tests.sam.machines import EVENTS, request

pytestmark = [pytest.mark.sam, pytest.mark.timeout(300)]


def test_two_people_talk_in_containers(remote: Remote) -> None:
    url = remote.gateway.url
    room = Invitation(url)
    assert room.create(title="Tea", ttl=600)["room"] == room.room

    client = PythonClient(url, "/live/")
    pia = Person(client, room, "Pia")
    pia.join()
    noahs = PythonClient(url, "/live/")
    noah = Person(noahs, room, "Noah")
    assert noah.names(noah.join()["members"]) == {"Pia", "Noah"}
    until(partial(pia.knows, noah), "Pia sees Noah join")

    for number in range(1, 6):
        assert pia.say(f"cup {number}")["seq"] == number
    until(lambda: len(noah.heard) == 5, "five messages")
    assert sorted(noah.heard) == [(number, f"cup {number}") for number in range(1, 6)]

    noahs.close()
    until(partial(pia.misses, noah), "Pia sees Noah leave")
    room.burn()
    until(lambda: ["burned", {}] in client.heard, "the room burns")

    ran = "\n".join(remote.functions.lines)
    for handler in ("connect", "message", "disconnect", "http"):
        assert f"handlers.{handler}.handler" in ran, "and nothing of it ran in the gateway's own processes"


def test_the_schedules_function_answers_nothing(remote: Remote) -> None:
    event = json.loads((EVENTS / "heartbeat.json").read_text())
    status, _, body = request(
        f"{remote.functions.url}/2015-03-31/functions/HeartbeatFunction/invocations", "POST", event
    )
    assert (status, body) == (200, b"null")
