"""What functions know of the template's APIs: host names that lead to this machine."""

from pathlib import Path

import pytest

from gateway.settings import Settings
from gateway.template.hosts import any_host, host_names, localised
from gateway.template.specs import FunctionSpec
from gateway.template.stack import Stack

TEMPLATE = {
    "Resources": {
        "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": "a", "ProtocolType": "WEBSOCKET"}},
        "Rest": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "b"}},
        "Other": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "c"}},
    }
}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(TEMPLATE, {}, tmp_path, "http://127.0.0.1:5000", Settings())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://{Api}.{domain}/prod", "http://127.0.0.1:3000/prod"),
        ("wss://{Api}.{domain}/prod", "ws://127.0.0.1:3001/prod"),
        # Code puts the scheme before it, or version 2 of the SDK does.
        ("{Api}.{domain}/prod", "127.0.0.1:3000/prod"),
        ("{Api}.{domain}:443", "127.0.0.1:3000"),
        ("a {Api}.{domain} b", "a 127.0.0.1:3000 b"),
        ("https://{Other}.{domain}/v1", "http://127.0.0.1:3000/_apis/{Other}/v1"),
        ("x{Api}.{domain}", "x{Api}.{domain}"),
        ("https://example.com/{Api}.{domain}", "https://example.com/{Api}.{domain}"),
        ("{Api}.execute-api.eu-west-1.amazonaws.com", "{Api}.execute-api.eu-west-1.amazonaws.com"),
    ],
)
def test_variables_name_this_machine(stack: Stack, tmp_path: Path, value: str, expected: str) -> None:
    names = {name: str(stack.reference(name)) for name in stack.resources}
    names["domain"] = "execute-api.us-east-1.amazonaws.com"
    spec = FunctionSpec("Fn", "fn", "arn", "a.b", tmp_path, {"URL": value.format(**names)})
    made = localised(spec, "127.0.0.1:3000", "127.0.0.1:3001", stack)
    assert made.environment["URL"] == expected.format(**names)


def test_every_api_has_a_host_name_and_the_certificate_is_for_them(stack: Stack) -> None:
    names = host_names(stack)
    assert f"{stack.reference('Api')}.execute-api.us-east-1.amazonaws.com" in names
    allowed = {pattern.removeprefix("*.") for pattern in any_host(Settings())}
    assert {name.partition(".")[2] for name in names} == allowed
