"""Template parameters: what the command line gives, checked as CloudFormation checks it."""

import math
import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.errors import UsageError

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html

SSM = re.compile(r"AWS::SSM::Parameter::Value<(.*)>")
"""A type of parameters that are names, under which the Parameter Store keeps the value."""


def parameter_values(declared: Mapping[str, Mapping[str, Any]], overrides: Mapping[str, str]) -> dict[str, Any]:
    """Return every parameter's value: a string, or a list of strings for the list types.

    Raises UsageError for a name that the template does not declare, a value that it refuses, or one that is missing.
    """
    unknown = sorted(set(overrides) - set(declared))
    if unknown:
        known = ", ".join(sorted(declared)) or "none"
        raise UsageError(f"the template has no parameter {', '.join(unknown)}; its parameters: {known}")
    values: dict[str, Any] = {}
    for name, rules in declared.items():
        if name in overrides:
            text = overrides[name]
        elif "Default" in rules:
            text = _text(rules["Default"])
        else:
            raise UsageError(f"parameter {name} has no default: give it with --parameter-overrides {name}=…")
        values[name] = _checked(name, rules, text)
    return values


def configured(template: Path, declared: Mapping[str, object]) -> dict[str, str]:
    """Return the parameters that a `samconfig.toml` beside the template gives to `sam local`, of those declared.

    They stand under `parameter_overrides`, for the environment `default`: of all commands, or of `local start-api`.
    Raises UsageError for a file that is no TOML.
    https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-config.html
    """
    path = template.with_name("samconfig.toml")
    try:
        environment = tomllib.loads(path.read_text(encoding="utf-8")).get("default", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    found: dict[str, str] = {}
    for command in ("global", "local_start_api"):
        given = environment.get(command, {}).get("parameters", {}).get("parameter_overrides", [])
        for item in shlex.split(given) if isinstance(given, str) else given:
            # The long form is `ParameterKey=name,ParameterValue=value`.
            long = re.fullmatch(r"ParameterKey=([^,]+),ParameterValue=(.*)", item, re.DOTALL)
            name, _, value = (long[1], "", long[2]) if long else item.partition("=")
            found[name] = value
    return {name: value for name, value in found.items() if name in declared}


def is_list(rules: Mapping[str, Any]) -> bool:
    """Tell whether a parameter that is declared so is a list."""
    kind = str(rules.get("Type", "String"))
    return kind == "CommaDelimitedList" or "List<" in kind or "<CommaDelimitedList>" in kind


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_text(item) for item in value)
    return str(value)


def _checked(name: str, rules: Mapping[str, Any], text: str) -> Any:
    kind = str(rules.get("Type", "String"))
    if inner := SSM.fullmatch(kind):
        # What is kept under the name is not here: the name stands for it.
        kind = "CommaDelimitedList" if "List" in inner[1] else inner[1]
    if is_list({"Type": kind}):
        items = [item.strip() for item in text.split(",")]
        for item in items:
            _check(name, rules, "Number" if kind == "List<Number>" else "String", item)
        return items
    _check(name, rules, kind, text)
    return text


def _check(name: str, rules: Mapping[str, Any], kind: str, text: str) -> None:
    def refuse(why: str) -> UsageError:
        described = rules.get("ConstraintDescription")
        return UsageError(f"parameter {name}={text}: {why}" + (f" ({described})" if described else ""))

    if kind == "Number":
        try:
            number = float(text)
        except ValueError:
            raise refuse("not a number") from None
        if not math.isfinite(number):
            raise refuse("not a number")
        if "MinValue" in rules and number < float(rules["MinValue"]):
            raise refuse(f"must be at least {rules['MinValue']}")
        if "MaxValue" in rules and number > float(rules["MaxValue"]):
            raise refuse(f"must be at most {rules['MaxValue']}")
    if "MinLength" in rules and len(text) < int(rules["MinLength"]):
        raise refuse(f"must have at least {rules['MinLength']} characters")
    if "MaxLength" in rules and len(text) > int(rules["MaxLength"]):
        raise refuse(f"must have at most {rules['MaxLength']} characters")
    if "AllowedPattern" in rules and not re.fullmatch(str(rules["AllowedPattern"]), text):
        raise refuse(f"must match {rules['AllowedPattern']}")
    if "AllowedValues" in rules:
        allowed = [_text(value) for value in rules["AllowedValues"]]
        if text not in allowed:
            raise refuse(f"must be one of {', '.join(allowed)}")
