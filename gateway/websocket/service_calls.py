"""Service integrations: an action of DynamoDB or EventBridge called with what a request's template makes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integrations.html
SQS has a form of its own, and a lane for each connection: see `targets.QueueTarget`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.http.events import HttpRequest
from gateway.http.proxy import Unreachable, forward
from gateway.template.specs import HttpProxy
from gateway.websocket.backends import Answer
from gateway.websocket.selection import response_values
from gateway.websocket.targets import Event, IntegrationFailed, Services

PREFIXES: Mapping[str, tuple[str, str]] = {
    "dynamodb": ("DynamoDB_20120810", "application/x-amz-json-1.0"),
    "events": ("AWSEvents", "application/x-amz-json-1.1"),
}
"""Before an action in `X-Amz-Target`, and the type of a request, by the service's name in an integration's URI."""

# Not the gateway's own, whose calls are on no bill.
_CALLER = Credentials("test", "test")


@dataclass(frozen=True, slots=True)
class ServiceAction:
    """An action of a service whose protocol is JSON, at the address of an AWS."""

    service: str
    action: str
    endpoint: str
    region: str

    async def ask(self, body: str, event: Event, services: Services) -> Answer:
        """Return the service's answer, an error's as well. Raises IntegrationFailed."""
        prefix, kind = PREFIXES[self.service]
        url = f"{self.endpoint}/"
        data = body.encode("utf-8", "replace")
        asked = AWSRequest("POST", url, {"Content-Type": kind, "X-Amz-Target": f"{prefix}.{self.action}"}, data)
        SigV4Auth(_CALLER, self.service, self.region).add_auth(asked)
        source = str(event["requestContext"]["identity"]["sourceIp"])
        request = HttpRequest("POST", "/", "", list(asked.headers.items()), data, source, 80)
        try:
            response = await forward(HttpProxy("POST", url), request, {})
        except Unreachable as error:
            services.note(f"{self.service}: {error}")
            raise IntegrationFailed(502) from None
        text = response.body.decode("utf-8", "replace")
        if response.status >= 400:
            # The client may hear nothing of it, and no function has a log of it.
            services.note(f"{self.service} {self.action}: {response.status} {text}")
        return Answer(response.status, text, str(response.status), response_values(response.status, response.headers))
