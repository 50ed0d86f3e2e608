"""Template parameters: what the command line gives, checked as CloudFormation checks it."""

import math
import re
from collections.abc import Mapping
from typing import Any

from gateway.errors import UsageError

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html


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


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_text(item) for item in value)
    return str(value)


def _checked(name: str, rules: Mapping[str, Any], text: str) -> Any:
    kind = str(rules.get("Type", "String"))
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
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
