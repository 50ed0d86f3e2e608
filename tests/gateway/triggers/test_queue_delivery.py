"""Frames that reach a function through a queue, and how the queues of the embedded AWS behave."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from gateway.aws.queue import AwsQueue
from gateway.websocket.sender import Arguments
from tests.gateway.conftest import Started
from tests.gateway.triggers.test_background import wait_for

# ---- through an API


@contextmanager
def queued(started: Started) -> Iterator[ClientConnection]:
    with connect(started.websocket_url.removesuffix("test") + "queued", proxy=None) as socket:
        yield socket


def answers(socket: ClientConnection, count: int) -> list[tuple[int, int, str]]:
    """Return the sequence number, the count of receives and the text of as many messages as came back."""
    return [(*answer[:2], answer[2].rstrip(" ")) for answer in (json.loads(socket.recv(10)) for _ in range(count))]


def test_every_event_goes_through_the_queue(started: Started) -> None:
    with queued(started) as socket:
        socket.send("é & = + %")
        assert [text for _, _, text in answers(socket, 1)] == ["é & = + %"]
        socket.close(4001)
    deadline = time.monotonic() + 10
    while len(found := started.events("frames")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    kinds = [message["messageAttributes"]["kind"]["stringValue"] for message in found]
    assert kinds[:2] == ["CONNECT", "DISCONNECT"]
    assert found[0]["messageAttributes"]["flavour"]["stringValue"] == "sharp"
    # The body of both is " ", with the code behind it where there is one.
    assert [message["body"] for message in found[:2]] == ["IA==", "IDQwMDE="]


def test_frames_keep_their_order(started: Started) -> None:
    with queued(started) as socket:
        for number in range(200):
            socket.send(str(number))
        found = answers(socket, 200)
    assert [text for _, _, text in found] == [str(number) for number in range(200)]
    assert [number for number, _, _ in found] == sorted(number for number, _, _ in found)
    assert {received for _, received, _ in found} == {1}


def test_connections_do_not_wait_for_each_other(started: Started) -> None:
    with queued(started) as slow, queued(started) as quick:
        slow.send('{"seconds": 2.5}')
        slow.send("behind")
        began = time.monotonic()
        quick.send("at once")
        assert answers(quick, 1)[0][2] == "at once"
        assert time.monotonic() - began < 2.4
        assert [text for _, _, text in answers(slow, 2)] == ['{"seconds": 2.5}', "behind"]


def test_what_failed_comes_back_before_its_successors(started: Started) -> None:
    with queued(started) as socket:
        # The first keeps the function busy, so that the others are one batch.
        for text in ('{"seconds": 0.3}', "1", "2 fail", "3", "4"):
            socket.send(text)
        assert [text for _, _, text in answers(socket, 2)] == ['{"seconds": 0.3}', "1"]
        began = time.monotonic()
        socket.send("5")
        found = answers(socket, 4)
        # Not after the queue's thirty seconds: the function asked for one.
        assert 0.5 < time.monotonic() - began < 5
    assert [(received, text) for _, received, text in found] == [(2, "2 fail"), (2, "3"), (2, "4"), (1, "5")]
    assert [number for number, _, _ in found] == sorted(number for number, _, _ in found)


def test_what_the_queue_refuses_is_an_error_frame(started: Started) -> None:
    with queued(started) as socket:
        for _ in range(2):
            socket.send('{"action": "refused"}')
        for _ in range(2):
            assert str(socket.recv(10)).startswith('{"message": "Internal server error", "connectionId":"')
    assert "RefusedIntegration: An error occurred (MissingParameter)" in started.log.read_text()


# ---- a standard queue with a function


def send_loosely(started: Started, group: str, delay: int = 0, **body: Any) -> None:
    started.client("sqs").send_message(
        QueueUrl=f"{started.aws}/123456789012/local-Loose",
        MessageBody=json.dumps({"group": group, **body}),
        DelaySeconds=delay,
    )


def loosely_handled(started: Started, group: str) -> list[int]:
    """Return how often each message of a group had been received when it was handled."""
    return [
        int(record["attributes"]["ApproximateReceiveCount"])
        for event in started.events("batch")
        for record in event["Records"]
        if json.loads(record["body"])["group"] == group
    ]


def test_a_message_of_a_standard_queue_may_be_delayed(started: Started) -> None:
    began = time.monotonic()
    send_loosely(started, "late", 1)
    while not loosely_handled(started, "late"):
        assert time.monotonic() - began < 10
        time.sleep(0.02)
    assert time.monotonic() - began > 0.9


def test_what_fails_too_often_leaves_a_standard_queue(started: Started) -> None:
    send_loosely(started, "loose poison", fail="always")
    sqs = started.client("sqs")
    deadline = time.monotonic() + 15
    while not (messages := receive(sqs, f"{started.aws}/123456789012/local-LooseDeadLetters")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert json.loads(messages[0]["Body"])["group"] == "loose poison"
    assert loosely_handled(started, "loose poison") == [1, 2]


# ---- the queues themselves


@pytest.fixture
def sqs(started: Started) -> Any:
    return started.client("sqs")


def fifo(sqs: Any, **attributes: str) -> str:
    attributes = {"FifoQueue": "true", "VisibilityTimeout": "60", **attributes}
    return str(sqs.create_queue(QueueName=f"{uuid.uuid4()}.fifo", Attributes=attributes)["QueueUrl"])


def put(sqs: Any, url: str, group: str, *bodies: str) -> None:
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=uuid.uuid4().hex)


def receive(sqs: Any, url: str, count: int = 10) -> list[dict[str, Any]]:
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=count, MessageSystemAttributeNames=["All"])
    return list(answer.get("Messages", []))


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]


def received(messages: list[dict[str, Any]]) -> list[int]:
    return [int(message["Attributes"]["ApproximateReceiveCount"]) for message in messages]


def delete(sqs: Any, url: str, *messages: dict[str, Any]) -> None:
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def give_back(sqs: Any, url: str, *messages: dict[str, Any]) -> None:
    for message in messages:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)


def test_a_group_is_held_back_while_a_message_of_it_is_in_flight(sqs: Any) -> None:
    url = fifo(sqs)
    put(sqs, url, "a", "a1", "a2")
    put(sqs, url, "b", "b1")
    (first,) = receive(sqs, url, 1)
    assert first["Body"] == "a1"
    assert bodies(receive(sqs, url)) == ["b1"]
    put(sqs, url, "a", "a3")
    assert receive(sqs, url) == []
    delete(sqs, url, first)
    assert bodies(receive(sqs, url)) == ["a2", "a3"]


def test_a_part_of_a_batch_comes_back_in_order(sqs: Any) -> None:
    url = fifo(sqs)
    put(sqs, url, "a", "1", "2", "3")
    batch = receive(sqs, url)
    put(sqs, url, "a", "4")
    delete(sqs, url, batch[0])
    assert receive(sqs, url) == []
    # The last first: still nothing overtakes what is in flight.
    give_back(sqs, url, batch[2])
    assert receive(sqs, url) == []
    give_back(sqs, url, batch[1])
    again = receive(sqs, url)
    assert bodies(again) == ["2", "3", "4"]
    assert received(again) == [2, 2, 1]
    numbers = [int(message["Attributes"]["SequenceNumber"]) for message in [batch[0], *again]]
    assert numbers == sorted(numbers)


def test_a_group_goes_on_behind_what_went_to_the_dead_letters(sqs: Any) -> None:
    dead = fifo(sqs)
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = fifo(sqs, RedrivePolicy=json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2}))
    put(sqs, url, "a", "poison", "after")
    for count in (1, 2):
        (first,) = receive(sqs, url, 1)
        assert (first["Body"], received([first])) == ("poison", [count])
        give_back(sqs, url, first)
    assert bodies(receive(sqs, url)) == ["after"]
    (letter,) = receive(sqs, dead)
    assert (letter["Body"], letter["Attributes"]["MessageGroupId"]) == ("poison", "a")


@pytest.mark.parametrize(("scope", "others"), [("queue", []), ("messageGroup", ["other group"])])
def test_a_duplicate_is_dropped_even_when_the_first_is_gone(sqs: Any, scope: str, others: list[str]) -> None:
    url = fifo(sqs, DeduplicationScope=scope)

    def send(body: str, group: str) -> None:
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId="same")

    send("first", "a")
    delete(sqs, url, *receive(sqs, url))
    send("again", "a")
    send("other group", "b")
    assert bodies(receive(sqs, url)) == others


def test_attributes_are_counted_when_they_are_asked_for(sqs: Any) -> None:
    url = fifo(sqs, ContentBasedDeduplication="true")
    put(sqs, url, "a", "1", "2", "3")
    receive(sqs, url, 1)
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "2"
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "1"
    assert attributes["FifoQueue"] == attributes["ContentBasedDeduplication"] == "true"
    assert attributes["VisibilityTimeout"] == "60"
    assert "RedrivePolicy" not in attributes


def test_groups_of_one_queue_run_at_the_same_time(started: Started) -> None:
    began = time.monotonic()
    for group in ("first of two", "second of two"):
        started.client("sqs").send_message(
            QueueUrl=f"{started.aws}/123456789012/local-Queue.fifo",
            MessageBody=json.dumps({"group": group, "seconds": 2.5}),
            MessageGroupId=group.replace(" ", "-"),
        )
    for group in ("first-of-two", "second-of-two"):
        wait_for(started, group, 1, "batch-end")
    assert time.monotonic() - began < 4.9


def test_what_is_wrong_with_one_message_refuses_no_other(sqs: Any) -> None:
    url = fifo(sqs)

    def message(body: str, **changes: Any) -> Arguments:
        return {"MessageBody": body, "MessageGroupId": "a", "MessageDeduplicationId": body, **changes}

    batch = [message("1"), message("2", DelaySeconds=5), message("3"), message("4", MessageAttributes={"x": 1})]
    with ThreadPoolExecutor(1) as executor:
        reasons = asyncio.run(AwsQueue(sqs, url, executor).send(batch))
    assert [reason is None for reason in reasons] == [True, False, True, False]
    assert "DelaySeconds" in str(reasons[1])
    assert bodies(receive(sqs, url)) == ["1", "3"]
