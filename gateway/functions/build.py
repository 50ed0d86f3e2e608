"""Gets functions ready to run: their code and layers into folders, their packages to where the runtime finds them.

What is made is kept in the user's cache folder, named by a hash of what it was made from. So it serves every project
and every copy of one, it is outside of the code that is deployed, and once made it needs no network. Two gateways do
not disturb each other: each builds in a folder of its own and renames it.

- Python: `requirements.txt` in the function's folder, or in a layer's, is installed with pip, unless all of it is there
  already - in the folder, in its layers, or in the gateway's own interpreter, which runs the functions.
- Node: `package.json`, the same way with npm; and the packages of AWS's SDK for JavaScript that the code names without
  having them, since they are part of Lambda's runtime.

https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import platformdirs

from gateway.console import Console
from gateway.errors import GatewayError
from gateway.functions import runtimes
from gateway.functions.requirements import requirement_lines, satisfied
from gateway.template.specs import FunctionSpec

_SDK = re.compile(r"""["'](@(?:aws-sdk|smithy)/[a-z0-9-]+)""")
_SCRIPTS = (".js", ".mjs", ".cjs")
# So many of a tool's last lines say why it failed.
_LAST_LINES = 6


def cache_folder() -> Path:
    """Return where built packages are kept."""
    return Path(platformdirs.user_cache_path("wsgateway", appauthor=False))


async def build(
    functions: Iterable[FunctionSpec], unsupported: dict[str, str], console: Console, cache: Path
) -> list[FunctionSpec]:
    """Return the functions that run on this machine, ready to run; why others do not goes to `unsupported`.

    Raises GatewayError, naming the function, for packages that cannot be installed.
    """
    ready = []
    others: dict[str, str] = {}
    builder = _Builder(cache, console)
    for spec in functions:
        fault = spec.fault
        if not fault:
            built = await builder.code(spec)
            fault = runtimes.fault(built)
        if fault:
            unsupported[spec.logical_id] = fault
            continue
        ready.append(await builder.packages(built))
        if runtimes.is_python(spec) and spec.runtime not in ("python3", runtimes.PYTHON):
            others.setdefault(spec.runtime, spec.logical_id)
    if others:
        asked = ", ".join(f"{runtime} ({logical_id})" for runtime, logical_id in others.items())
        console.note(f"Functions run with {runtimes.PYTHON}, the gateway's own; the template asks for {asked}")
    return ready


