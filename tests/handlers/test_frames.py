"""Frames from their queue (Ingest=ordered): batches, what fails, what comes twice, and what it costs."""

import base64
import json
import logging
from itertools import count
from typing import Any

import boto3
import pytest

from tests.chat.person import Invitation, Person
from tests.handlers.conftest import APPLICATION, Lambda, sample

ANN, BOB = "L0SM9cOFvHcCIhw=", "L0SM9cOFvHcCIh0="

Record = dict[str, Any]


class Frames:
    """The queue of frames, and the function that takes from it."""

    def __init__(self, functions: Lambda, url: str) -> None:
        self.functions = functions
        self.url = url
        self._numbers = count(18_849_699_594_600_000_001)

    def record(self, connection_id: str, frame: str, *, body: str | None = None, receives: int = 1) -> Record:
        """Return a message as Lambda gets it: a frame as the integration's template writes it, or another body."""
        number = next(self._numbers)
        return {
            "messageId": f"message-{number}",
            "receiptHandle": f"receipt-{number}",
            "body": base64.b64encode(frame.encode()).decode() if body is None else body,
            "attributes": {
                "MessageGroupId": connection_id,
                "SequenceNumber": str(number),
                "ApproximateReceiveCount": str(receives),
            },
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:frames.fifo",
        }

    def take(self, *records: Record) -> list[str]:
        """Have a batch handled; returns the ids of the messages that failed."""
        answer = self.functions.invoke("message", {"Records": list(records)})
        assert answer.keys() == {"batchItemFailures"}
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def cost(self, record: Record) -> dict[str, int]:
        """Have one message handled; returns the AWS calls that it cost."""
        self.functions.calls.clear()
        assert self.take(record) == []
        return dict(self.functions.calls)

    def waiting(self) -> list[tuple[str, str]]:
        """Return what is in the queue: group and body, in their order."""
        found = boto3.client("sqs").receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        return [(each["Attributes"]["MessageGroupId"], each["Body"]) for each in found.get("Messages", [])]

    def connect(self, connection_id: str) -> None:
        """Open a connection and join `/`."""
        assert self.functions.invoke("connect", sample("connect", connectionId=connection_id)) == {"statusCode": 200}
        assert self.take(self.record(connection_id, "40")) == []
        self.functions.posts.clear()


class Asked:
    """A client whose frames come through the queue, for a person of the chat: `call` returns the acknowledgement."""

    heard = ()

    def __init__(self, frames: Frames, connection_id: str) -> None:
        self._frames, self._id = frames, connection_id

    def call(self, event: str, data: Any, /) -> Any:
        self._frames.functions.posts.clear()
        assert self._frames.take(self._frames.record(self._id, f"420{json.dumps([event, data])}")) == []
        (answer,) = [text for text in text_of(self._frames.functions.posts, self._id) if text.startswith("430")]
        return json.loads(answer.removeprefix("430"))[0]


@pytest.fixture
def frames(functions: Lambda, monkeypatch: pytest.MonkeyPatch) -> Frames:
    url = boto3.client("sqs").create_queue(
        QueueName="frames.fifo", Attributes={"FifoQueue": "true", "DeduplicationScope": "messageGroup"}
    )["QueueUrl"]
    monkeypatch.setenv("FRAMES_URL", url)
    return Frames(functions, url)


def text_of(posts: list[tuple[str, str]], connection_id: str) -> list[str]:
    return [text for to, text in posts if to == connection_id]


