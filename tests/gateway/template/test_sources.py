"""What a template says of event sources, schedules and asynchronous events."""

from pathlib import Path

import pytest

from gateway.errors import TemplateError
from gateway.settings import Settings
from gateway.template import sources
from gateway.template.reader import expand, load
from gateway.template.specs import AsyncSpec, Destination
from gateway.template.stack import Stack

ARN = "arn:aws:{}:us-east-1:123456789012:{}"
TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.b
      Runtime: python3.13
      AutoPublishAlias: live
      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Queue.Arn}
      EventInvokeConfig:
        MaximumEventAgeInSeconds: 60
        MaximumRetryAttempts: 0
        DestinationConfig:
          OnSuccess: {Type: Lambda, Destination: !GetAtt Plain.Arn}
          OnFailure: {Type: SNS, Destination: "arn:aws:sns:us-east-1:123456789012:topic"}
      Events:
        Stream:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Table.StreamArn
            StartingPosition: TRIM_HORIZON
            BatchSize: 5
            BisectBatchOnFunctionError: true
            MaximumRetryAttempts: 3
            MaximumRecordAgeInSeconds: 60
            MaximumBatchingWindowInSeconds: 2
            ParallelizationFactor: 2
            FunctionResponseTypes: [ReportBatchItemFailures]
            DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Queue.Arn}}
        Usual: {Type: DynamoDB, Properties: {Stream: !GetAtt Table.StreamArn, StartingPosition: LATEST}}
        Queue:
          Type: SQS
          Properties:
            Queue: !GetAtt Queue.Arn
            BatchSize: 50
            MaximumBatchingWindowInSeconds: 5
            ScalingConfig: {MaximumConcurrency: 3}
            FilterCriteria: {Filters: [{Pattern: '{"body": ["a"]}'}, {Pattern: '{"body": ["b"]}'}]}
        Other: {Type: Kinesis, Properties: {Stream: "arn:aws:kinesis:r:1:stream/s", StartingPosition: LATEST}}
        Cron:
          Type: ScheduleV2
          Properties:
            ScheduleExpression: cron(0 8 ? * MON *)
            ScheduleExpressionTimezone: Europe/Berlin
            StartDate: "2026-01-01T00:00:00Z"
            EndDate: "2026-02-01T00:00:00+01:00"
        Off: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 hour), State: DISABLED}}
  Plain:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, Runtime: python3.13}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      BillingMode: PAY_PER_REQUEST
      StreamSpecification: {StreamViewType: KEYS_ONLY}
  Queue: {Type: AWS::SQS::Queue, Properties: {FifoQueue: false}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      ScheduleExpression: rate(2 days)
      Targets:
        - {Id: a, Arn: !GetAtt Fn.Arn, Input: "{}"}
        - {Id: b, Arn: !GetAtt Queue.Arn, InputPath: $.detail, SqsParameters: {MessageGroupId: g}}
        - {Id: c, Arn: "arn:aws:sns:us-east-1:123456789012:topic"}
""".replace("        Off:", '        "Off":')


def stack(tmp_path: Path, text: str) -> Stack:
    path = tmp_path / "template.yaml"
    path.write_text(text)
    return Stack(expand(load(path), {}, Settings()), {}, tmp_path, "http://aws", Settings())


def test_event_sources(tmp_path: Path) -> None:
    made = stack(tmp_path, TEMPLATE)
    made.stream_arns = {"Table": "arn:aws:dynamodb:us-east-1:123456789012:table/local-Table/stream/now"}
    (queue,), (stream, usual) = sources.mappings(made)
    assert (queue.queue, queue.function, queue.batch_size, queue.window) == ("Queue", "Fn", 50, 5)
    assert (queue.concurrency, queue.filters) == (3, ({"body": ["a"]}, {"body": ["b"]}))
    assert (stream.table, stream.stream_arn) == ("Table", made.stream_arns["Table"])
    assert (stream.function, stream.function_arn) == ("Fn", ARN.format("lambda", "function:local-Fn"))
    assert (stream.batch_size, stream.window, stream.latest, stream.partial, stream.bisect) == (5, 2, False, True, True)
    assert (stream.retries, stream.max_age) == (3, 60)
    assert stream.on_failure == Destination("queue", "local-Queue", ARN.format("sqs", "local-Queue"))
    assert (usual.batch_size, usual.latest, usual.retries, usual.max_age) == (100, True, None, 86400)
    assert made.unsupported == {
        "FnStream.ParallelizationFactor": "setting of a stream's event source; batches run one by one",
        "FnOther": "event source arn:aws:kinesis:r:1:stream/s",
    }


def test_asynchronous_events(tmp_path: Path) -> None:
    made = stack(tmp_path, TEMPLATE)
    found = sources.asynchronous(made)
    plain = Destination("function", "Plain", ARN.format("lambda", "function:local-Plain"))
    queue = Destination("queue", "local-Queue", ARN.format("sqs", "local-Queue"))
    assert found == {"Fn": AsyncSpec(0, 60, plain, None, queue), "Plain": AsyncSpec()}
    assert list(made.unsupported) == ["FnEventInvokeConfig.OnFailure"]
    assert sources.qualifiers(made) == {"Fn": {"live", "1"}}


def test_schedules(tmp_path: Path) -> None:
    made = stack(tmp_path, TEMPLATE)
    cron, rule, queue = sources.schedules(made)
    assert (cron.target.name, cron.expression, cron.timezone) == ("Fn", "cron(0 8 ? * MON *)", "Europe/Berlin")
    assert (cron.start, cron.end, cron.scheduler) == (1767225600, 1769900400, True)
    assert (rule.target.name, rule.input, rule.scheduler) == ("Fn", "{}", False)
    assert (queue.target.kind, queue.target.name, queue.group) == ("queue", "local-Queue", "g")
    assert made.unsupported == {
        "Rule.InputPath": "input of a rule's target, the whole event is delivered",
        "Rule": "schedule of arn:aws:sns:us-east-1:123456789012:topic",
    }


@pytest.mark.parametrize(
    ("written", "instead", "words"),
    [
        ("rate(2 days)", "rate(2 weeks)", "Rule: rate(2 weeks) is no rate"),
        ("Europe/Berlin", "Europe/Nowhere", "FnCron: there is no time zone Europe/Nowhere"),
        ('{"body": ["b"]}', '{"body": "b"}', "FnQueue: FilterCriteria: body must be an object or a list"),
        ("StreamSpecification", "ContributorInsightsSpecification", "has no StreamSpecification"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(tmp_path: Path, written: str, instead: str, words: str) -> None:
    made = stack(tmp_path, TEMPLATE.replace(written, instead))
    with pytest.raises(TemplateError) as error:
        sources.mappings(made), sources.schedules(made)
    assert words in str(error.value)
