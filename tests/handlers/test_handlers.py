"""The Lambda handlers on the sample events: what goes in, what comes out, and that nothing is thrown."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest

from aws import keys
from chat.seals import digest
from tests.aws.conftest import items
from tests.chat.person import Invitation, Person
from tests.handlers.conftest import EVENTS, Lambda, Socket, sample

CONNECTION = "L0SM9cOFvHcCIhw="

DIRECT = {
    "url": "wss://abcd123.execute-api.us-east-1.amazonaws.com",
    "path": "/live/",
    "transports": ["websocket"],
    "fallback": {"url": "", "path": "/socket.io/", "transports": ["polling"]},
}


def test_every_sample_is_an_answered_event(functions: Lambda) -> None:
    """Each file of events/ is named after its handler; none raises."""
    names = sorted(path.stem for path in Path(EVENTS).glob("*.json"))
    assert {name.partition("-")[0] for name in names} == {
        "connect",
        "message",
        "disconnect",
        "deliver",
        "heartbeat",
        "http",
    }
    for name in names:
        functions.invoke(name.partition("-")[0], sample(name))


class TestConnect:
    def test_the_open_packet_follows(self, functions: Lambda) -> None:
        assert functions.invoke("connect", sample("connect")) == {"statusCode": 200}
        assert not functions.posts, "the connection does not exist yet"
        assert functions.deliver() == [{"batchItemFailures": []}]
        ((to, frame),) = functions.posts
        assert to == CONNECTION
        assert frame.startswith('0{"sid":')

    def test_refused(self, functions: Lambda) -> None:
        assert functions.invoke("connect", sample("connect-refused")) == {"statusCode": 400}
        assert not items()

    def test_the_environ(self, functions: Lambda) -> None:
        sid = functions.connect()
        from chat.app import sio

        environ = sio.get_environ(sid)
        assert environ["QUERY_STRING"] == "EIO=4&transport=websocket"
        assert environ["HTTP_ORIGIN"] == "https://example.com"
        assert environ["REMOTE_ADDR"] == "192.0.2.1"
        assert not [name for name in environ if "SEC_WEBSOCKET" in name]


class TestMessage:
    def test_the_answer_rides_the_response(self, functions: Lambda) -> None:
        functions.connect()
        answer = functions.invoke("message", sample("message-join"))
        assert answer["statusCode"] == 200
        assert answer["body"].startswith('430[{"ok":false,"error":{"code":"no_such_room"')

    def test_nothing_to_say(self, functions: Lambda) -> None:
        functions.connect()
        assert functions.invoke("message", sample("message-pong")) == {"statusCode": 200}

    def test_a_failure_closes_the_connection(self, functions: Lambda, caplog: pytest.LogCaptureFixture) -> None:
        functions.connect()
        event = sample("message-event")
        del event["requestContext"]["connectionId"]
        assert functions.invoke("message", event) == {"statusCode": 200}
        assert "KeyError" in caplog.text
        boto3.client("dynamodb").delete_table(TableName="table")
        functions.calls.clear()
        assert functions.invoke("message", sample("message-event")) == {"statusCode": 200}
        assert functions.calls["DeleteConnection"] == 1
        assert "ResourceNotFoundException" in caplog.text


class TestDisconnect:
    def test_nothing_stays(self, functions: Lambda) -> None:
        functions.connect()
        assert items()
        assert functions.invoke("disconnect", sample("disconnect")) == {"statusCode": 200}
        assert not items()

    def test_again_or_unknown(self, functions: Lambda) -> None:
        assert functions.invoke("disconnect", sample("disconnect")) == {"statusCode": 200}


class TestDeliver:
    def test_a_failed_job_holds_back_its_group_alone(self, functions: Lambda, caplog: pytest.LogCaptureFixture) -> None:
        answer = functions.invoke("deliver", sample("deliver-poison"))
        failed = [record["messageId"] for record in sample("deliver-poison")["Records"][:2]]
        assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == failed
        assert "not a job" in caplog.text

    def test_a_post(self, functions: Lambda) -> None:
        functions.invoke("deliver", sample("deliver-post"))
        job = json.loads(sample("deliver-post")["Records"][0]["body"])
        assert functions.posts == [(CONNECTION, job["frames"][0])]

    def test_410_ends_a_connection(self, functions: Lambda) -> None:
        functions.connect()
        key = {"pk": {"S": f"C{CONNECTION}"}, "sk": {"S": "C"}}
        born = {":born": {"N": "1"}}  # long ago: a young connection may not exist *yet*
        boto3.client("dynamodb").update_item(
            TableName="table", Key=key, UpdateExpression="SET born = :born", ExpressionAttributeValues=born
        )
        functions.gone.add(CONNECTION)
        functions.invoke("deliver", sample("deliver-post"))
        functions.deliver()
        assert not items()


class TestHeartbeat:
    def test_nothing_is_due(self, functions: Lambda) -> None:
        functions.connect()
        functions.invoke("heartbeat", sample("heartbeat"))
        assert not functions.posts


class TestHttp:
    def call(self, functions: Lambda, name: str, **changes: Any) -> tuple[int, Any, dict[str, str]]:
        event = sample(name)
        if path := changes.pop("path", None):
            event["rawPath"] = event["requestContext"]["http"]["path"] = path
        event["headers"].update(changes.pop("headers", {}))
        event.update(changes)
        answer = functions.invoke("http", event)
        body = answer["body"]
        if answer["isBase64Encoded"]:
            body = base64.b64decode(body)
            body = gzip.decompress(body) if answer["headers"].get("content-encoding") == "gzip" else body
            body = body if answer["headers"]["content-type"] == "image/png" else body.decode()
        is_json = answer["headers"].get("content-type") == "application/json"
        return answer["statusCode"], json.loads(body) if is_json and body else body, answer["headers"]

    def create(self, functions: Lambda, invitation: Invitation, **options: Any) -> tuple[int, Any, dict[str, str]]:
        return self.call(functions, "http-create-room", body=json.dumps(invitation.body(**options)))

    def burn(self, functions: Lambda, invitation: Invitation, authorization: str) -> tuple[int, Any]:
        headers = {"authorization": authorization}
        path = f"/api/rooms/{invitation.room}"
        return self.call(functions, "http-burn-room", path=path, headers=headers)[:2]

    def test_rooms(self, functions: Lambda) -> None:
        invitation = Invitation()
        status, made, headers = self.create(functions, invitation, title="Tea", ttl=600)
        assert status == 201
        assert made.keys() == {"room", "expires_at"}
        assert headers["cache-control"] == "no-store"
        status, shown, _ = self.call(functions, "http-show-room", path=f"/api/rooms/{invitation.room}")
        assert status == 200
        assert invitation.keys.open("title", shown.pop("title")) == "Tea"
        assert shown == {**made, "passphrase": False, "locked": False}

    def test_the_table_holds_no_key(self, functions: Lambda) -> None:
        invitation = Invitation()
        self.create(functions, invitation, title="Tea")
        kept = json.dumps(items())
        assert digest(invitation.owner_key) in kept
        for secret in (invitation.owner_key, invitation.keys.door, invitation.link.secret, "Tea", "192.0.2.1"):
            assert secret not in kept

    def test_the_same_again_is_the_same(self, functions: Lambda) -> None:
        """An answer was lost, and the request comes again: with new seals, and later."""
        invitation = Invitation()
        first = self.create(functions, invitation, title="Tea", ttl=600)[:2]
        assert self.create(functions, invitation, title="Tea", ttl=700)[:2] == first

    def test_anothers_room(self, functions: Lambda) -> None:
        invitation = Invitation()
        self.create(functions, invitation)
        status, error, _ = self.create(functions, invitation, owner=digest("somebody else's"))
        assert (status, error["error"]["code"]) == (409, "taken")

    def test_too_many_rooms(self, functions: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ROOMS_PER_HOUR", "2")
        assert [self.create(functions, Invitation())[0] for _ in range(2)] == [201, 201]
        status, error, headers = self.create(functions, Invitation())
        assert (status, error["error"]["code"]) == (429, "too_many")
        assert headers["retry-after"] == str(error["error"]["retry_after"])
        assert "192.0.2.1" not in json.dumps(items())

    def test_burning(self, functions: Lambda) -> None:
        """By the owner's key alone; then the table has nothing of the room but its id, with what is due at its time."""
        invitation = Invitation()
        self.create(functions, invitation, title="Tea", ttl=600)
        ann = Person(Socket(functions), invitation, "Ann", owns=True)
        ann.join()
        ann.say("secret", "m")
        ann.react("m", "👍")
        for index in range(3):
            ann.ask("upload", file="f" * 16, index=index, count=3, data="x" * 29_000)
        ann.ask("lock", locked=True)
        for authorization, expected in (("", 401), ("Basic x", 401), ("Bearer wrong", 403), ("Bearer \u00e9", 403)):
            status, error = self.burn(functions, invitation, authorization)
            assert (status, bool(error["error"]["message"])) == (expected, True)
        functions.posts.clear()
        assert self.burn(functions, invitation, f"Bearer {invitation.owner_key}") == (204, "")
        assert [text.partition(",")[0] for _, text in functions.posts] == ['42["burned"', "41"]
        left = [item for item in items() if invitation.room in json.dumps(item)]
        assert {item["pk"]["S"][0] for item in left} == {keys.AGENDA}
        assert ann.id not in json.dumps(items())
        assert self.burn(functions, invitation, f"Bearer {invitation.owner_key}")[0] == 404
        status, error, _ = self.call(functions, "http-show-room", path=f"/api/rooms/{invitation.room}")
        assert (status, error["error"]["code"]) == (404, "no_such_room")

    @pytest.mark.parametrize(
        "changes",
        [
            {"room": "short"},
            {"room": "x" * 17},
            {"room": "x" * 15 + "\n"},
            {"room": None},
            {"door": "x" * 42},
            {"door": 7},
            {"owner": "="},
            {"title": "Tea & cake"},
            {"title": "x" * 721},
            {"title": None},
            {"ttl": 59},
            {"ttl": 604_801},
            {"ttl": "60"},
            {"ttl": 60.5},
            {"ttl": True},
            {"people": 1},
            {"people": 501},
            {"people": "2"},
            {"passphrase": 1},
            {"burn_when_empty": "yes"},
            {"more": 1},
        ],
    )
    def test_bad_rooms(self, functions: Lambda, changes: dict[str, Any]) -> None:
        self.refuse(functions, json.dumps(Invitation().body() | changes))

    @pytest.mark.parametrize("body", ["", "[]", "{", "{}", "null", '"room"'])
    def test_what_is_no_room(self, functions: Lambda, body: str) -> None:
        self.refuse(functions, body)

    def refuse(self, functions: Lambda, body: str) -> None:
        status, error, _ = self.call(
            functions, "http-create-room", body=body, headers={"content-length": str(len(body))}
        )
        assert (status, error["error"]["code"]) == (400, "bad_request")
        assert error["error"]["message"]
        assert not items()

    @pytest.mark.parametrize("room", ["nowhere", "x" * 16, "x" * 2_000, "%F0%9F%98%80", "x" * 15 + "%0A"])
    def test_rooms_that_are_not_there(self, functions: Lambda, room: str) -> None:
        status, error, _ = self.call(functions, "http-show-room", path=f"/api/rooms/{room}")
        assert (status, error["error"]["code"]) == (404, "no_such_room")

    def test_the_page_and_its_policy(self, functions: Lambda) -> None:
        for path in ("/", "/r/anything"):
            status, page, headers = self.call(functions, "http-page", path=path)
            assert status == 200
            assert "<!doctype html>" in page.lower()
            policy = dict(each.partition(" ")[::2] for each in headers["content-security-policy"].split("; "))
            assert policy["default-src"] == policy["object-src"] == policy["frame-ancestors"] == "'none'"
            assert policy["base-uri"] == policy["form-action"] == "'none'"
            assert policy["script-src"] == policy["style-src"] == "'self'"
            assert policy["img-src"] == "'self' blob: data:"
            assert policy["require-trusted-types-for"] == "'script'"
            assert headers["referrer-policy"] == "no-referrer", "whose room it is stays here"
            assert headers["permissions-policy"] == "camera=(), geolocation=(), microphone=()"
            assert headers["cache-control"] == "no-cache"

    def test_the_pages_files_are_asked_for_by_their_tag(self, functions: Lambda) -> None:
        status, _, headers = self.call(functions, "http-page", path="/web/favicon.svg")
        assert (status, headers["cache-control"]) == (200, "no-cache")
        again = {"if-none-match": headers["etag"]}
        assert self.call(functions, "http-page", path="/web/favicon.svg", headers=again)[0] == 304

    def test_the_pages_files_are_kept_under_their_version(
        self, functions: Lambda, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, page, headers = self.call(functions, "http-page", path="/")
        addresses = set(re.findall(r'"(/web/[^"]*)"', page))
        [version] = {address.split("/")[2] for address in addresses}
        for address in addresses:
            status, _, found = self.call(functions, "http-page", path=address)
            assert (status, found["cache-control"]) == (200, "public, max-age=31536000, immutable")
        again = {"if-none-match": headers["etag"]}
        assert self.call(functions, "http-page", path="/", headers=again)[0] == 304
        # A page from before an update gets what there is, and keeps it no longer.
        monkeypatch.setattr("chat.web.version", lambda: "another")
        status, _, found = self.call(functions, "http-page", path=f"/web/{version}/app.js")
        assert (status, found["cache-control"]) == (200, "no-cache")

    def test_the_page_is_compressed_for_who_takes_it(self, functions: Lambda) -> None:
        plain = self.call(functions, "http-page", path="/", headers={"accept-encoding": "identity"})
        packed = self.call(functions, "http-page", path="/", headers={"accept-encoding": "gzip, br"})
        assert plain[1] == packed[1]
        assert packed[2]["content-encoding"] == "gzip"
        assert int(packed[2]["content-length"]) < int(plain[2]["content-length"]) / 2

    @pytest.mark.parametrize(
        ("public", "expected"),
        [
            ("", DIRECT),
            ("https://chat.example.com", {"url": "", "path": "/socket.io/"}),
        ],
    )
    def test_where_the_socket_is(
        self, functions: Lambda, monkeypatch: pytest.MonkeyPatch, public: str, expected: dict[str, Any]
    ) -> None:
        monkeypatch.setenv("PUBLIC_URL", public)
        assert self.call(functions, "http-config")[:2] == (200, {"socket": expected})

    @pytest.mark.parametrize("path", ["/nowhere", "/web/../app.py", "/web/%2e%2e/chat/app.py", "/web/", "/api/rooms/"])
    def test_nothing_else_is_served(self, functions: Lambda, path: str) -> None:
        status, _, _ = self.call(functions, "http-page", path=path)
        assert status in (404, 405, 307)