class TestTheWay:
    def test_the_open_packet_is_ahead_of_every_frame(self, frames: Frames) -> None:
        """And behind the last one the end: one group, one order."""
        frames.functions.invoke("connect", sample("connect"))
        ((group, opening),) = frames.waiting()
        assert group == ANN
        assert json.loads(opening)["job"] == "Open"
        assert frames.take(frames.record(ANN, "", body=opening)) == []
        assert text_of(frames.functions.posts, ANN)[0].startswith('0{"sid"')

    def test_the_end_is_behind_the_last_frame(self, frames: Frames) -> None:
        frames.connect(ANN)
        frames.waiting()
        frames.functions.invoke("disconnect", sample("disconnect"))
        # The open packet's message is still in flight, and so holds the group: the end is another one of it.
        attributes = boto3.client("sqs").get_queue_attributes(
            QueueUrl=frames.url, AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]
        assert attributes["ApproximateNumberOfMessages"] == "1"
        assert frames.functions.frame('420["leave"]', ANN) is not None, "nothing has ended yet"
        closed = json.dumps({"job": "Closed", "connection_id": ANN})
        assert frames.take(frames.record(ANN, "", body=closed)) == []
        frames.functions.frame('420["leave"]', ANN)
        assert frames.functions.calls["DeleteConnection"] == 1

    def test_answers_are_posted(self, frames: Frames) -> None:
        """There is no route response behind a queue."""
        frames.connect(ANN)
        assert frames.take(frames.record(ANN, '420["leave",{}]'), frames.record(ANN, '421["leave",{}]')) == []
        assert text_of(frames.functions.posts, ANN) == ['430[{"ok":true}]', '431[{"ok":true}]']

    def test_several_connections_in_a_batch(self, frames: Frames) -> None:
        frames.connect(ANN)
        frames.connect(BOB)
        batch = [frames.record(who, f'42{n}["leave",{{}}]') for n in range(3) for who in (ANN, BOB)]
        assert frames.take(*batch) == []
        for who in (ANN, BOB):
            assert text_of(frames.functions.posts, who) == [f'43{n}[{{"ok":true}}]' for n in range(3)]


class TestFailures:
    @pytest.fixture
    def broken(self, frames: Frames, monkeypatch: pytest.MonkeyPatch) -> Frames:
        """With a table that cannot find Ann's connection."""
        frames.connect(ANN)
        frames.connect(BOB)
        import handlers.message

        connections: Any = handlers.message._engine._ports.connections
        load = connections.load

        def failing(connection_id: str) -> Any:
            if connection_id == ANN:
                raise RuntimeError("on purpose")
            return load(connection_id)

        monkeypatch.setattr(connections, "load", failing)
        return frames

    def test_one_connection_alone_waits(self, broken: Frames) -> None:
        """Its later frames are not handled before the one that failed; the others' are."""
        batch = [broken.record(who, f'42{n}["leave",{{}}]') for n in range(2) for who in (ANN, BOB)]
        assert broken.take(*batch) == [batch[0]["messageId"], batch[2]["messageId"]]
        assert text_of(broken.functions.posts, ANN) == []
        assert len(text_of(broken.functions.posts, BOB)) == 2
        assert broken.functions.calls["ChangeMessageVisibility"] == 2, "both come again soon"
        assert broken.functions.calls["DeleteConnection"] == 0

    def test_the_last_try_closes_the_connection(self, broken: Frames) -> None:
        """The frame goes to the dead letters, and those behind it would be out of order."""
        record = broken.record(ANN, "42", receives=3)
        assert broken.take(record) == [record["messageId"]]
        assert broken.functions.calls["DeleteConnection"] == 1

    @pytest.mark.parametrize("body", ["not base64!", "gICA", "{}", '{"job":"Unknown"}'])
    def test_a_message_that_is_no_frame(self, frames: Frames, body: str, caplog: pytest.LogCaptureFixture) -> None:
        frames.connect(ANN)
        frames.connect(BOB)
        poison = frames.record(ANN, "", body=body)
        with caplog.at_level(logging.CRITICAL):
            failed = frames.take(poison, frames.record(BOB, '420["leave",{}]'))
        assert failed == [poison["messageId"]]
        assert text_of(frames.functions.posts, BOB) == ['430[{"ok":true}]']

    def test_a_frame_that_is_not_of_the_protocol(self, frames: Frames) -> None:
        """It is handled: the connection ends, and nothing comes again."""
        frames.connect(ANN)
        assert frames.take(frames.record(ANN, "nonsense")) == []
        assert frames.functions.calls["DeleteConnection"] == 1

    def test_a_frame_of_nobody(self, frames: Frames) -> None:
        assert frames.take(frames.record(ANN, '42["leave"]')) == []
        assert frames.functions.calls["DeleteConnection"] == 1


