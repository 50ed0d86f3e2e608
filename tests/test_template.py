"""The stack, as AWS's translator expands it: rights, routes, logs."""

from typing import Any

import pytest

from gateway.settings import Settings
from gateway.template.apis import websocket_apis
from gateway.template.reader import expand, load
from gateway.template.sources import mappings
from gateway.template.stack import Stack
from gateway.websocket.targets import FunctionTarget, QueueTarget
from tests.aws.conftest import TEMPLATE

FUNCTIONS = {"ConnectFunction", "MessageFunction", "DisconnectFunction", "DeliverFunction", "HeartbeatFunction"} | {
    "HttpFunction"
}


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    template = load(TEMPLATE)
    values = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    expanded: dict[str, Any] = expand(template, values, Settings())["Resources"]
    return expanded


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: each.get("Properties", {}) for name, each in resources.items() if each["Type"] == kind}


def statements(resources: dict[str, Any]) -> list[dict[str, Any]]:
    documents = [policy["PolicyDocument"] for policy in of_type(resources, "AWS::IAM::ManagedPolicy").values()]
    for role in of_type(resources, "AWS::IAM::Role").values():
        documents += [policy["PolicyDocument"] for policy in role.get("Policies", [])]
    return [statement for document in documents for statement in document["Statement"]]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_no_right_is_given_on_everything(resources: dict[str, Any]) -> None:
    found = statements(resources)
    assert len(found) >= 6
    for statement in found:
        assert "*" not in as_list(statement["Resource"]), statement
        for action in as_list(statement["Action"]):
            assert "*" not in action, statement


def test_connect_may_do_no_more_than_it_does(resources: dict[str, Any]) -> None:
    role = resources["ConnectFunctionRole"]["Properties"]
    (policy,) = role["Policies"]
    actions = [as_list(statement["Action"]) for statement in policy["PolicyDocument"]["Statement"]]
    assert actions == [["dynamodb:GetItem", "dynamodb:PutItem"], ["sqs:SendMessage"]]


def test_every_function_logs_json_to_a_group_that_forgets(resources: dict[str, Any]) -> None:
    functions = of_type(resources, "AWS::Lambda::Function")
    assert functions.keys() == FUNCTIONS
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert all("RetentionInDays" in group for group in groups.values())
    named = {function["LoggingConfig"]["LogGroup"]["Ref"] for function in functions.values()}
    assert named == groups.keys()
    assert {function["LoggingConfig"]["LogFormat"] for function in functions.values()} == {"JSON"}


def test_three_routes(resources: dict[str, Any]) -> None:
    routes = of_type(resources, "AWS::ApiGatewayV2::Route")
    assert {route["RouteKey"] for route in routes.values()} == {"$connect", "$default", "$disconnect"}


@pytest.mark.parametrize("ingest", ["ordered", "direct"])
def test_frames_have_one_way(ingest: str) -> None:
    """By the queue, without a route response; or by the function, with one."""
    template = load(TEMPLATE)
    values = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    values |= {"Ingest": ingest}
    settings = Settings()
    stack = Stack(expand(template, values, settings), values, TEMPLATE.parent, "http://aws", settings)
    (api,) = websocket_apis(stack)
    route = api.routes["$default"]
    assert isinstance(route.target, QueueTarget if ingest == "ordered" else FunctionTarget)
    assert route.responds == (ingest == "direct")
    assert [mapping.queue for mapping in mappings(stack)[0]].count("Frames") == (ingest == "ordered")
    assert not stack.unsupported


def test_the_queues_keep_what_fails(resources: dict[str, Any]) -> None:
    queues = of_type(resources, "AWS::SQS::Queue")
    assert {name for name, queue in queues.items() if not queue.get("FifoQueue")} == {"Timers", "DeadTimers"}
    for name in ("Queue", "Frames"):
        assert queues[name]["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    for source in of_type(resources, "AWS::Lambda::EventSourceMapping").values():
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    timeout = resources["DeliverFunction"]["Properties"]["Timeout"]
    assert queues["Queue"]["VisibilityTimeout"] >= 6 * timeout, "as Lambda's guide asks"
    # A crash holds up a connection for no longer than it must.
    assert timeout < queues["Frames"]["VisibilityTimeout"] <= 60
    assert queues["Frames"]["RedrivePolicy"]["maxReceiveCount"] == 3


def test_what_is_left_to_time_goes(resources: dict[str, Any]) -> None:
    table = resources["Table"]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
