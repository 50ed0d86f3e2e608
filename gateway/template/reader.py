"""Reads a SAM template and expands it with AWS's own translator."""

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gateway.errors import TemplateError
from gateway.settings import Settings
from gateway.template.extensions import included, unrolled
from gateway.template.intrinsics import Resolver, pseudo_parameters

_LOCAL = "s3://local/"
_LAYER = "AWS::Serverless::LayerVersion"
_CODE_PROPERTIES = {
    "AWS::Serverless::Function": "CodeUri",
    _LAYER: "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}
_ASSETS = ("Code", "Content", "TemplateURL")
_DEFINED = ("AWS::Serverless::Api", "AWS::Serverless::HttpApi")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x` is `{"Ref": "x"}`, `!Sub x` is `{"Fn::Sub": "x"}`."""


def _construct(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct)
# A version such as 2010-09-09 stays text.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def found(path: Path) -> Path:
    """Return the template that a path means: the one in a folder, and `template.yml` for `template.yaml`."""
    names = ("template.yaml", "template.yml", "template.json")
    if path.is_dir():
        return next((path / name for name in names if (path / name).is_file()), path / names[0])
    if path.name == names[0] and not path.exists():
        return next((other for name in names if (other := path.with_name(name)).is_file()), path)
    return path


def load(path: Path) -> dict[str, Any]:
    """Return the template at `path`, short forms written out and other files included. Raises TemplateError."""
    template = included(_read(path), path.parent, _read)
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise TemplateError(f"{path}: not a template, it has no Resources")
    for section in ("Parameters", "Globals", "Conditions", "Mappings", "Outputs"):
        if template.get(section) is None:
            template.pop(section, None)
        elif not isinstance(template[section], dict):
            raise TemplateError(f"{path}: {section} is not a mapping")
    for resource in template["Resources"].values():
        if isinstance(resource, dict) and resource.get("Type") in _DEFINED:
            _define(resource.get("Properties") or {}, path.parent)
        elif isinstance(resource, dict):
            _localise(resource)
            _single(resource)
    return template


def _localise(resource: dict[str, Any]) -> None:
    """Give a resource, in place of the address in S3 that CDK writes, what that is made of: a path beside the template.

    https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-cdk-testing.html
    """
    metadata, properties = resource.get("Metadata"), resource.get("Properties")
    if not isinstance(metadata, dict) or not isinstance(properties, dict):
        return
    asset, name = metadata.get("aws:asset:path"), metadata.get("aws:asset:property")
    if asset and name in _ASSETS:
        properties[name] = asset


def _single(resource: dict[str, Any]) -> None:
    """Make a global table one that is in a single Region, on demand: what it says of capacity is of its replicas'."""
    properties = resource.get("Properties")
    if resource.get("Type") != "AWS::DynamoDB::GlobalTable" or not isinstance(properties, dict):
        return
    resource["Type"] = "AWS::DynamoDB::Table"
    properties["BillingMode"] = "PAY_PER_REQUEST"
    for index in properties.get("GlobalSecondaryIndexes") or []:
        index.pop("WriteProvisionedThroughputSettings", None)
    for name in ("Replicas", "WriteProvisionedThroughputSettings"):
        properties.pop(name, None)


def _define(properties: dict[str, Any], root: Path) -> None:
    """Give an API, in place of a local file's address, what the file says: an OpenAPI document."""
    uri = properties.get("DefinitionUri")
    if isinstance(uri, str) and "://" not in uri:
        del properties["DefinitionUri"]
        properties["DefinitionBody"] = included(_read(root / uri), root, _read)


def _read(path: Path) -> Any:
    """Return what a file of YAML or JSON says. Raises TemplateError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TemplateError(f"template not found: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"cannot read {path}: {error}") from None
    try:
        # JSON is YAML as well, but for its tabs.
        with contextlib.suppress(ValueError):
            return json.loads(text)
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise TemplateError(f"{path}{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise TemplateError(f"{path}: {' '.join(str(error).split())}") from None


def expand(template: Mapping[str, Any], values: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return `template` with its AWS::Serverless resources translated to CloudFormation's.

    The translator takes code from S3 only, so local folders go through it as `s3://local/{folder}`; see `local_path`.
    It needs no network and no credentials. Raises TemplateError with the translator's own words.
    """
    # The translator asks boto3 for a region while it is imported and run.
    os.environ.setdefault("AWS_DEFAULT_REGION", settings.region)
    from samtranslator.model.exceptions import InvalidDocumentException  # type: ignore[import-untyped]
    from samtranslator.translator.transform import transform  # type: ignore[import-untyped]

    resolver = _before_resources(template, values, settings)
    pseudo = {
        "AWS::Region": settings.region,
        "AWS::AccountId": settings.account_id,
        "AWS::Partition": settings.partition,
        "AWS::StackName": settings.stack_name,
        "AWS::URLSuffix": settings.url_suffix,
    }
    try:
        plain = unrolled(template, resolver.resolve)
        expanded = transform(_with_local_code(plain, resolver), {**values, **pseudo}, _NoManagedPolicies())
    except TemplateError:
        raise
    except InvalidDocumentException as error:
        causes = [str(getattr(cause, "message", cause)) for cause in getattr(error, "causes", None) or [error]]
        raise TemplateError("; ".join(" ".join(cause.split()) for cause in causes)) from None
    except Exception as error:
        # What the translator did not foresee in a template comes out as any exception at all.
        raise TemplateError(f"the template cannot be expanded: {type(error).__name__}: {error}") from error
    # It puts what it made behind the rest; which API comes first is the template's to say.
    made = expanded["Resources"]
    written = {name: made[name] for name in template["Resources"] if name in made}
    _keep_metadata(template["Resources"], made)
    return {**expanded, "Resources": {**written, **made}}


def _keep_metadata(resources: Mapping[str, Any], made: dict[str, Any]) -> None:
    """Give the layers what the template says of their builds: the translator drops it, and adds a hash to their names.

    `SamResourceId` is what SAM CLI calls the name before.
    """
    for name, resource in resources.items():
        if isinstance(resource, dict) and resource.get("Type") == _LAYER and resource.get("Metadata"):
            for other in (other for other in made if re.fullmatch(rf"{re.escape(name)}[0-9a-f]{{10}}", other)):
                made[other]["Metadata"] = {"SamResourceId": name, **resource["Metadata"]}


def local_path(code: Any, root: Path) -> Path | None:
    """Return what an expanded function's `Code`, or a layer's `Content`, names: None if it is not on this machine."""
    if isinstance(code, str):
        return None if code.startswith("s3://") else (root / code).resolve()
    if isinstance(code, dict) and code.get("S3Bucket") == "local":
        return (root / str(code.get("S3Key", "."))).resolve()
    return None


class _NoManagedPolicies:
    """Roles are not used here, so the names of AWS's managed policies need not be looked up."""

    def load(self) -> dict[str, str]:
        return {}


def _before_resources(template: Mapping[str, Any], values: Mapping[str, Any], settings: Settings) -> Resolver:
    """Return what resolves values while there are no resources yet: parameters, mappings and conditions."""

    def none(*names: str) -> str:
        raise TemplateError(f"{'.'.join(names)} is no parameter, and nothing else is known here")

    return Resolver(template, {**pseudo_parameters(settings), **values}, none, none, none)


def _with_local_code(template: Mapping[str, Any], resolver: Resolver) -> dict[str, Any]:
    result: dict[str, Any] = _copy(template)
    common = result.get("Globals", {}).get("Function")
    if isinstance(common, dict) and "CodeUri" in common:
        common["CodeUri"] = _as_s3(common["CodeUri"], resolver)
    for resource in result["Resources"].values():
        if not isinstance(resource, dict):
            continue
        if resource.get("Type") == "AWS::Serverless::Application":
            # Done here, since the translator would ask AWS for those of the Serverless Application Repository.
            given = resource.get("Properties") or {}
            resource["Type"] = "AWS::CloudFormation::Stack"
            resource["Properties"] = {"TemplateURL": given.get("Location"), "Parameters": given.get("Parameters") or {}}
        name = _CODE_PROPERTIES.get(str(resource.get("Type")))
        if name is None:
            continue
        properties = resource.setdefault("Properties", {})
        if not isinstance(properties, dict):
            continue
        if properties.get("PackageType") == "Image":
            # `sam build` gives it one.
            properties.setdefault("ImageUri", "local")
            continue
        inherited = name == "CodeUri" and isinstance(common, dict) and "CodeUri" in common
        if name in properties:
            properties[name] = _as_s3(properties[name], resolver)
        elif name != "DefinitionUri" and not inherited and "InlineCode" not in properties:
            properties[name] = _as_s3(".", resolver)
    return result


def _as_s3(code: Any, resolver: Resolver) -> Any:
    found = resolver.resolve(code)
    if not isinstance(found, str) or found.startswith("s3://"):
        return found
    return _LOCAL + (found.rstrip("/") or ".")


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
