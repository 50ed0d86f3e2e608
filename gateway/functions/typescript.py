"""Functions in TypeScript: bundled by esbuild, as `sam build` does.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-using-build-typescript.html
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.template.specs import FunctionSpec

_ENDINGS = (".ts", ".mts", ".cts", ".tsx")
_SCRIPTS = (".js", ".mjs", ".cjs")
# Part of Lambda's runtime, and found beside the bundle here as well.
_EXTERNAL = ("@aws-sdk/*", "@smithy/*")


def source_of(spec: FunctionSpec, module: str) -> Path | None:
    """Return the TypeScript that a Node function has to be made of, None where its module is there.

    `module` is that of the handler, without an ending.
    """
    base = spec.code / module
    if any(base.with_name(base.name + ending).is_file() for ending in _SCRIPTS):
        return None
    properties = _properties(spec)
    entries = [spec.code / str(entry) for entry in properties.get("EntryPoints") or []]
    named = [entry for entry in entries if entry.stem == base.name]
    written = [base.with_name(base.name + ending) for ending in _ENDINGS]
    return next((path for path in (*named, *entries[:1], *written) if path.suffix in _ENDINGS and path.is_file()), None)


def esbuild(program: Sequence[str], spec: FunctionSpec, source: Path, target: Path, module: str) -> list[str]:
    """Return the command line that makes a function's module, in the folder `target`."""
    properties = _properties(spec)
    form = str(properties.get("Format", "cjs"))
    version = re.match(r"nodejs(\d+)", spec.runtime)
    wanted = str(properties.get("Target") or f"node{version[1] if version else 20}")
    command = [*program, str(source), "--bundle", "--platform=node", f"--target={wanted}", f"--format={form}"]
    command.append(f"--outfile={target / module}{'.mjs' if form == 'esm' else '.js'}")
    command += [f"--external:{name}" for name in (*_EXTERNAL, *map(str, properties.get("External") or []))]
    if fields := properties.get("MainFields"):
        command.append(f"--main-fields={fields}")
    for option in ("Loader", "Define", "Banner"):
        given = properties.get(option) or []
        items = [f"{name}={value}" for name, value in given.items()] if isinstance(given, Mapping) else given
        command += [f"--{option.lower()}:{item}" for item in items]
    return [*command, "--sourcemap=inline", "--log-level=warning"]


def _properties(spec: FunctionSpec) -> Mapping[str, Any]:
    found = spec.build.get("BuildProperties")
    return found if isinstance(found, Mapping) else {}
