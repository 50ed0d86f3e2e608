"""Nested stacks: their templates' resources beside the parent's, as `Nested/Name`, which SAM CLI calls them too.

One template comes out. A nested one's parameters stand for what the parent gives, its outputs for what the parent asks
for: as expressions, so that it does not matter which of two stacks is made first.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-stack.html
https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-application.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gateway.errors import TemplateError, UsageError
from gateway.settings import Settings
from gateway.template.intrinsics import NO_VALUE, Resolver, pseudo_parameters
from gateway.template.parameters import is_list, parameter_values
from gateway.template.reader import found, load, local_path

STACK = "AWS::CloudFormation::Stack"
Expand = Callable[[Mapping[str, Any], Mapping[str, Any], Settings], dict[str, Any]]
"""What `reader.expand` does, perhaps with what it has done before."""

_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
# What has a folder or a zip file in it, by the resource's type.
_CODE = {"AWS::Lambda::Function": "Code", "AWS::Lambda::LayerVersion": "Content"}


def flattened(
    template: Mapping[str, Any], values: Mapping[str, Any], path: Path, settings: Settings, expand: Expand
) -> tuple[dict[str, Any], list[Path]]:
    """Return an expanded template with those of its nested stacks in it, and where these are.

    `values` are its parameters' values, `path` is where it comes from. A stack whose template is not on this machine
    stays as it is. Raises TemplateError, with the nested stack's logical id.
    """
    kinds = (resource.get("Type") for resource in template["Resources"].values() if isinstance(resource, dict))
    if STACK not in kinds:
        return dict(template), []
    whole: dict[str, Any] = {**template, "Resources": {}, "Mappings": {}, "Conditions": {}, "Outputs": {}}
    tree = _Tree(whole, values, expand)
    top = _Template(tree, template, path, settings)
    top.add()
    return whole, tree.paths


@dataclass(frozen=True, slots=True)
class _Tree:
    """What all templates come to, the values of the topmost's parameters, and where the others are."""

    whole: dict[str, Any]
    values: Mapping[str, Any]
    expand: Expand
    paths: list[Path] = field(default_factory=list)


