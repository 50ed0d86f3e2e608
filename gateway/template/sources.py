"""What invokes functions beside APIs: event source mappings, schedules, and how functions take asynchronous events."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.errors import TemplateError
from gateway.template.specs import AsyncSpec, Destination, MappingSpec, ScheduleSpec, StreamSpec
from gateway.template.stack import Stack, true
from gateway.triggers import timing
from gateway.triggers.patterns import Pattern, PatternError, parse

_MAPPING = "AWS::Lambda::EventSourceMapping"
_LONGEST_AGE = 86400.0  # [D] seconds for which a stream holds a record


def mappings(stack: Stack) -> tuple[list[MappingSpec], list[StreamSpec]]:
    """Return the enabled event source mappings, those of queues and those of tables.

    Those of other sources go to `stack.unsupported`.
    """
    found = [stack.named(name, lambda *found: _mapping(stack, *found)) for name in stack.of_type(_MAPPING)]
    queues = [mapping for mapping in found if isinstance(mapping, MappingSpec)]
    return queues, [mapping for mapping in found if isinstance(mapping, StreamSpec)]


def schedules(stack: Stack) -> list[ScheduleSpec]:
    """Return the enabled schedules and scheduled rules; what is not run of them goes to `stack.unsupported`."""
    found: list[ScheduleSpec | None] = []
    for name in stack.of_type("AWS::Scheduler::Schedule"):
        found.append(stack.named(name, lambda *found: _scheduler(stack, *found)))
    for name in stack.of_type("AWS::Events::Rule"):
        found += stack.named(name, lambda *found: _rule(stack, *found))
    return [schedule for schedule in found if schedule is not None]


def asynchronous(stack: Stack) -> dict[str, AsyncSpec]:
    """Return how each function takes asynchronous events, by logical id; what an alias is told counts for all."""
    configs = {}
    for name in stack.of_type("AWS::Lambda::EventInvokeConfig"):
        function = stack.function_named(stack.property(name, "FunctionName"))
        configs[function] = stack.named(name, lambda _, properties: properties), name
    found = {}
    for function in stack.of_type("AWS::Lambda::Function"):
        properties, name = configs.get(function, ({}, function))
        told = properties.get("DestinationConfig", {})
        letters = stack.property(function, "DeadLetterConfig") or {}
        retries, age = properties.get("MaximumRetryAttempts"), properties.get("MaximumEventAgeInSeconds")
        found[function] = AsyncSpec(
            None if retries is None else int(retries),
            None if age is None else float(age),
            _destination(stack, f"{name}.OnSuccess", told.get("OnSuccess", {}).get("Destination")),
            _destination(stack, f"{name}.OnFailure", told.get("OnFailure", {}).get("Destination")),
            _destination(stack, f"{function}.DeadLetterConfig", letters.get("TargetArn")),
        )
    return found


def qualifiers(stack: Stack) -> dict[str, set[str]]:
    """Return the versions and aliases of each function that has some, by logical id."""
    found: dict[str, set[str]] = {}
    for kind in ("AWS::Lambda::Alias", "AWS::Lambda::Version"):
        for name in stack.of_type(kind):
            function = stack.function_named(stack.property(name, "FunctionName"))
            found.setdefault(function, set()).add(str(stack.reference(name)).rsplit(":", 1)[1])
    return found


def destination(stack: Stack, arn: str) -> Destination | None:
    """Return the queue or the function of this template that an ARN names, or None."""
    for name in stack.of_type("AWS::SQS::Queue"):
        if stack.attribute(name, "Arn") == arn:
            return Destination("queue", stack.name(name), arn)
    try:
        return Destination("function", stack.function_named(arn), arn)
    except TemplateError:
        return None


def _destination(stack: Stack, where: str, arn: Any) -> Destination | None:
    if not arn:
        return None
    found = destination(stack, str(arn))
    if found is None:
        stack.unsupported[where] = f"destination {arn}; nothing is sent there"
    return found


# ---- event source mappings


def _mapping(stack: Stack, logical_id: str, properties: dict[str, Any]) -> MappingSpec | StreamSpec | None:
    source = str(properties.get("EventSourceArn", ""))
    try:
        function = stack.function_named(properties["FunctionName"])
    except TemplateError as error:
        stack.unsupported[logical_id] = str(error)
        return None
    queue = _owner(stack, "AWS::SQS::Queue", "Arn", source)
    table = _owner(stack, "AWS::DynamoDB::Table", "StreamArn", source)
    if queue is None and table is None:
        stack.unsupported[logical_id] = f"event source {source or 'outside this template'}"
    if (queue is None and table is None) or not true(properties.get("Enabled", True)):
        return None
    filters = _filters(properties)
    partial = "ReportBatchItemFailures" in properties.get("FunctionResponseTypes", [])
    window = float(properties.get("MaximumBatchingWindowInSeconds", 0))
    if queue is not None:
        most = properties.get("ScalingConfig", {}).get("MaximumConcurrency")
        size = int(properties.get("BatchSize", 10))
        return MappingSpec(
            logical_id, queue, source, function, size, partial, int(most) if most else None, window, filters
        )
    assert table is not None
    if not stack.property(table, "StreamSpecification"):
        raise TemplateError(f"the table {table} has no StreamSpecification")
    for name, usual in (("ParallelizationFactor", 1), ("TumblingWindowInSeconds", 0)):
        if int(properties.get(name, usual)) != usual:
            stack.unsupported[f"{logical_id}.{name}"] = "setting of a stream's event source; batches run one by one"
    retries, age = (int(properties.get(name, -1)) for name in ("MaximumRetryAttempts", "MaximumRecordAgeInSeconds"))
    failed = properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    return StreamSpec(
        logical_id,
        table,
        source,
        function,
        str(stack.attribute(function, "Arn")),
        int(properties.get("BatchSize", 100)),
        window,
        properties["StartingPosition"] != "TRIM_HORIZON",
        partial,
        true(properties.get("BisectBatchOnFunctionError", False)),
        None if retries < 0 else retries,
        _LONGEST_AGE if age < 0 else float(age),
        filters,
        _destination(stack, f"{logical_id}.OnFailure", failed),
    )


def _owner(stack: Stack, kind: str, attribute: str, arn: str) -> str | None:
    return next((name for name in stack.of_type(kind) if stack.attribute(name, attribute) == arn), None)


def _filters(properties: Mapping[str, Any]) -> tuple[Pattern, ...]:
    filters = (properties.get("FilterCriteria") or {}).get("Filters") or []
    try:
        return tuple(parse(str(item["Pattern"])) for item in filters)
    except PatternError as error:
        raise TemplateError(f"FilterCriteria: {error}") from None


# ---- schedules


def _scheduler(stack: Stack, logical_id: str, properties: dict[str, Any]) -> ScheduleSpec | None:
    if properties.get("State") == "DISABLED":
        return None
    group = properties.get("GroupName", "default")
    return _schedule(
        stack,
        logical_id,
        stack.arn("scheduler", f"schedule/{group}/{stack.name(logical_id)}"),
        properties["Target"],
        properties,
        scheduler=True,
    )


def _rule(stack: Stack, logical_id: str, properties: dict[str, Any]) -> list[ScheduleSpec | None]:
    if "ScheduleExpression" not in properties or properties.get("State") == "DISABLED":
        return []
    arn = stack.arn("events", f"rule/{stack.name(logical_id)}")
    return [
        _schedule(stack, logical_id, arn, target, properties, scheduler=False)
        for target in properties.get("Targets", [])
    ]


def _schedule(
    stack: Stack,
    logical_id: str,
    arn: str,
    target: Mapping[str, Any],
    properties: Mapping[str, Any],
    *,
    scheduler: bool,
) -> ScheduleSpec | None:
    reached = destination(stack, str(target["Arn"]))
    if reached is None:
        stack.unsupported[logical_id] = f"schedule of {target['Arn']}"
        return None
    for name in ("InputPath", "InputTransformer"):
        if name in target:
            stack.unsupported[f"{logical_id}.{name}"] = "input of a rule's target, the whole event is delivered"
    expression = str(properties["ScheduleExpression"]).strip()
    timezone = str(properties.get("ScheduleExpressionTimezone", "UTC"))
    try:
        # Read here, so that what is wrong with it is told before anything runs.
        timing.runs(expression, timezone, 0)
    except timing.ExpressionError as error:
        raise TemplateError(str(error)) from None
    return ScheduleSpec(
        logical_id,
        arn,
        reached,
        expression,
        scheduler,
        target.get("Input"),
        timezone,
        _date(properties.get("StartDate")),
        _date(properties.get("EndDate")),
        target.get("SqsParameters", {}).get("MessageGroupId"),
    )


def _date(text: Any) -> float | None:
    """Return an ISO 8601 date as seconds since 1970; one without an offset is UTC."""
    if text is None:
        return None
    date = datetime.fromisoformat(re.sub("Z$", "+00:00", str(text)))
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
