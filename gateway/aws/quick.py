"""Where moto takes most of its time without need: the same results, sooner.

A function's event makes several calls, so the embedded AWS is what a busy gateway waits for.
"""

import base64
import copy
import pickle
from collections import deque
from functools import cache, lru_cache
from typing import Any

from moto.core import serialize
from moto.dynamodb import comparisons
from moto.dynamodb.parsing import ast_nodes, expressions, validators

# Their answers are plain dictionaries, with the names of the service's own model.
_NAMED_AS_MODELLED = ("dynamodb", "sqs")


def install() -> None:
    """Change moto in this process."""
    _serialize_attributes()
    _serialize_dictionaries()
    _parse_conditions_once()
    _parse_updates_once()
    _traverse_by_type()


def _serialize_attributes() -> None:
    """Write an attribute's value as it is: moto looks for each of the ten types, in every spelling, in each value."""
    serializer: Any = serialize.BaseJSONSerializer
    structure = serializer._serialize_type_structure

    def _serialize_type_structure(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue" and type(value) is dict:
            serialized[key] = _attribute(value)
        else:
            structure(self, serialized, value, shape, key)

    serializer._serialize_type_structure = _serialize_type_structure


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    if kind == "M":
        return {kind: {name: _attribute(inner) for name, inner in content.items()}}
    if kind == "L":
        return {kind: [_attribute(inner) for inner in content]}
    if kind == "B":
        return {kind: _base64(content)}
    if kind == "BS":
        return {kind: [_base64(inner) for inner in content]}
    return value


def _base64(content: bytes | str) -> str:
    return base64.b64encode(content if isinstance(content, bytes) else content.encode()).decode()


def _serialize_dictionaries() -> None:
    """Take a field of a dictionary by its name, without trying other spellings where it is missing."""
    serializer: Any = serialize.ResponseSerializer
    get_value = serializer.get_value

    def named(self: Any, value: Any, key: str, shape: Any) -> Any:
        if type(value) is dict and self.service_model.service_name in _NAMED_AS_MODELLED:
            return value.get(key)
        return get_value(self, value, key, shape)

    serializer.get_value = named


def _parse_conditions_once() -> None:
    """Cut a condition into words once, and parse it once a call: moto does it to check it, and again to use it."""
    parser: Any = comparisons.ConditionExpressionParser
    lex, parse = parser._lex_condition_expression, parser.parse

    @lru_cache(maxsize=1024)
    def words(expression: str) -> tuple[Any, ...]:
        return tuple(lex(parser(expression, None, None)))

    # The last one, with the very objects that it was parsed with.
    last: list[Any] = [None]

    def parse_once(self: Any) -> Any:
        given = (self.condition_expression, self.expression_attribute_names, self.expression_attribute_values)
        if last[0] is not None and all(one is other for one, other in zip(given, last[0].given, strict=True)):
            known = last[0]
            self.expr_attr_names_found = list(known.expr_attr_names_found)
            self.expr_attr_values_found = list(known.expr_attr_values_found)
            return known.parsed
        self.given, self.parsed = given, parse(self)
        last[0] = self
        return self.parsed

    parser._lex_condition_expression = lambda self: deque(words(self.condition_expression))
    parser.parse = parse_once


def _parse_updates_once() -> None:
    """Parse an update once: nothing changes the tree that comes of it, but a copy, which pickle makes faster."""
    nodes: Any = ast_nodes
    parsing: Any = expressions
    parser = parsing.UpdateExpressionParser
    parser.make = lru_cache(maxsize=1024)(parser.make)

    def copied(tree: Any) -> Any:
        if not isinstance(tree, nodes.UpdateExpression):
            return copy.deepcopy(tree)
        if "pickled" not in tree.__dict__:
            tree.pickled = pickle.dumps(tree)
        return pickle.loads(tree.pickled)

    validating: Any = validators
    validating.deepcopy = copied


def _traverse_by_type() -> None:
    """Decide by a node's type, once, whether a traversal is for it: moto asks abstract classes about each node."""
    nodes: Any = ast_nodes
    traverser = nodes.DepthFirstTraverser

    def is_for(processor: Any, node: Any) -> bool:
        return issubclass(node, tuple(processor._processing_map(object.__new__(processor))))

    processed: Any = cache(is_for)
    is_node: Any = cache(lambda kind: issubclass(kind, nodes.Node))

    def traverse(self: Any, node: Any, child_id: int = -1) -> Any:
        if not is_node(type(node)):
            return node
        parent = node.parent
        for number, child in enumerate(node.children or ()):
            self.pre_processing_of_child(node, number)
            self.traverse_node_recursively(child, number)
        if processed(type(self), type(node)):
            node = self.process(node)
            node.parent = parent
            if parent:
                parent.children[child_id] = node
        return node

    traverser.traverse_node_recursively = traverse