class TestTwice:
    def test_an_event_is_handled_once(self, frames: Frames) -> None:
        frames.connect(ANN)
        record = frames.record(ANN, '420["leave",{}]')
        assert frames.take(record) == []
        assert frames.take(record) == []
        assert text_of(frames.functions.posts, ANN) == ['430[{"ok":true}]']

    def test_in_one_batch(self, frames: Frames) -> None:
        frames.connect(ANN)
        record, other = frames.record(ANN, '420["leave",{}]'), frames.record(ANN, '421["leave",{}]')
        assert frames.take(record, record, other, record) == []
        assert len(text_of(frames.functions.posts, ANN)) == 2

    def test_an_attachment_belongs_to_one_event(self, frames: Frames) -> None:
        frames.connect(ANN)
        header = frames.record(ANN, '452-0["leave",[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]]')
        one, two = frames.record(ANN, "bAQ=="), frames.record(ANN, "bAg==")
        for record in (header, header, one, one, two, two):
            assert frames.take(record) == []
        assert text_of(frames.functions.posts, ANN) == ['430[{"ok":true}]']
        assert frames.functions.calls["DeleteConnection"] == 0


class TestBudgets:
    def test_connect(self, frames: Frames) -> None:
        assert frames.functions.counted("connect", sample("connect")) == {"PutItem": 1, "SendMessageBatch": 1}

    def test_joining_a_namespace(self, frames: Frames) -> None:
        frames.functions.invoke("connect", sample("connect"))
        expected = {"GetItem": 1, "BatchGetItem": 1, "UpdateItem": 1, "BatchWriteItem": 1, "PostToConnection": 1}
        assert frames.cost(frames.record(ANN, "40")) == expected

    def test_an_event(self, frames: Frames) -> None:
        """Its acknowledgement is posted, and a write says that it was handled."""
        frames.connect(ANN)
        cost = frames.cost(frames.record(ANN, '420["message",{"id":"m1"}]'))
        assert cost == {"GetItem": 1, "UpdateItem": 1, "PostToConnection": 1}

    def test_a_chat_message(self, frames: Frames) -> None:
        """What its author may still say is in the session: one write less than where frames come as they do."""
        invitation = Invitation()
        event = sample("http-create-room")
        event["body"] = json.dumps(invitation.body(ttl=600))
        assert frames.functions.invoke("http", event)["statusCode"] == 201
        frames.connect(ANN)
        ann = Person(Asked(frames, ANN), invitation, "Ann")
        ann.join()
        frames.functions.calls.clear()
        ann.say("hi")
        cost = {"GetItem": 1, "UpdateItem": 2, "PutItem": 1, "Query": 1, "PostToConnection": 2}
        assert dict(frames.functions.calls) == cost, (
            "the number and that it was handled; the message; to her, and the answer"
        )

    def test_an_event_that_saves_a_session(self, frames: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
        """It rides the same write."""
        monkeypatch.setenv("APP", f"{APPLICATION}:sio")
        frames.connect(ANN)
        cost = frames.cost(frames.record(ANN, '420["save",7]'))
        assert cost == {"GetItem": 1, "UpdateItem": 1, "PostToConnection": 1}
        frames.take(frames.record(ANN, '421["saved"]'))
        assert text_of(frames.functions.posts, ANN)[-1] == '431[{"n":7}]'

    def test_pong(self, frames: Frames) -> None:
        frames.connect(ANN)
        assert frames.cost(frames.record(ANN, "3")) == {"UpdateItem": 1}

    def test_the_end(self, frames: Frames) -> None:
        frames.connect(ANN)
        assert frames.functions.counted("disconnect", sample("disconnect")) == {"SendMessageBatch": 1}
        closed = json.dumps({"job": "Closed", "connection_id": ANN})
        assert frames.cost(frames.record(ANN, "", body=closed)) == {"UpdateItem": 1, "BatchWriteItem": 2}
