"""What a rule of EventBridge hands to a target: the event, a part of it, a fixed text, or one made of its parts.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

import json
import re
from collections.abc import Mapping
from typing import Any

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_PLACE = re.compile(r"<([A-Za-z0-9._-]+)>")


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], rule_arn: str) -> str:
    """Return the text for one of a rule's targets, whose fields are those of PutTargets."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(at_path(event, str(target["InputPath"])))
    transformer = target.get("InputTransformer")
    if transformer is None:
        return json.dumps(event)
    values = {name: at_path(event, path) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    values |= {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.rpartition("/")[2],
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": event.get("time"),
    }
    return _filled(str(transformer["InputTemplate"]), values)


def at_path(event: Any, path: str) -> Any:
    """Return what a JSON path such as `$.detail.items[0]` finds, None where there is nothing."""
    value = event
    for name, index in _STEP.findall(path.strip().removeprefix("$")):
        if name and isinstance(value, Mapping):
            value = value.get(name)
        elif index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            return None
    return value


def _filled(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with its places filled: within a string as text, elsewhere as JSON."""
    result, quoted, end = [], False, 0
    for found in _PLACE.finditer(template):
        if found[1] not in values:
            continue
        before = template[end : found.start()]
        # A quote that is escaped ends no string.
        quoted ^= len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        value = values[found[1]]
        written = json.dumps(value)
        # [D] Text loses its quotes within a string; whatever else is there is escaped.
        inside = written[1:-1] if isinstance(value, str) else "" if value is None else json.dumps(written)[1:-1]
        result += [before, inside if quoted else '""' if value is None else written]
        end = found.end()
    return "".join([*result, template[end:]])
