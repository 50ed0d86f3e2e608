"""Reads a SAM template and expands it with AWS's own translator."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gateway.errors import TemplateError
from gateway.settings import Settings

_LOCAL = "s3://local/"
_CODE_PROPERTIES = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}


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


def load(path: Path) -> dict[str, Any]:
    """Return the template at `path`, short forms written out. Raises TemplateError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TemplateError(f"template not found: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"cannot read {path}: {error}") from None
    try:
        template = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise TemplateError(f"{path}{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise TemplateError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise TemplateError(f"{path}: not a template, it has no Resources")
    for section in ("Parameters", "Globals", "Conditions", "Mappings", "Outputs"):
        if template.get(section) is None:
            template.pop(section, None)
        elif not isinstance(template[section], dict):
            raise TemplateError(f"{path}: {section} is not a mapping")
    return template


def expand(template: Mapping[str, Any], values: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return `template` with its AWS::Serverless resources translated to CloudFormation's.

    The translator takes code from S3 only, so local folders go through it as `s3://local/{folder}`; see `code_folder`.
    It needs no network and no credentials. Raises TemplateError with the translator's own words.
    """
    # The translator asks boto3 for a region while it is imported and run.
    os.environ.setdefault("AWS_DEFAULT_REGION", settings.region)
    from samtranslator.model.exceptions import InvalidDocumentException  # type: ignore[import-untyped]
    from samtranslator.translator.transform import transform  # type: ignore[import-untyped]

    pseudo = {
        "AWS::Region": settings.region,
        "AWS::AccountId": settings.account_id,
        "AWS::Partition": settings.partition,
        "AWS::StackName": settings.stack_name,
        "AWS::URLSuffix": settings.url_suffix,
    }
    try:
        expanded = transform(_with_local_code(template), {**values, **pseudo}, _NoManagedPolicies())
    except InvalidDocumentException as error:
        causes = [str(getattr(cause, "message", cause)) for cause in getattr(error, "causes", None) or [error]]
        raise TemplateError("; ".join(" ".join(cause.split()) for cause in causes)) from None
    except Exception as error:
        # What the translator did not foresee in a template comes out as any exception at all.
        raise TemplateError(f"the template cannot be expanded: {type(error).__name__}: {error}") from error
    return dict(expanded)


def code_folder(code: Any, root: Path) -> Path | None:
    """Return the folder that an expanded function's `Code` names, or None where it is not on this machine."""
    if isinstance(code, str):
        return root / code
    if isinstance(code, dict) and code.get("S3Bucket") == "local":
        return (root / str(code.get("S3Key", "."))).resolve()
    return None


class _NoManagedPolicies:
    """Roles are not used here, so the names of AWS's managed policies need not be looked up."""

    def load(self) -> dict[str, str]:
        return {}


def _with_local_code(template: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = _copy(template)
    common = result.get("Globals", {}).get("Function")
    if isinstance(common, dict) and isinstance(common.get("CodeUri"), str):
        common["CodeUri"] = _as_s3(common["CodeUri"])
    for resource in result["Resources"].values():
        if not isinstance(resource, dict):
            continue
        name = _CODE_PROPERTIES.get(str(resource.get("Type")))
        if name is None:
            continue
        properties = resource.setdefault("Properties", {})
        if not isinstance(properties, dict) or properties.get("PackageType") == "Image":
            continue
        inherited = name == "CodeUri" and isinstance(common, dict) and "CodeUri" in common
        if isinstance(properties.get(name), str):
            properties[name] = _as_s3(properties[name])
        elif name not in properties and not inherited and "InlineCode" not in properties:
            properties[name] = _as_s3(".")
    return result


def _as_s3(folder: str) -> str:
    return folder if folder.startswith("s3://") else _LOCAL + (folder.rstrip("/") or ".")


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
