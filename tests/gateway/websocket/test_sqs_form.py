"""Requests of the SQS query protocol."""

import pytest

from gateway.websocket.sqs_form import FormError, send_arguments


def test_a_whole_message() -> None:
    form = (
        "Action=SendMessage&Version=2012-11-05&QueueUrl=https%3A%2F%2Fq&MessageBody=a%20%26+b%3D&MessageGroupId=g%3D"
        "&MessageDeduplicationId=d&DelaySeconds=5&Attribute.1.Name=x"
        "&MessageAttribute.1.Name=colour&MessageAttribute.1.Value.StringValue=red&MessageAttribute.1.Value.DataType=String"
        "&MessageAttribute.2.Name=raw&MessageAttribute.2.Value.BinaryValue=AQI%3D&MessageAttribute.2.Value.DataType=Binary"
        "&MessageAttribute.4.Name=after+a+gap"
    )
    assert send_arguments(form) == {
        "QueueUrl": "https://q",
        "MessageBody": "a & b=",
        "MessageGroupId": "g=",
        "MessageDeduplicationId": "d",
        "DelaySeconds": 5,
        "MessageAttributes": {
            "colour": {"DataType": "String", "StringValue": "red"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\x01\x02"},
        },
    }


def test_the_address_may_name_the_action() -> None:
    assert send_arguments("MessageBody=x", "SendMessage") == {"MessageBody": "x"}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("", "InvalidAction: none"),
        ("Action=ReceiveMessage&MessageBody=x", "InvalidAction: ReceiveMessage"),
        ("Action=SendMessage", "MissingParameter: MessageBody"),
        ("Action=SendMessage&MessageBody=", "MissingParameter: MessageBody"),
        ("Action=SendMessage&MessageBody=a%01", r"InvalidMessageContents: U\+0001"),
        ("Action=SendMessage&MessageBody=a%EF%BF%BF", r"InvalidMessageContents: U\+FFFF"),
        ("Action=SendMessage&MessageBody=a&DelaySeconds=soon", "MalformedInput: DelaySeconds soon"),
        (
            "Action=SendMessage&MessageBody=a&MessageAttribute.1.Name=x&MessageAttribute.1.Value.BinaryValue=x",
            "MalformedInput: BinaryValue",
        ),
    ],
)
def test_what_sqs_refuses(form: str, words: str) -> None:
    with pytest.raises(FormError, match=words):
        send_arguments(form)
