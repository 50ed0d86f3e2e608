"""Queues, schedules and environments of a started stack."""

import json
import time
from typing import Any

from tests.gateway.conftest import Started

QUEUE = "/123456789012/local-Queue.fifo"


def send(started: Started, group: str, *bodies: dict[str, Any]) -> None:
    """Send messages, all at once."""
    entries = [
        {
            "Id": str(number),
            "MessageBody": json.dumps({"group": group, **body}),
            "MessageGroupId": group,
            "MessageAttributes": {"colour": {"DataType": "String", "StringValue": "red"}},
        }
        for number, body in enumerate(bodies)
    ]
    answer = started.client("sqs").send_message_batch(QueueUrl=started.aws + QUEUE, Entries=entries)
    assert len(answer["Successful"]) == len(entries)


def handled(started: Started, group: str, name: str = "batch") -> list[dict[str, Any]]:
    """Return the bodies that were given to the function, in order, each with how often it had been received."""
    return [
        {**json.loads(record["body"]), "received": int(record["attributes"]["ApproximateReceiveCount"])}
        for event in started.events(name)
        for record in event["Records"]
        if record["attributes"].get("MessageGroupId") == group
    ]


def wait_for(started: Started, group: str, count: int, name: str = "batch") -> list[dict[str, Any]]:
    deadline = time.monotonic() + 15
    while len(found := handled(started, group, name)) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_the_event_of_a_queue(started: Started) -> None:
    send(started, "shape", {"number": 1})
    wait_for(started, "shape", 1)
    record = next(
        record
        for event in started.events("batch")
        for record in event["Records"]
        if record["attributes"].get("MessageGroupId") == "shape"
    )
    assert set(record) == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "md5OfMessageAttributes",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:local-Queue.fifo"
    assert record["attributes"]["SequenceNumber"]
    assert record["messageAttributes"]["colour"] == {
        "stringValue": "red",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }


def test_a_message_is_noticed_at_once(started: Started) -> None:
    took: list[float] = []
    for number in range(3):
        send(started, f"prompt-{number}", {})
        began = time.monotonic()
        wait_for(started, f"prompt-{number}", 1)
        took.append(time.monotonic() - began)
    assert min(took) < 0.5, "not before the next poll"


def test_a_group_keeps_its_order_and_groups_run_at_the_same_time(started: Started) -> None:
    for number in range(6):
        send(started, "left", {"number": number, "seconds": 0.1})
        send(started, "right", {"number": number, "seconds": 0.1})
    left, right = (wait_for(started, group, 6, "batch-end") for group in ("left", "right"))
    assert [body["number"] for body in left] == list(range(6))
    assert [body["number"] for body in right] == list(range(6))


def test_what_failed_comes_back_after_its_visibility_timeout_and_in_order(started: Started) -> None:
    send(started, "again", {"number": 0, "seconds": 0.5})
    send(started, "again", *({"number": number, "fail": "once" if number == 1 else ""} for number in range(1, 4)))
    found = wait_for(started, "again", 7, "batch-end")
    # 0 alone, then 1 to 3 of which 1 fails and so all do, then the three again.
    assert [body["number"] for body in found] == [0, 1, 2, 3, 1, 2, 3]
    assert [body["received"] for body in found] == [1, 1, 1, 1, 2, 2, 2]


def test_what_fails_too_often_goes_to_the_dead_letters(started: Started) -> None:
    send(started, "poison", {"fail": "always"})
    found = wait_for(started, "poison", 3)
    assert [body["received"] for body in found] == [1, 2, 3]
    sqs = started.client("sqs")
    queue = started.aws + "/123456789012/local-DeadLetters.fifo"
    deadline = time.monotonic() + 10
    while not (messages := sqs.receive_message(QueueUrl=queue).get("Messages", [])):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert json.loads(messages[0]["Body"])["group"] == "poison"


def test_schedules_and_rules_run_at_the_given_period(started: Started) -> None:
    deadline = time.monotonic() + 10
    while len({event["source"] for event in started.events("tick")}) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    by_source = {event["source"]: event for event in started.events("tick")}
    assert by_source["aws.scheduler"]["detail"] == "{}"
    assert by_source["aws.events"]["detail"] == {}
    assert by_source["aws.events"]["resources"] == ["arn:aws:events:us-east-1:123456789012:rule/local-TickFunctionRule"]


def test_the_environment_of_a_function(started: Started) -> None:
    with started.connect() as socket:
        socket.send('{"action":"environment"}')
        variables = json.loads(socket.recv(10))
    assert variables["CONNECTIONS_URL"] == f"{started.url}/test"
    assert variables["PUBLIC"] == started.url
    assert variables["SIZE"] == "7"
    assert variables["TABLE"] == "local-Table"
    assert variables["QUEUE_URL"] == started.aws + QUEUE
    assert variables["AWS_REGION"] == "us-east-1"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "local-EnvironmentFunction"
    assert variables["AWS_LAMBDA_LOG_FORMAT"] == "Text"
    assert variables["ARN"] == "arn:aws:lambda:us-east-1:123456789012:function:local-EnvironmentFunction"
    assert variables["LAMBDA_TASK_ROOT"].endswith("/stack/code")
    assert "HOME" not in variables


def test_what_is_not_run_is_named_once(started: Started) -> None:
    log = started.log.read_text()
    assert log.count("Not run here") == 1
    assert "Not run here: Alarm (AWS::CloudWatch::Alarm)" in log


def test_the_table_is_as_the_template_says(started: Started) -> None:
    dynamodb = started.client("dynamodb")
    assert dynamodb.describe_time_to_live(TableName="local-Table")["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "ttl",
    }
    assert dynamodb.list_tables()["TableNames"] == ["local-Table"]


def test_lines_on_standard_output(started: Started) -> None:
    assert started.lines[-4:] == [
        f"{started.websocket_url}  Api",
        f"{started.websocket_url.removesuffix('test')}queued  Queued",
        f"{started.url}/  Pages",
        f"Ready: {started.url}/",
    ]
