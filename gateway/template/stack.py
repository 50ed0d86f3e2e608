"""An expanded template's resources: their names and addresses, and what each asks the gateway to run."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from gateway import ids
from gateway.errors import TemplateError
from gateway.settings import Settings
from gateway.template.intrinsics import Resolver, pseudo_parameters
from gateway.template.parameters import SSM
from gateway.template.reader import local_path
from gateway.template.specs import FunctionSpec, MakeSpec, QueueSpec, TableSpec

_NOTHING_TO_RUN = (
    "AWS::ApiGateway::Account",
    "AWS::ApiGateway::ApiKey",
    "AWS::ApiGateway::UsagePlan",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Deployment",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::IntegrationResponse",
    "AWS::ApiGatewayV2::Model",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::RouteResponse",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CDK::Metadata",
    "AWS::CloudFormation::WaitConditionHandle",
    "AWS::CodeDeploy::",
    "AWS::IAM::",
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::Stage",
    "AWS::Lambda::Alias",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::LayerVersionPermission",
    "AWS::Lambda::EventInvokeConfig",
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
_MAKE_PLACES = ("ProjectRootDirectory", "ContextPath", "WorkingDirectory")
_T = TypeVar("_T")


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
        self.stream_arns: dict[str, str] = {}
        # What the AWS has chosen itself.
        self.chosen: dict[str, str] = {}
        self.unsupported: dict[str, str] = {}
        self.template = template
        self.resolver = Resolver(
            template,
            {**pseudo_parameters(settings), **values},
            self.reference,
            lambda name, key: self.attribute(name, key),
            self._outside,
        )
        for logical_id, resource in template["Resources"].items():
            if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
                raise TemplateError(f"{logical_id}: not a resource, it has no Type")
        # All of them for now: a nested stack's conditions may hang on its parent's resources.
        self.resources: Mapping[str, Mapping[str, Any]] = template["Resources"]
        self.resources = {
            logical_id: resource
            for logical_id, resource in self.resources.items()
            if "Condition" not in resource or self.resolver.condition(resource["Condition"])
        }

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
        if logical_id in self.chosen:
            return self.chosen[logical_id]
        match kind:
            case "AWS::SQS::Queue":
                account = self.settings.account_id
                return self.queue_urls.get(logical_id, f"{self.endpoint}/{account}/{self.name(logical_id)}")
            case "AWS::SNS::Topic":
                return self.arn("sns", self.name(logical_id))
            case "AWS::ApiGatewayV2::Api" | "AWS::ApiGateway::RestApi":
                return ids.api_id(self.settings.stack_name, logical_id)
            case "AWS::Lambda::Alias":
                return f"{self.attribute(self._function_of(logical_id), 'Arn')}:{self.property(logical_id, 'Name')}"
            case "AWS::Lambda::LayerVersion":
                return self.arn("lambda", f"layer:{self.name(logical_id)}:1")
            case "AWS::Lambda::Version":
                return f"{self.attribute(self._function_of(logical_id), 'Arn')}:1"
            case "AWS::Lambda::Url":
                return self.attribute(self.function_named(self.property(logical_id, "TargetFunctionArn")), "Arn")
            case "AWS::ApiGateway::Authorizer" | "AWS::ApiGateway::Resource":
                return logical_id
            case "AWS::ApiGatewayV2::Route" | "AWS::ApiGatewayV2::Integration":
                return logical_id
            case "AWS::CloudFormation::Stack":
                nested = replace(self.settings, stack_name=self._stack_name(logical_id))
                return pseudo_parameters(nested)["AWS::StackId"]
        return self.name(logical_id)

    def _stack_name(self, logical_id: str) -> str:
        """Return what a nested stack, or a resource without a name of its own, is called."""
        return f"{self.settings.stack_name}-{logical_id.replace('/', '-')}"

    def name(self, logical_id: str) -> str:
        """Return a resource's physical name: its own, or stack and logical id."""
        kind = self.kind(logical_id)
        given = {
            "AWS::Cognito::UserPool": "UserPoolName",
            "AWS::Cognito::UserPoolClient": "ClientName",
            "AWS::DynamoDB::Table": "TableName",
            "AWS::SQS::Queue": "QueueName",
            "AWS::Lambda::Function": "FunctionName",
            "AWS::Lambda::LayerVersion": "LayerName",
            "AWS::ApiGatewayV2::Stage": "StageName",
            "AWS::ApiGateway::Stage": "StageName",
            "AWS::Scheduler::Schedule": "Name",
            "AWS::Events::EventBus": "Name",
            "AWS::Events::Rule": "Name",
            "AWS::SNS::Topic": "TopicName",
            "AWS::Logs::LogGroup": "LogGroupName",
            "AWS::S3::Bucket": "BucketName",
            "AWS::SSM::Parameter": "Name",
            "AWS::SecretsManager::Secret": "Name",
        }.get(kind)
        name = self.property(logical_id, given) if given else None
        if name is None:
            property_name = {"AWS::SQS::Queue": "FifoQueue", "AWS::SNS::Topic": "FifoTopic"}.get(kind)
            fifo = property_name is not None and true(self.property(logical_id, property_name))
            name = self._stack_name(logical_id) + (".fifo" if fifo else "")
            # The one kind of name without capitals.
            name = name.lower() if kind == "AWS::S3::Bucket" else name
        return str(name)

    def attribute(self, logical_id: str, attribute: str) -> Any:
        """Return what `Fn::GetAtt` gives for a resource."""
        kind = self.kind(logical_id)
        settings = self.settings
        match kind, attribute:
            case "AWS::DynamoDB::Table", "Arn":
                return self.arn("dynamodb", f"table/{self.name(logical_id)}")
            case "AWS::DynamoDB::Table", "StreamArn":
                # Its label is the time at which the stream was made.
                label = f"table/{self.name(logical_id)}/stream/1970-01-01T00:00:00.000"
                return self.stream_arns.get(logical_id, self.arn("dynamodb", label))
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
            case "AWS::Cognito::UserPool", "Arn":
                return self.arn("cognito-idp", f"userpool/{self.reference(logical_id)}")
            case "AWS::Cognito::UserPool", "UserPoolId":
                return self.reference(logical_id)
            case "AWS::Cognito::UserPool", "ProviderName":
                return f"cognito-idp.{settings.region}.amazonaws.com/{self.reference(logical_id)}"
            case "AWS::Cognito::UserPool", "ProviderURL":
                return f"https://cognito-idp.{settings.region}.amazonaws.com/{self.reference(logical_id)}"
            case "AWS::Cognito::UserPoolClient", "ClientId":
                return self.reference(logical_id)
            case "AWS::SNS::Topic", "TopicArn":
                return self.reference(logical_id)
            case "AWS::SNS::Topic", "TopicName":
                return self.name(logical_id)
            case "AWS::Events::EventBus", "Name":
                return self.name(logical_id)
            case "AWS::Events::EventBus", "Arn":
                return self.arn("events", f"event-bus/{self.name(logical_id)}")
            case "AWS::Events::Rule", "Arn":
                return self.arn("events", f"rule/{self.name(logical_id)}")
            case "AWS::S3::Bucket", "Arn":
                return f"arn:{settings.partition}:s3:::{self.name(logical_id)}"
            case "AWS::S3::Bucket", "DomainName" | "RegionalDomainName":
                return f"{self.name(logical_id)}.s3.{settings.region}.{settings.url_suffix}"
            case "AWS::SSM::Parameter" | "AWS::SecretsManager::Secret", "Value" | "Type" | "Name":
                return self.property(logical_id, attribute) or self.name(logical_id)
            case "AWS::Lambda::Url", "FunctionUrl":
                host = f"{ids.api_id(settings.stack_name, logical_id)}.lambda-url.{settings.region}.on.aws"
                return f"https://{host}/"
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

    def _outside(self, kind: str, name: str) -> str:
        """Return a value that is kept outside of the template: its name, unless a resource here holds it."""
        for output in (self.template.get("Outputs") or {}).values() if kind == "export" else ():
            if (exported := output.get("Export")) and self.resolver.resolve(exported.get("Name")) == name:
                return str(self.resolver.resolve(output["Value"]))
        # A dynamic reference ends in a version; a secret's in more than that.
        key = name.split(":")[0] if kind.startswith("ssm") else name.split(":SecretString")[0]
        resource, held = {
            "ssm": ("AWS::SSM::Parameter", "Value"),
            "ssm-secure": ("AWS::SSM::Parameter", "Value"),
            "secretsmanager": ("AWS::SecretsManager::Secret", "SecretString"),
        }.get(kind, ("", ""))
        for logical_id in self.of_type(resource):
            value = self.property(logical_id, held)
            if value is None or key not in (self.name(logical_id), self.reference(logical_id)):
                continue
            part = name.removeprefix(key).removeprefix(":SecretString").removeprefix(":").split(":")[0]
            return str(json.loads(value)[part]) if part and held == "SecretString" else str(value)
        called = "Fn::ImportValue" if kind == "export" else f"resolve:{kind}"
        self.unsupported[f"{called} {key}"] = "value from outside of this template; its name is used"
        return key

    # ---- what to run

    def tables(self) -> list[TableSpec]:
        """Return the DynamoDB tables."""
        return [self.named(logical_id, self._table) for logical_id in self.of_type("AWS::DynamoDB::Table")]

    def queues(self) -> list[QueueSpec]:
        """Return the SQS queues."""
        return [self.named(logical_id, self._queue) for logical_id in self.of_type("AWS::SQS::Queue")]

    def functions(self) -> list[FunctionSpec]:
        """Return the functions; those that only another process can run have a `fault`."""
        return [self.named(logical_id, self._function) for logical_id in self.of_type("AWS::Lambda::Function")]

    def name_the_rest(self) -> None:
        """Add to `unsupported` every resource of a type that the gateway does not know."""
        known = (
            *_NOTHING_TO_RUN,
            "AWS::ApiGateway::Authorizer",
            "AWS::ApiGateway::Method",
            "AWS::ApiGateway::Resource",
            "AWS::ApiGateway::RestApi",
            "AWS::ApiGatewayV2::Api",
            "AWS::DynamoDB::Table",
            "AWS::Events::EventBus",
            "AWS::Events::Rule",
            "AWS::Lambda::EventSourceMapping",
            "AWS::Lambda::Function",
            "AWS::Lambda::Url",
            "AWS::S3::Bucket",
            "AWS::SNS::Subscription",
            "AWS::SNS::Topic",
            "AWS::SQS::Queue",
            "AWS::SSM::Parameter",
            "AWS::Scheduler::Schedule",
            "AWS::SecretsManager::Secret",
        )
        said = json.dumps(self.template["Resources"], default=str)
        for name, rules in self.template.get("Parameters", {}).items():
            # CDK has one in every template that nothing asks for.
            if SSM.fullmatch(str(rules.get("Type"))) and name in said:
                value = self.resolver.resolve({"Ref": name})
                self.unsupported[name] = f"SSM parameter {value}; that name is its value, another one can be given"
        for logical_id, resource in self.resources.items():
            # Not what a pool has besides: domains, groups, providers.
            pool = resource["Type"] in ("AWS::Cognito::UserPool", "AWS::Cognito::UserPoolClient")
            if not pool and not resource["Type"].startswith(known):
                what = str(resource["Type"])
                if what == "AWS::CloudFormation::Stack":
                    location = self.property(logical_id, "TemplateURL")
                    if location is None:
                        # Its resources are here.
                        continue
                    place = location.get("ApplicationId") if isinstance(location, dict) else location
                    what = f"nested stack whose template is not on this machine: {place}"
                self.unsupported.setdefault(logical_id, what)

    def named(self, logical_id: str, make: Callable[[str, dict[str, Any]], _T]) -> _T:
        """Return `make(logical_id, properties)`, the properties resolved; what it raises is a TemplateError."""
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
        ttl = expiry.get("AttributeName") if true(expiry.get("Enabled")) else None
        return TableSpec(logical_id, self.name(logical_id), arguments, ttl)

    def _queue(self, logical_id: str, properties: dict[str, Any]) -> QueueSpec:
        attributes = {name: _attribute(properties[name]) for name in _QUEUE_ATTRIBUTES if name in properties}
        if attributes.get("FifoQueue") == "false":
            del attributes["FifoQueue"]
        redrive = properties.get("RedrivePolicy")
        return QueueSpec(logical_id, self.name(logical_id), attributes, _attribute(redrive) if redrive else None)

    def _function(self, logical_id: str, properties: dict[str, Any]) -> FunctionSpec:
        source = properties.get("Code")
        inline = source.get("ZipFile") if isinstance(source, dict) else None
        code = local_path(source, self.root)
        fault = ""
        if properties.get("PackageType") == "Image":
            fault = "function from a container image; --lambda-endpoint can run it"
        elif inline is None and code is None:
            fault = "function whose code is not a local folder or zip file"
        elif inline is None and code is not None and not code.exists():
            raise TemplateError(f"no folder {code} for the function's code")
        logging = properties.get("LoggingConfig", {})
        variables = properties.get("Environment", {}).get("Variables", {})
        reserved = properties.get("ReservedConcurrentExecutions")
        layers = self._layers(logical_id, properties.get("Layers") or [])
        makes = {folder: self._make(name, folder) for folder, name in layers.items()}
        return FunctionSpec(
            logical_id,
            self.name(logical_id),
            str(self.attribute(logical_id, "Arn")),
            str(properties.get("Handler", "") if fault else properties["Handler"]),
            code or self.root,
            {name: _attribute(value) for name, value in variables.items()},
            float(properties.get("Timeout", 3)),
            int(properties.get("MemorySize", 128)),
            str(logging.get("LogFormat", "Text")),
            logging.get("ApplicationLogLevel"),
            None if reserved is None else int(reserved),
            str(properties.get("Runtime", "")),
            None if inline is None else str(inline),
            tuple(layers),
            fault,
            build=self._metadata(logical_id),
            make=None if code is None else self._make(logical_id, code),
            layer_makes={folder: make for folder, make in makes.items() if make is not None},
        )

    def _metadata(self, logical_id: str) -> Mapping[str, Any]:
        return self.resources[logical_id].get("Metadata") or {}

    def _make(self, logical_id: str, source: Path) -> MakeSpec | None:
        """Return how a Makefile makes a function or a layer, None where none does.

        https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-custom-runtimes.html
        Where the Makefile, its source and the folder that it runs in are elsewhere, `sam build` takes them from the
        template's folder on: https://github.com/aws/aws-sam-cli/blob/develop/samcli/lib/build/app_builder.py
        """
        metadata = self._metadata(logical_id)
        if str(metadata.get("BuildMethod", "")).lower() != "makefile":
            return None
        places = {name: self.root / str(metadata[name]) for name in _MAKE_PLACES if metadata.get(name)}
        source = places.get("ProjectRootDirectory", source).resolve()
        makefile = places.get("ContextPath", source).resolve() / "Makefile"
        working = places.get("WorkingDirectory")
        name = str(metadata.get("SamResourceId", logical_id))
        return MakeSpec(name, source, makefile, None if working is None else working.resolve())

    def _layers(self, logical_id: str, arns: list[Any]) -> dict[Path, str]:
        """Return the folders or zip files of a function's layers, each with the layer's logical id."""
        here = {str(self.reference(name)): name for name in self.of_type("AWS::Lambda::LayerVersion")}
        found = {}
        for arn in map(str, arns):
            folder = local_path(self.property(here[arn], "Content"), self.root) if arn in here else None
            if folder is None:
                self.unsupported[f"{logical_id}.Layers"] = (
                    f"layer {arn}, which is not in this template; what it holds can come from the function's packages"
                )
            elif not folder.exists():
                raise TemplateError(f"{here[arn]}: no folder {folder} for the layer's content")
            else:
                found[folder] = here[arn]
        return found


def true(value: Any) -> bool:
    """Tell whether a property says yes: CloudFormation takes text for a truth as well."""
    return value is True or str(value).lower() == "true"


def _attribute(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
