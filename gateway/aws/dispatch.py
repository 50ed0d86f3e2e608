"""Hands a request to moto: calls of DynamoDB and SQS straight to what answers them, all others to its application."""

import types
from typing import Any
from urllib.parse import urlparse

from botocore.model import OperationNotFoundError
from moto.core.parse import JSONParser
from moto.core.request import EnvironHeaders
from moto.core.responses import BaseResponse
from moto.core.utils import get_service_model
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.responses import DynamoHandler
from moto.sqs.models import sqs_backends
from moto.sqs.responses import SQSResponse
from moto.utilities.utils import get_partition

from gateway.aws import invoking
from gateway.aws.faults import Answer
from gateway.aws.invoking import Invoke

_DIRECT: dict[str, type[BaseResponse]] = {"DynamoDB_20120810": DynamoHandler, "AmazonSQS": SQSResponse}


class Dispatcher:
    """Answers requests in the form of PEP 3333. `invoke` hands events to functions."""

    def __init__(self, invoke: Invoke) -> None:
        self._invoke = invoke
        self._wsgi: Any = None

    def warm(self, account_id: str, region: str) -> None:
        """Read the services' models and make their backends, which the first call would wait for."""
        for handler, backends in ((DynamoHandler, dynamodb_backends), (SQSResponse, sqs_backends)):
            get_service_model(handler().boto3_service_name)
            backends[account_id][region]

    def __call__(self, environ: dict[str, Any], body: bytes) -> Answer:
        """Return status, headers and body. Raises whatever moto does."""
        prefix, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")
        # A browser needs CORS, which is the application's; and that unpacks.
        if prefix in _DIRECT and "HTTP_ORIGIN" not in environ and "HTTP_CONTENT_ENCODING" not in environ:
            response = _DIRECT[prefix]()
            try:
                _prepare(response, operation, environ, body)
            except OperationNotFoundError:
                raise NotImplementedError(operation) from None
            status, headers, text = response.call_action()
            payload = text if isinstance(text, bytes) else str(text).encode()
            given = [
                (str(name).lower().encode("latin-1"), str(value).encode("latin-1"))
                for name, value in headers.items()
                if name != "status"
            ]
            given.append((b"content-length", str(len(payload)).encode()))
            return int(status), given, payload
        return self._by_application(environ)

    def _by_application(self, environ: dict[str, Any]) -> Answer:
        if self._wsgi is None:
            # Flask is imported only when somebody needs it.
            from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

            self._wsgi = DomainDispatcherApplication(create_backend_app)
            invoking.install(self._invoke)
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started[:] = [int(status.split(" ", 1)[0]), headers]

        result = self._wsgi(environ, start_response)
        try:
            payload = b"".join(result)
        finally:
            if hasattr(result, "close"):
                result.close()
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in started[1]]
        if not any(name == b"content-length" for name, _ in headers):
            headers.append((b"content-length", str(len(payload)).encode()))
        return started[0], headers, payload


def _prepare(response: Any, operation: str, environ: dict[str, Any], body: bytes) -> None:
    """Do for a JSON call what `BaseResponse.setup_class` does, without a search for forms, files and an action.

    Raises OperationNotFoundError.
    """
    headers = EnvironHeaders(environ)
    url = f"http://{environ.get('HTTP_HOST', 'localhost')}{environ['RAW_URI']}"
    response.is_werkzeug_request = True
    response.headers = headers
    response.response_headers = {"server": "amazon.com"}
    response.method = environ["REQUEST_METHOD"]
    response.uri, response.parsed_url = url, urlparse(url)
    response.path = response.raw_path = response.parsed_url.path
    response.body = response.raw_body = body
    response.querystring = response.data = response.form_data = {}
    response.uri_match = {}
    response.region = response.get_region_from_url(types.SimpleNamespace(headers=headers), url)
    response.partition = get_partition(response.region)
    model = get_service_model(response.boto3_service_name).operation_model(operation)
    parser: Any = JSONParser(model, map_type=response.PROTOCOL_PARSER_MAP_TYPE)
    response.params = parser.parse({"body": body})
    response.access_key = response.get_access_key()
    response.current_account = response.get_current_account()
