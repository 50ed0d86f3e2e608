"""An expanded template's resources: their names and addresses, and what each asks the gateway to run."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from gateway import ids
from gateway.errors import TemplateError
from gateway.settings import Settings
from gateway.template.intrinsics import Resolver, pseudo_parameters
from gateway.template.reader import code_folder
from gateway.template.specs import FunctionSpec, MappingSpec, QueueSpec, ScheduleSpec, TableSpec

_NOTHING_TO_RUN = (
    "AWS::ApiGatewayV2::Deployment",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::RouteResponse",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudFormation::WaitConditionHandle",
    "AWS::IAM::",
    "AWS::Lambda::Alias",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Logs::",
    "AWS::SQS::QueuePolicy",
)
_TABLE_ARGUMENTS = (
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "ProvisionedThroughput",
)
_QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
)
_RATE = re.compile(r"rate\(\s*(\d+)\s+(minute|hour|day)s?\s*\)")
_T = TypeVar("_T")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


class Stack:
    """The resources of one expanded template.

    `endpoint` is the address of the AWS that serves tables and queues, `root` the template's folder. `unsupported`
    collects a line for each thing that cannot be run, as (logical id, what it is).
    """

    def __init__(
        self, template: Mapping[str, Any], values: Mapping[str, Any], root: Path, endpoint: str, settings: Settings
    ) -> None:
        self.root = root
        self.endpoint = endpoint.rstrip("/")
        self.settings = settings
        self.queue_urls: dict[str, str] = {}
        self.unsupported: dict[str, str] = {}
        self.template = template
        self.resolver = Resolver(
            template,
            {**pseudo_parameters(settings), **values},
            self.reference,
            lambda name, key: self.attribute(name, key),
        )
        self.resources: dict[str, Mapping[str, Any]] = {}
        for logical_id, resource in template["Resources"].items():
            if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
                raise TemplateError(f"{logical_id}: not a resource, it has no Type")
            if "Condition" not in resource or self.resolver.condition(resource["Condition"]):
                self.resources[logical_id] = resource

    # ---- names

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the raw properties of each resource of type `kind`, by logical id."""
        return {
            logical_id: resource.get("Properties") or {}
            for logical_id, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def kind(self, logical_id: str) -> str:
        """Return a resource's type. Raises TemplateError where there is no such resource."""
        if logical_id not in self.resources:
            raise TemplateError(f"there is no parameter or resource {logical_id}")
        return str(self.resources[logical_id]["Type"])

    def property(self, logical_id: str, name: str, default: Any = None) -> Any:
        """Return one resolved property."""
        try:
            return self.resolver.resolve((self.resources[logical_id].get("Properties") or {}).get(name, default))
        except TemplateError as error:
            raise TemplateError(f"{logical_id}.{name}: {error}") from None

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of `resource` in this account and Region."""
        settings = self.settings
        return f"arn:{settings.partition}:{service}:{settings.region}:{settings.account_id}:{resource}"

    def reference(self, logical_id: str) -> Any:
        """Return what `Ref` gives for a resource."""
        kind = self.kind(logical_id)
        match kind:
            case "AWS::SQS::Queue":
                account = self.settings.account_id
                return self.queue_urls.get(logical_id, f"{self.endpoint}/{account}/{self.name(logical_id)}")
            case "AWS::ApiGatewayV2::Api":
                return ids.api_id(self.settings.stack_name, logical_id)
            case "AWS::Lambda::Alias":
                return f"{self.attribute(self._function_of(logical_id), 'Arn')}:{self.property(logical_id, 'Name')}"
            case "AWS::Lambda::Version":
                return f"{self.attribute(self._function_of(logical_id), 'Arn')}:1"
            case "AWS::ApiGatewayV2::Route" | "AWS::ApiGatewayV2::Integration":
                return logical_id
        return self.name(logical_id)

    def name(self, logical_id: str) -> str:
        """Return a resource's physical name: its own, or stack and logical id."""
        kind = self.kind(logical_id)
        given = {
            "AWS::DynamoDB::Table": "TableName",
            "AWS::SQS::Queue": "QueueName",
            "AWS::Lambda::Function": "FunctionName",
            "AWS::ApiGatewayV2::Stage": "StageName",
            "AWS::Scheduler::Schedule": "Name",
            "AWS::Events::Rule": "Name",
            "AWS::Logs::LogGroup": "LogGroupName",
        }.get(kind)
        name = self.property(logical_id, given) if given else None
        if name is None:
            fifo = kind == "AWS::SQS::Queue" and _true(self.property(logical_id, "FifoQueue"))
            name = f"{self.settings.stack_name}-{logical_id}" + (".fifo" if fifo else "")
        return str(name)

    def attribute(self, logical_id: str, attribute: str) -> Any:
        """Return what `Fn::GetAtt` gives for a resource."""
        kind = self.kind(logical_id)
        settings = self.settings
        match kind, attribute:
            case "AWS::DynamoDB::Table", "Arn":
                return self.arn("dynamodb", f"table/{self.name(logical_id)}")
            case "AWS::DynamoDB::Table", "StreamArn":
                return self.arn("dynamodb", f"table/{self.name(logical_id)}/stream/1970-01-01T00:00:00.000")
            case "AWS::SQS::Queue", "Arn":
                return self.arn("sqs", self.name(logical_id))
            case "AWS::SQS::Queue", "QueueName":
                return self.name(logical_id)
            case "AWS::SQS::Queue", "QueueUrl":
                return self.reference(logical_id)
            case "AWS::Lambda::Function", "Arn":
                return self.arn("lambda", f"function:{self.name(logical_id)}")
            case "AWS::ApiGatewayV2::Api", "ApiId":
                return self.reference(logical_id)
            case "AWS::ApiGatewayV2::Api", "ApiEndpoint":
                scheme = "wss" if self.property(logical_id, "ProtocolType") == "WEBSOCKET" else "https"
                host = f"{self.reference(logical_id)}.execute-api.{settings.region}.{settings.url_suffix}"
                return f"{scheme}://{host}"
            case "AWS::Logs::LogGroup", "Arn":
                return self.arn("logs", f"log-group:{self.name(logical_id)}:*")
            case _, "Arn" if kind.startswith("AWS::IAM::"):
                group = kind.rsplit("::", 1)[1].removeprefix("Managed").lower()
                return f"arn:{settings.partition}:iam::{settings.account_id}:{group}/{self.name(logical_id)}"
        # Nothing here makes such resources; whoever asks for them needs a value that looks like one.
        return self.arn(kind.split("::")[1].lower(), f"{self.name(logical_id)}/{attribute}")

    def _function_of(self, logical_id: str) -> str:
        return self.function_named(self.property(logical_id, "FunctionName"))

    def function_named(self, text: Any) -> str:
        """Return the logical id of the function that a name, an ARN or an API's integration URI names."""
        uri = str(text)
        inside = re.search(r"/functions/(.+)/invocations$", uri)
        target = inside[1] if inside else uri
        for logical_id in self.of_type("AWS::Lambda::Function"):
            arn = str(self.attribute(logical_id, "Arn"))
            if target in (arn, self.name(logical_id)) or target.startswith(arn + ":"):
                return logical_id
        raise TemplateError(f"no function of this template: {target}")

    # ---- what to run

    def tables(self) -> list[TableSpec]:
        """Return the DynamoDB tables."""
        return [self._named(logical_id, self._table) for logical_id in self.of_type("AWS::DynamoDB::Table")]

    def queues(self) -> list[QueueSpec]:
        """Return the SQS queues."""
        return [self._named(logical_id, self._queue) for logical_id in self.of_type("AWS::SQS::Queue")]

    def functions(self) -> list[FunctionSpec]:
        """Return the functions that can be run here; the others are in `unsupported`."""
        found = [self._named(logical_id, self._function) for logical_id in self.of_type("AWS::Lambda::Function")]
        return [function for function in found if function is not None]

    def mappings(self) -> list[MappingSpec]:
        """Return the event source mappings of queues; those of other sources are in `unsupported`."""
        found = [self._named(name, self._mapping) for name in self.of_type("AWS::Lambda::EventSourceMapping")]
        return [mapping for mapping in found if mapping is not None]

    def schedules(self) -> list[ScheduleSpec]:
        """Return the enabled schedules and scheduled rules."""
        found = [self._named(name, self._scheduler) for name in self.of_type("AWS::Scheduler::Schedule")]
        for logical_id in self.of_type("AWS::Events::Rule"):
            found += self._named(logical_id, self._rule)
        return [schedule for schedule in found if schedule is not None]

    def name_the_rest(self) -> None:
        """Add to `unsupported` every resource of a type that the gateway does not know."""
        known = (
            *_NOTHING_TO_RUN,
            "AWS::ApiGatewayV2::Api",
            "AWS::DynamoDB::Table",
            "AWS::Events::Rule",
            "AWS::Lambda::EventSourceMapping",
            "AWS::Lambda::Function",
            "AWS::SQS::Queue",
            "AWS::Scheduler::Schedule",
        )
        for logical_id, resource in self.resources.items():
            if not resource["Type"].startswith(known):
                self.unsupported.setdefault(logical_id, str(resource["Type"]))

    def _named(self, logical_id: str, make: Callable[[str, dict[str, Any]], _T]) -> _T:
        raw = self.resources[logical_id].get("Properties") or {}
        try:
            return make(logical_id, self.resolver.resolve(raw))
        except TemplateError as error:
            message = str(error)
            raise TemplateError(message if message.startswith(logical_id) else f"{logical_id}: {message}") from None
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise TemplateError(f"{logical_id}: {type(error).__name__}: {error}") from error

    def _table(self, logical_id: str, properties: dict[str, Any]) -> TableSpec:
        arguments = {name: properties[name] for name in _TABLE_ARGUMENTS if name in properties}
        for holder in (arguments, *arguments.get("GlobalSecondaryIndexes", [])):
            throughput = holder.get("ProvisionedThroughput")
            if throughput:
                holder["ProvisionedThroughput"] = {name: int(units) for name, units in throughput.items()}
        if "StreamSpecification" in properties:
            arguments["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
        expiry = properties.get("TimeToLiveSpecification", {})
        ttl = expiry.get("AttributeName") if _true(expiry.get("Enabled")) else None
        return TableSpec(logical_id, self.name(logical_id), arguments, ttl)

    def _queue(self, logical_id: str, properties: dict[str, Any]) -> QueueSpec:
        attributes = {name: _attribute(properties[name]) for name in _QUEUE_ATTRIBUTES if name in properties}
        if attributes.get("FifoQueue") == "false":
            del attributes["FifoQueue"]
        redrive = properties.get("RedrivePolicy")
        return QueueSpec(logical_id, self.name(logical_id), attributes, _attribute(redrive) if redrive else None)

    def _function(self, logical_id: str, properties: dict[str, Any]) -> FunctionSpec | None:
        runtime = str(properties.get("Runtime", ""))
        code = code_folder(properties.get("Code"), self.root)
        if properties.get("PackageType") == "Image":
            self.unsupported[logical_id] = "function from a container image"
        elif not runtime.startswith("python"):
            self.unsupported[logical_id] = f"function with runtime {runtime or 'unknown'}"
        elif code is None:
            self.unsupported[logical_id] = "function whose code is not a local folder"
        if logical_id in self.unsupported:
            return None
        if code is None or not code.is_dir():
            raise TemplateError(f"no folder {code} for the function's code")
        if properties.get("Layers"):
            self.unsupported[f"{logical_id}.Layers"] = "layers of a function"
        logging = properties.get("LoggingConfig", {})
        variables = properties.get("Environment", {}).get("Variables", {})
        reserved = properties.get("ReservedConcurrentExecutions")
        return FunctionSpec(
            logical_id,
            self.name(logical_id),
            str(self.attribute(logical_id, "Arn")),
            str(properties["Handler"]),
            code,
            {name: _attribute(value) for name, value in variables.items()},
            float(properties.get("Timeout", 3)),
            int(properties.get("MemorySize", 128)),
            str(logging.get("LogFormat", "Text")),
            logging.get("ApplicationLogLevel"),
            None if reserved is None else int(reserved),
        )

    def _mapping(self, logical_id: str, properties: dict[str, Any]) -> MappingSpec | None:
        source = str(properties.get("EventSourceArn", ""))
        queue = next((name for name in self.of_type("AWS::SQS::Queue") if self.attribute(name, "Arn") == source), None)
        function = self.function_named(properties["FunctionName"])
        if queue is None:
            self.unsupported[logical_id] = f"event source {source or 'outside this template'}"
            return None
        if not _true(properties.get("Enabled", True)):
            return None
        if properties.get("FilterCriteria"):
            self.unsupported[f"{logical_id}.FilterCriteria"] = "filter of an event source, every message is delivered"
        most = properties.get("ScalingConfig", {}).get("MaximumConcurrency")
        partial = "ReportBatchItemFailures" in properties.get("FunctionResponseTypes", [])
        size = int(properties.get("BatchSize", 10))
        return MappingSpec(logical_id, queue, source, function, size, partial, int(most) if most else None)

    def _scheduler(self, logical_id: str, properties: dict[str, Any]) -> ScheduleSpec | None:
        target = properties["Target"]
        if properties.get("State") == "DISABLED":
            return None
        group = properties.get("GroupName", "default")
        arn = self.arn("scheduler", f"schedule/{group}/{self.name(logical_id)}")
        return self._schedule(logical_id, arn, str(properties["ScheduleExpression"]), target, scheduler=True)

    def _rule(self, logical_id: str, properties: dict[str, Any]) -> list[ScheduleSpec | None]:
        if "ScheduleExpression" not in properties:
            self.unsupported[logical_id] = "rule on an event pattern"
            return []
        if properties.get("State") == "DISABLED":
            return []
        arn = self.arn("events", f"rule/{self.name(logical_id)}")
        expression = str(properties["ScheduleExpression"])
        targets = properties.get("Targets", [])
        return [self._schedule(logical_id, arn, expression, target, scheduler=False) for target in targets]

    def _schedule(
        self, logical_id: str, arn: str, expression: str, target: Mapping[str, Any], *, scheduler: bool
    ) -> ScheduleSpec | None:
        try:
            function = self.function_named(target["Arn"])
        except TemplateError:
            self.unsupported[logical_id] = f"schedule of {target['Arn']}"
            return None
        rate = _RATE.fullmatch(expression.strip())
        period = float(int(rate[1]) * _SECONDS[rate[2]]) if rate else None
        return ScheduleSpec(logical_id, arn, function, expression, period, scheduler, target.get("Input"))


def _true(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _attribute(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
