"""The Lambda handlers on the sample events: what goes in, what comes out, and that nothing is thrown."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.aws.conftest import items
from tests.handlers.conftest import EVENTS, Lambda, sample

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
        assert functions.posts == [(CONNECTION, '42["typing",{"id":"x","typing":true}]')]

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
        is_json = answer["headers"].get("content-type") == "application/json"
        return answer["statusCode"], json.loads(body) if is_json and body else body, answer["headers"]

    def test_rooms(self, functions: Lambda) -> None:
        status, room, _ = self.call(functions, "http-create-room")
        assert status == 201
        assert set(room) == {"room", "url", "expires_at", "owner_key"}
        assert room["url"] == f"https://efgh456.execute-api.us-east-1.amazonaws.com/r/{room['room']}"
        path = f"/api/rooms/{room['room']}"
        status, shown, _ = self.call(functions, "http-show-room", path=path)
        assert (status, shown) == (200, {"room": room["room"], "title": "Tea", "expires_at": room["expires_at"]})
        assert room["owner_key"] not in json.dumps(items()), "the table holds its digest alone"
        for header, expected in (("", 401), ("Bearer wrong", 403), (f"Bearer {room['owner_key']}", 204)):
            status, _, _ = self.call(functions, "http-burn-room", path=path, headers={"authorization": header})
            assert status == expected
        assert not items()
        status, error, _ = self.call(functions, "http-show-room", path=path)
        assert (status, error["error"]["code"]) == (404, "no_such_room")

    @pytest.mark.parametrize(
        "body",
        [
            '{"ttl":59}',
            '{"ttl":604801}',
            '{"ttl":"60"}',
            '{"title":7}',
            '{"x":1}',
            "[]",
            "{",
            json.dumps({"title": "x" * 81}),
        ],
    )
    def test_bad_rooms(self, functions: Lambda, body: str) -> None:
        status, error, _ = self.call(functions, "http-create-room", body=body)
        assert status == 400
        assert error["error"]["code"] == "bad_request"
        assert error["error"]["message"]
        assert not items()

    def test_no_body_is_the_default_room(self, functions: Lambda) -> None:
        event = {"body": "", "headers": {"content-length": "0"}}
        status, room, _ = self.call(functions, "http-create-room", **event)
        assert status == 201
        assert room["expires_at"] > 0

    def test_the_page_and_its_policy(self, functions: Lambda) -> None:
        for path in ("/", "/r/anything"):
            status, page, headers = self.call(functions, "http-page", path=path)
            assert status == 200
            assert "<!doctype html>" in page.lower()
            assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
            assert "unsafe" not in headers["content-security-policy"]

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
