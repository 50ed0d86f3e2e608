"""Request models: which JSON schema a message has to fit.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-request-validation.html
"""

import json
from collections.abc import Mapping
from typing import Any

from gateway.websocket.selection import selected_key


class Models:
    """The models of one route. Raises ValueError for a schema that is none, or that refers to others."""

    def __init__(self, selection: str, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        # Few templates have models, and this takes long to import.
        from jsonschema import Draft4Validator, SchemaError

        self._selection = selection
        self._validators = {}
        for key, schema in schemas.items():
            if outside := next(_outside(schema), None):
                raise ValueError(f"a model refers to {outside}")
            try:
                Draft4Validator.check_schema(schema)
            except SchemaError as error:
                raise ValueError(f"a model is no JSON schema: {error.message}") from None
            self._validators[key] = Draft4Validator(schema)

    def accept(self, text: str) -> bool:
        """Tell whether a message fits the model that the selection finds for it, else the one called `$default`."""
        key = selected_key(self._selection, text)
        validator = self._validators.get(key or "", self._validators.get("$default"))
        if validator is None:
            return False
        try:
            return bool(validator.is_valid(json.loads(text)))
        except ValueError:
            return False


def _outside(schema: Any) -> Any:
    """Yield what a schema refers to outside of itself."""
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            yield reference
        for value in schema.values():
            yield from _outside(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _outside(value)
