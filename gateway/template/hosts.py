"""The APIs' own host names in what functions know: their addresses are on this machine."""

import re
from collections.abc import Mapping
from dataclasses import replace

from gateway.http.addresses import paths
from gateway.settings import Settings
from gateway.template.apis import belonging
from gateway.template.http_apis import http_apis
from gateway.template.specs import FunctionSpec
from gateway.template.stack import Stack

_STAGE = "AWS::ApiGatewayV2::Stage"


def host_names(stack: Stack) -> list[str]:
    """Return the host name of each API and each function's URL of the stack."""
    settings = stack.settings
    found = []
    for api_id in _below(stack):
        found.append(f"{api_id}.execute-api.{settings.region}.{settings.url_suffix}")
        found.append(f"{api_id}.lambda-url.{settings.region}.on.aws")
    return found


def any_host(settings: Settings) -> list[str]:
    """Return the names that a certificate for all such hosts is for."""
    return [f"*.execute-api.{settings.region}.{settings.url_suffix}", f"*.lambda-url.{settings.region}.on.aws"]


def localised(spec: FunctionSpec, called: str, told: str, stack: Stack) -> FunctionSpec:
    """Return a function whose variables name this machine wherever they named an API of the stack.

    What begins with http, and a host alone, a function calls itself, at `called`; a socket's address it tells clients:
    `told`. Lambda's own API is at `called` too.
    """
    below, settings = _below(stack), stack.settings
    region = re.escape(settings.region)
    domain = rf"(?:execute-api\.{region}\.{re.escape(settings.url_suffix)}|lambda-url\.{region}\.on\.aws)"
    begin, ids = r"(?:\b(http|ws)s://|(?<![\w./-]))", "|".join(below) or "(?!)"
    pattern = re.compile(rf"{begin}({ids})\.{domain}(?::443)?(?![\w.-])")
    addresses = {"http": f"http://{called}", "ws": f"ws://{told}", None: called}
    changed = {
        name: pattern.sub(lambda found: f"{addresses[found[1]]}{below[found[2]]}", value)
        for name, value in spec.environment.items()
    }
    return replace(spec, environment={"AWS_ENDPOINT_URL_LAMBDA": f"http://{called}", **changed})


def _below(stack: Stack) -> Mapping[str, str]:
    """Return below which path of this machine's address each API is, by its id."""
    found, stages = {}, set[str]()
    for name in stack.of_type("AWS::ApiGatewayV2::Api"):
        api_id = str(stack.reference(name))
        own = {str(stack.property(stage, "StageName")) for stage in belonging(stack, _STAGE, api_id)}
        # A second API with a stage of that name is not at the short address.
        found[api_id] = f"/_apis/{api_id}" if own & stages else ""
        stages |= own
    return found | paths(http_apis(stack))
