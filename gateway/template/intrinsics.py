"""CloudFormation's intrinsic functions, conditions and pseudo parameters, evaluated on an expanded template."""

import base64
import ipaddress
import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.errors import TemplateError
from gateway.settings import Settings

# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html

NO_VALUE: Final = object()
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_DYNAMIC = re.compile(r"\{\{resolve:([^:}]+):([^}]+)\}\}")


def pseudo_parameters(settings: Settings) -> dict[str, Any]:
    """Return the values of `AWS::Region` and its kin; `AWS::NoValue` is the marker NO_VALUE."""
    stack = f"arn:{settings.partition}:cloudformation:{settings.region}:{settings.account_id}:stack"
    return {
        "AWS::AccountId": settings.account_id,
        "AWS::NoValue": NO_VALUE,
        "AWS::NotificationARNs": [],
        "AWS::Partition": settings.partition,
        "AWS::Region": settings.region,
        "AWS::StackId": f"{stack}/{settings.stack_name}/00000000-0000-0000-0000-000000000000",
        "AWS::StackName": settings.stack_name,
        "AWS::URLSuffix": settings.url_suffix,
    }


class Resolver:
    """Evaluates values of one template.

    `values` are parameters and pseudo parameters; `reference(logical_id)` and `attribute(logical_id, name)` answer
    `Ref` and `Fn::GetAtt` of resources, and raise TemplateError for a resource that does not exist. `outside(kind,
    name)` answers for what is kept outside of the template: for `Fn::ImportValue` the kind is `export`, for a dynamic
    reference it is the service's name, such as `ssm`.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        values: Mapping[str, Any],
        reference: Callable[[str], Any],
        attribute: Callable[[str, str], Any],
        outside: Callable[[str, str], str],
    ) -> None:
        self._mappings: Mapping[str, Any] = template.get("Mappings", {})
        self._conditions: Mapping[str, Any] = template.get("Conditions", {})
        self._values = values
        self._reference = reference
        self._attribute = attribute
        self._outside = outside
        self._truths: dict[str, bool] = {}
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::Select": self._select,
            "Fn::If": self._if,
            "Fn::Equals": self._equals,
            "Fn::Not": lambda argument: not self._truth(self._list("Fn::Not", argument, 1)[0]),
            "Fn::And": lambda argument: all(self._truth(item) for item in argument),
            "Fn::Or": lambda argument: any(self._truth(item) for item in argument),
            "Fn::FindInMap": self._find_in_map,
            "Fn::Base64": lambda argument: base64.b64encode(str(self.resolve(argument)).encode()).decode(),
            "Fn::ImportValue": lambda argument: self._outside("export", self._string(self.resolve(argument))),
            "Fn::GetAZs": self._zones,
            "Fn::Cidr": self._cidr,
            "Fn::Length": lambda argument: len(self.resolve(argument)),
            "Fn::ToJsonString": lambda argument: json.dumps(self.resolve(argument)),
            "Condition": lambda argument: self.condition(str(argument)),
        }

    def resolve(self, value: Any) -> Any:
        """Return `value` with every function in it evaluated; entries whose value is `AWS::NoValue` are left out."""
        found = self._resolve(value)
        if isinstance(found, str) and "{{resolve:" in found:
            return _DYNAMIC.sub(lambda match: self._outside(match[1], match[2]), found)
        return found

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            # `Condition` is a function inside conditions only; elsewhere, in a policy say, it is a name like any other.
            if name in self._functions and (name != "Condition" or isinstance(argument, str)):
                try:
                    return self._functions[name](argument)
                except (TypeError, ValueError, AttributeError) as error:
                    raise TemplateError(f"{name}: {error}") from None
            if name == "Fn::Transform":
                raise TemplateError(f"the macro {argument.get('Name')} runs in AWS only")
            if isinstance(name, str) and name.startswith("Fn::"):
                raise TemplateError(f"{name} cannot be resolved here")
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def condition(self, name: str) -> bool:
        """Return the truth of the template's condition `name`."""
        if name not in self._truths:
            if name not in self._conditions:
                raise TemplateError(f"there is no condition {name}")
            self._truths[name] = self._truth(self._conditions[name])
        return self._truths[name]

    def _truth(self, value: Any) -> bool:
        result = self.resolve(value)
        return result if isinstance(result, bool) else str(result).lower() == "true"

    def _list(self, name: str, argument: Any, length: int) -> list[Any]:
        if not isinstance(argument, list) or len(argument) != length:
            raise TemplateError(f"{name} needs a list of {length}, not {argument!r}")
        return argument

    def _ref(self, argument: Any) -> Any:
        name = str(argument)
        return self._values[name] if name in self._values else self._reference(name)

    def _get_att(self, argument: Any) -> Any:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        logical_id, attribute = self._list("Fn::GetAtt", parts, 2)
        return self._attribute(str(logical_id), str(self.resolve(attribute)))

    def _sub(self, argument: Any) -> str:
        text, variables = argument if isinstance(argument, list) else (argument, {})

        def replace(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in variables:
                return self._string(self.resolve(variables[name]))
            logical_id, dot, attribute = name.partition(".")
            return self._string(self._attribute(logical_id, attribute) if dot else self._ref(name))

        return _VARIABLE.sub(replace, str(text))

    def _string(self, value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)

    def _join(self, argument: Any) -> str:
        separator, items = self._list("Fn::Join", argument, 2)
        return str(separator).join(self._string(item) for item in self.resolve(items))

    def _split(self, argument: Any) -> list[str]:
        separator, text = self._list("Fn::Split", argument, 2)
        return str(self.resolve(text)).split(str(separator))

    def _select(self, argument: Any) -> Any:
        index, items = (self.resolve(item) for item in self._list("Fn::Select", argument, 2))
        try:
            return items[int(index)]
        except (IndexError, ValueError, TypeError):
            raise TemplateError(f"Fn::Select: no item {index} in {items!r}") from None

    def _zones(self, argument: Any) -> list[str]:
        region = self._string(self.resolve(argument)) or str(self._values["AWS::Region"])
        return [region + letter for letter in "abc"]

    def _cidr(self, argument: Any) -> list[str]:
        block, count, *bits = self.resolve(argument)
        network = ipaddress.ip_network(str(block))
        size = network.max_prefixlen - int(bits[0] if bits else 0)
        # Without a number of bits the blocks are of the size that fits.
        if not bits:
            size = network.prefixlen + (int(count) - 1).bit_length()
        return [str(part) for part in itertools.islice(network.subnets(new_prefix=size), int(count))]

    def _if(self, argument: Any) -> Any:
        name, then, otherwise = self._list("Fn::If", argument, 3)
        return self.resolve(then if self.condition(str(name)) else otherwise)

    def _equals(self, argument: Any) -> bool:
        left, right = (self._string(self.resolve(item)) for item in self._list("Fn::Equals", argument, 2))
        return left == right

    def _find_in_map(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) not in (3, 4):
            raise TemplateError(f"Fn::FindInMap needs a list of 3, not {argument!r}")
        names = [self._string(self.resolve(item)) for item in argument[:3]]
        value: Any = self._mappings
        for name in names:
            if not isinstance(value, Mapping) or name not in value:
                if len(argument) == 4:
                    return self.resolve(argument[3].get("DefaultValue"))
                raise TemplateError(f"Fn::FindInMap: nothing at {' / '.join(names)}")
            value = value[name]
        return self.resolve(value)
