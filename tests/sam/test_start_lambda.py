"""The gateway with `sam local start-lambda` as the runner of its functions."""

import json
from functools import partial

import pytest

from tests.e2e.processes import PythonClient, until
from tests.sam.conftest import Remote
from tests.sam.machines import EVENTS, request

pytestmark = [pytest.mark.sam, pytest.mark.timeout(300)]


def has_heard(client: PythonClient, event: str, count: int) -> bool:
    return [kind for kind, *_ in client.heard].count(event) == count


def test_two_people_talk_in_containers(remote: Remote) -> None:
    url = remote.gateway.url
    status, _, body = request(f"{url}/api/rooms", "POST", {"title": "Tea", "ttl": 600})
    assert status == 201
    room = json.loads(body)

    pia = PythonClient(url, "/live/")
    assert pia.call("join", {"room": room["room"], "name": "Pia"})["ok"]
    noah = PythonClient(url, "/live/")
    members = noah.call("join", {"room": room["room"], "name": "Noah"})["members"]
    assert {member["name"] for member in members} == {"Pia", "Noah"}
    until(partial(has_heard, pia, "joined", 1), "Pia sees Noah join")

    for number in range(1, 6):
        assert pia.call("message", {"id": f"p{number}", "text": f"cup {number}"})["seq"] == number
    until(partial(has_heard, noah, "message", 5), "five messages")
    texts = [event[1]["text"] for event in noah.heard if event[0] == "message"]
    assert sorted(texts) == [f"cup {number}" for number in range(1, 6)]

    noah.close()
    until(partial(has_heard, pia, "left", 1), "Pia sees Noah leave")
    assert request(f"{url}/api/rooms/{room['room']}", "DELETE", Authorization=f"Bearer {room['owner_key']}")[0] == 204
    until(lambda: ["burned", {}] in pia.heard, "the room burns")

    ran = "\n".join(remote.functions.lines)
    for handler in ("connect", "message", "disconnect", "http"):
        assert f"handlers.{handler}.handler" in ran, "and nothing of it ran in the gateway's own processes"


def test_the_schedules_function_answers_nothing(remote: Remote) -> None:
    event = json.loads((EVENTS / "heartbeat.json").read_text())
    status, _, body = request(
        f"{remote.functions.url}/2015-03-31/functions/HeartbeatFunction/invocations", "POST", event
    )
    assert (status, body) == (200, b"null")