class _Builder:
    def __init__(self, cache: Path, console: Console) -> None:
        self._cache = cache
        self._console = console

    async def code(self, spec: FunctionSpec) -> FunctionSpec:
        """Return the function with its code and its layers in folders."""
        try:
            code = self._written(spec) if spec.inline is not None else self._unpacked(spec.code)
            return replace(spec, code=code, layers=tuple(map(self._unpacked, spec.layers)))
        except (OSError, zipfile.BadZipFile) as error:
            raise GatewayError(f"{spec.logical_id}: its code cannot be unpacked: {error}") from None

    async def packages(self, spec: FunctionSpec) -> FunctionSpec:
        """Return the function with the folders of its packages. Raises GatewayError."""
        try:
            if runtimes.is_python(spec):
                return replace(spec, packages=tuple(await self._python(spec)))
            if runtimes.is_node(spec):
                return replace(spec, packages=tuple(await self._node(spec)))
        except OSError as error:
            raise GatewayError(f"{spec.logical_id}: its packages cannot be built: {error}") from None
        return spec

    # ---- code

    def _written(self, spec: FunctionSpec) -> Path:
        text = spec.inline or ""
        name = "index.js" if runtimes.is_node(spec) else "index.py"
        target = self._target("code", name, text)
        with self._making(target) as made:
            if made is not None:
                (made / name).write_text(text, encoding="utf-8")
        return target

    def _unpacked(self, source: Path) -> Path:
        if not source.is_file():
            return source
        target = self._target("code", hashlib.sha256(source.read_bytes()).hexdigest())
        with self._making(target) as made:
            if made is not None:
                _unzip(source, made)
        return target

    # ---- Python

    async def _python(self, spec: FunctionSpec) -> list[Path]:
        layers: list[Path] = []
        for layer in reversed(spec.layers):
            modules = layer / "python"
            places = [modules / "lib" / spec.runtime / "site-packages", modules]
            # What is no layer yet becomes one in `sam build`: its modules go to such a folder.
            layers += [place for place in places if place.is_dir()] if modules.is_dir() else [layer]
            for listed in (layer / "requirements.txt", modules / "requirements.txt"):
                layers += await self._pip(spec, listed, layers)
        return [*await self._pip(spec, spec.code / "requirements.txt", [spec.code, *layers]), *layers]

    async def _pip(self, spec: FunctionSpec, listed: Path, found: Sequence[Path]) -> list[Path]:
        """Return the folder that a requirements file was installed to; nothing where all of it is there."""
        if not listed.is_file():
            return []
        lines = list(requirement_lines(listed))
        if satisfied(lines, found):
            return []
        target = self._target("python", runtimes.PYTHON, sys.platform, platform.machine(), *lines)
        with self._making(target) as made:
            if made is not None:
                if importlib.util.find_spec("pip") is None:
                    raise GatewayError(
                        f"{spec.logical_id} needs the packages of {listed}, and there is no pip to install them: "
                        f"run `{sys.executable} -m ensurepip`"
                    )
                pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
                await self._run(spec, listed, [*pip, "--target", str(made), "-r", listed.name], listed.parent)
        return [target]

    # ---- Node

    async def _node(self, spec: FunctionSpec) -> list[Path]:
        found: list[Path] = []
        found += await self._npm(spec, spec.code)
        for layer in reversed(spec.layers):
            inside = layer / "nodejs"
            places = [inside / spec.runtime.replace("nodejs", "node").removesuffix(".x"), inside]
            found += [place / "node_modules" for place in places if (place / "node_modules").is_dir()]
            found += await self._npm(spec, inside if inside.is_dir() else layer)
        sdk = sorted(name for name in _sdk_packages(spec.code) if not _has(spec.code, name, found))
        if sdk:
            wanted = {name: "^3" if name.startswith("@aws-sdk/") else "*" for name in sdk}
            described = json.dumps({"private": True, "dependencies": wanted})
            found.append(await self._installed(spec, ", ".join(sdk), described, None))
        return found

    async def _npm(self, spec: FunctionSpec, folder: Path) -> list[Path]:
        """Return the folder of the packages of a `package.json`; nothing where Node finds all of them by itself."""
        described = folder / "package.json"
        if not described.is_file():
            return []
        try:
            package = json.loads(described.read_text(encoding="utf-8"))
            wanted: dict[str, str] = package.get("dependencies") or {}
            local = {
                name: f"file:{folder / version.removeprefix('file:')}"
                for name, version in wanted.items()
                if version.startswith("file:")
            }
        except (ValueError, AttributeError) as error:
            raise GatewayError(f"{spec.logical_id}: {described} cannot be read: {error}") from None
        if all(_has(folder, name, []) for name in wanted):
            return []
        # npm runs in another folder, and does not find those of a lock file there.
        text = json.dumps({**package, "dependencies": wanted | local})
        lock = folder / "package-lock.json"
        locked = lock.read_text(encoding="utf-8") if lock.is_file() and not local else None
        return [await self._installed(spec, described, text, locked)]

    async def _installed(self, spec: FunctionSpec, what: object, described: str, lock: str | None) -> Path:
        target = self._target("node", *_node(), described, lock or "")
        with self._making(target) as made:
            if made is not None:
                (made / "package.json").write_text(described, encoding="utf-8")
                if lock is not None:
                    (made / "package-lock.json").write_text(lock, encoding="utf-8")
                npm = ["npm", "install", "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier"]
                await self._run(spec, what, npm, made)
        return target / "node_modules"

    # ---- the cache

    def _target(self, kind: str, *made_from: str) -> Path:
        digest = hashlib.sha256("\0".join(made_from).encode()).hexdigest()
        return self._cache / kind / digest[:32]

    @contextlib.contextmanager
    def _making(self, target: Path) -> Iterator[Path | None]:
        """Give a folder to fill, which becomes `target`; None where that is there already."""
        if target.is_dir():
            yield None
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside it, so that links within it still lead to the same.
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix="."))
        try:
            yield made
            with contextlib.suppress(OSError):
                made.rename(target)
            # If that failed, another gateway has made the same meanwhile.
            if not target.is_dir():
                raise GatewayError(f"cannot make {target}")
        finally:
            shutil.rmtree(made, ignore_errors=True)

    async def _run(self, spec: FunctionSpec, what: object, command: list[str], folder: Path) -> None:
        """Run a tool, and show that it works. Raises GatewayError with its last words."""
        self._console.progress(f"Installing packages of {spec.logical_id} ({what}) …")
        last: deque[str] = deque(maxlen=_LAST_LINES)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # A line of a tool may be long.
                limit=1 << 20,
            )
        except FileNotFoundError:
            raise GatewayError(
                f"{spec.logical_id} needs the packages of {what}, and there is no {command[0]} to install them"
            ) from None
        try:
            assert process.stdout is not None
            async for raw in process.stdout:
                if line := raw.decode("utf-8", "replace").strip():
                    last.append(line)
                    if line.startswith(("Collecting ", "Building ", "Installing ", "added ")):
                        self._console.progress(f"  {line}")
            code = await process.wait()
        finally:
            # Cancelled: nobody waits for what it does.
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if code:
            raise GatewayError(f"{spec.logical_id}: the packages of {what} cannot be installed: {_cause(last)}")


def _cause(lines: Iterable[str]) -> str:
    said = list(lines)
    errors = [line for line in said if re.match(r"(?i)(npm )?err(or)?\b", line)]
    return "; ".join(errors or said) or "no reason given"


def _node() -> tuple[str, str]:
    """Return what tells this machine's Node from another version: packages may hold compiled code."""
    program = Path(shutil.which("node") or "node").resolve()
    return str(program), str(program.stat().st_mtime_ns)


def _unzip(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            path = Path(archive.extract(entry, target))
            # The modes are Unix's where they are there at all; a program must stay one.
            if mode := entry.external_attr >> 16 & 0o777:
                path.chmod(mode | 0o600)


# ---- Node's packages


def _has(folder: Path, name: str, more: Iterable[Path]) -> bool:
    """Tell whether Node finds a package from a folder: in its node_modules, in its parents', or on the way given."""
    places = [*(place / "node_modules" for place in (folder, *folder.parents)), *more]
    return any((place / name).is_dir() for place in places)


def _sdk_packages(code: Path) -> set[str]:
    found: set[str] = set()
    for folder, folders, files in os.walk(code):
        folders[:] = [name for name in folders if name != "node_modules" and not name.startswith(".")]
        for name in files:
            if name.endswith(_SCRIPTS):
                found.update(_SDK.findall(Path(folder, name).read_text(encoding="utf-8", errors="replace")))
    return found
