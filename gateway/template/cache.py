"""Expanded templates on disk: to import the translator and run it takes longer than all else of a warm start."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.settings import Settings
from gateway.template import reader

_VERSION = importlib.metadata.version("aws-sam-translator")


def expanded(
    template: Mapping[str, Any], values: Mapping[str, Any], settings: Settings, folder: Path
) -> dict[str, Any]:
    """Return `reader.expand(template, values, settings)`, from `folder` where it has the same already.

    What cannot be read there is made again; where nothing can be written, nothing is kept. Raises TemplateError.
    """
    path = folder / f"{_key(template, values, settings)}.json"
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(kept, dict) and isinstance(kept.get("Resources"), dict):
            return kept
    made = reader.expand(template, values, settings)
    with contextlib.suppress(OSError):
        _write(path, json.dumps(made))
    return made


def _key(template: Mapping[str, Any], values: Mapping[str, Any], settings: Settings) -> str:
    """Return a hash of all that the result hangs on: what is given, and who makes something of it."""
    given = [template, values, settings.region, settings.account_id, settings.partition]
    given += [settings.stack_name, settings.url_suffix, _VERSION]
    hashed = hashlib.sha256(json.dumps(given, default=str).encode())
    for module in sorted(Path(reader.__file__).parent.glob("*.py")):
        hashed.update(module.read_bytes())
    return hashed.hexdigest()


def _write(path: Path, text: str) -> None:
    """Write a file at once and in full: others may be doing the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    os.replace(file.name, path)  # noqa: PTH105 - atomic, and over what another process wrote meanwhile