class _Template:
    """One template of the tree; `arguments` are its parameters' values, as expressions of the whole."""

    def __init__(
        self,
        tree: _Tree,
        template: Mapping[str, Any],
        path: Path,
        settings: Settings,
        prefix: str = "",
        arguments: Mapping[str, Any] | None = None,
        above: tuple[Path, ...] = (),
    ) -> None:
        self._tree = tree
        self._whole = tree.whole
        self._template = template
        self._path = path
        self._settings = settings
        self._prefix = prefix
        self._arguments = arguments or {}
        self._above = (*above, path)
        self._resources = {name: each for name, each in template["Resources"].items() if isinstance(each, dict)}
        self._children: dict[str, _Template | None] = {}
        self._asked: list[str] = []
        # Known before any resource is looked at: what a location or a parameter is may hang on them.
        for section in ("Mappings", "Conditions"):
            for key, value in (template.get(section) or {}).items():
                self._whole[section][f"{self._prefix}{key}"] = value if section == "Mappings" else self._put(value)

    def add(self) -> None:
        """Add the resources, and those of the stacks in it, to the whole."""
        names = [name for name, resource in self._resources.items() if resource.get("Type") == STACK]
        for name, resource in self._template["Resources"].items():
            self._whole["Resources"][f"{self._prefix}{name}"] = self._resource(resource)
        for name in names:
            child = self._child(name)
            if child is None:
                continue
            # What is left of it is what `Ref` names.
            own = self._whole["Resources"][self._prefix + name]
            own["Properties"] = {}
            before = set(self._whole["Resources"])
            child.add()
            for added in set(self._whole["Resources"]) - before:
                self._also_if(own.get("Condition"), self._whole["Resources"][added])
        for name, output in (self._template.get("Outputs") or {}).items():
            # Another stack may import it.
            self._whole["Outputs"][self._prefix + name] = self._put(output)

    def _also_if(self, condition: str | None, resource: dict[str, Any]) -> None:
        """Let a resource of a stack that is conditional be so as well."""
        if condition is None:
            return
        if "Condition" in resource:
            # No template can have such a name.
            both = f"{condition} and {resource['Condition']}"
            self._whole["Conditions"][both] = {
                "Fn::And": [{"Condition": condition}, {"Condition": resource["Condition"]}]
            }
            condition = both
        resource["Condition"] = condition

    def _resource(self, resource: Any) -> Any:
        if not isinstance(resource, dict):
            # Whoever reads the whole says what is wrong with it.
            return resource
        made: dict[str, Any] = {**resource}
        if isinstance(resource.get("Properties"), dict):
            made["Properties"] = self._put(resource["Properties"])
            code = _CODE.get(str(resource.get("Type")), "")
            # Relative to the template that says it.
            if (folder := local_path(made["Properties"].get(code), self._path.parent)) is not None:
                made["Properties"][code] = str(folder)
        if "Condition" in resource:
            made["Condition"] = self._prefix + str(resource["Condition"])
        return made

    # ---- nested stacks

    def _child(self, name: str) -> _Template | None:
        """Return the template of a nested stack; None where it is not on this machine, or not wanted."""
        if name not in self._children:
            self._children[name] = self._read(name)
        return self._children[name]

    def _read(self, name: str) -> _Template | None:
        resource = self._resources[name]
        condition, properties = resource.get("Condition"), resource.get("Properties") or {}
        if condition is not None and self._static({"Condition": self._prefix + str(condition)}) is False:
            return None
        location = self._static(self._put(properties.get("TemplateURL")))
        if not isinstance(location, str) or urlsplit(location).scheme not in ("", "file"):
            return None
        path = found((self._path.parent / unquote(location.removeprefix("file://"))).resolve())
        where = self._prefix + name
        if path in self._above:
            raise TemplateError(f"{where}: {path} is nested in itself")
        try:
            return self._nested(path, where, properties.get("Parameters") or {})
        except TemplateError as error:
            raise TemplateError(f"{where}: {error}") from None

    def _nested(self, path: Path, where: str, given: Mapping[str, Any]) -> _Template:
        template = load(path)
        self._tree.paths.append(path)
        declared: Mapping[str, Mapping[str, Any]] = template.get("Parameters", {})
        if unknown := sorted(set(given) - set(declared)):
            raise TemplateError(f"{path} has no parameter {', '.join(unknown)}")
        arguments = {key: self._put(value) for key, value in given.items()}
        arguments = {key: value for key, value in arguments.items() if self._static(value) is not NO_VALUE}
        if missing := [key for key in declared if key not in arguments and "Default" not in declared[key]]:
            raise TemplateError(f"parameter {missing[0]} of {path} has no default, and none of Parameters")
        static = {key: value for key in arguments if (value := self._static(arguments[key])) is not None}
        known = {key: rules for key, rules in declared.items() if key not in arguments or key in static}
        try:
            values = parameter_values(known, {key: _text(value) for key, value in static.items()})
        except UsageError as error:
            raise TemplateError(str(error)) from None
        # What is only known once all is made has no value for now, not even a default.
        later = {
            key: {part: value for part, value in rules.items() if key in known or part != "Default"}
            for key, rules in declared.items()
        }
        settings = replace(self._settings, stack_name=f"{self._settings.stack_name}-{where.rpartition('/')[2]}")
        expanded = self._tree.expand({**template, "Parameters": later}, values, settings)
        listed = {key: {"Fn::Split": [",", value]} for key, value in arguments.items() if is_list(declared[key])}
        return _Template(
            self._tree, expanded, path, settings, f"{where}/", {**arguments, **listed, **values}, self._above
        )

    # ---- expressions

    @cached_property
    def _resolver(self) -> Resolver:
        def none(*names: str) -> str:
            raise TemplateError(f"{'.'.join(names)} is known later")

        return Resolver(self._whole, {**pseudo_parameters(self._settings), **self._tree.values}, none, none, none)

    def _static(self, value: Any) -> Any:
        """Return what an expression of the whole comes to, None where that hangs on a resource."""
        try:
            if isinstance(value, dict) and set(value) == {"Condition"}:
                return self._resolver.condition(value["Condition"])
            return self._resolver.resolve(value)
        except TemplateError:
            return None

    def _put(self, value: Any) -> Any:
        """Return an expression of this template as one of the whole."""
        if isinstance(value, list):
            return [self._put(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            match name, argument:
                case "Ref", str():
                    return self._ref(argument)
                case "Fn::GetAtt", str():
                    return self._attribute(*argument.split(".", 1))
                case "Fn::GetAtt", [str(logical_id), attribute]:
                    return self._attribute(logical_id, attribute)
                case "Fn::Sub", str():
                    return self._sub(argument, {})
                case "Fn::Sub", [str(text), dict(variables)]:
                    return self._sub(text, variables)
                case "Fn::If", [str(condition), *rest]:
                    return {name: [self._prefix + condition, *map(self._put, rest)]}
                case "Condition", str():
                    return {name: self._prefix + argument}
                case "Fn::FindInMap", [table, *rest]:
                    named = (
                        self._prefix + table
                        if isinstance(table, str)
                        else {"Fn::Join": ["", [self._prefix, self._put(table)]]}
                    )
                    return {name: [named, *map(self._put, rest)]}
        return {key: self._put(item) for key, item in value.items()}

    def _ref(self, name: str) -> Any:
        if name in ("AWS::StackName", "AWS::StackId"):
            return pseudo_parameters(self._settings)[name]
        if name in self._arguments:
            return self._arguments[name]
        return {"Ref": name if name.startswith("AWS::") else self._prefix + name}

    def _attribute(self, logical_id: str, attribute: Any) -> Any:
        nested = self._resources.get(logical_id, {}).get("Type") == STACK
        asked = str(attribute).removeprefix("Outputs.")
        if nested and asked != attribute and (child := self._child(logical_id)) is not None:
            return child.output(asked)
        return {"Fn::GetAtt": [self._prefix + logical_id, self._put(attribute)]}

    def _sub(self, text: str, variables: Mapping[str, Any]) -> Any:
        put = {name: self._put(value) for name, value in variables.items()}
        for match in _VARIABLE.finditer(text):
            name = match[1].strip()
            logical_id, dot, attribute = name.partition(".")
            if name not in put:
                put[name] = self._attribute(logical_id, attribute) if dot else self._ref(name)
        return {"Fn::Sub": [text, put]}

    def output(self, name: str) -> Any:
        """Return an output's value. Raises TemplateError where there is none."""
        outputs = self._template.get("Outputs") or {}
        if name not in outputs:
            raise TemplateError(f"{self._prefix[:-1]}: {self._path} has no output {name}")
        if name in self._asked:
            raise TemplateError(f"{self._prefix[:-1]}: its output {name} hangs on itself")
        self._asked.append(name)
        try:
            return self._put(outputs[name].get("Value"))
        finally:
            self._asked.pop()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
