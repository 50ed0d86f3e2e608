"""Gets functions ready to run: their code and layers into folders, their packages to where the runtime finds them.

What is made is kept in the user's cache folder, named by a hash of what it was made from. So it serves every project
and every copy of one, it is outside of the code that is deployed, and once made it needs no network. Two gateways do
not disturb each other: each builds in a folder of its own and renames it.

- Python: `requirements.txt` in the function's folder, or in a layer's, is installed with pip, unless all of it is there
  already - in the folder, in its layers, or in the gateway's own interpreter, which runs the functions.
- Node: `package.json`, the same way with npm; and the packages of AWS's SDK for JavaScript that the code names without
  having them, since they are part of Lambda's runtime: of nodejs16.x and older ones in version 2.

- TypeScript: what the handler's module is written in is bundled by esbuild, the project's own or one from npm.
- What has a Makefile (`BuildMethod: makefile`) runs as it is where its module is there already, with all that it
  imports; the rest, and layers, are made by `make`, and once more when their source has changed.

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import platformdirs

from gateway.console import Console
from gateway.errors import GatewayError
from gateway.functions import imports, makefiles, runtimes, typescript
from gateway.functions.requirements import requirement_lines, satisfied
from gateway.template.specs import FunctionSpec, MakeSpec

_SDK = re.compile(r"""["'](@(?:aws-sdk|smithy)/[a-z0-9-]+)""")
_OLD_SDK = re.compile(r"""["'](aws-sdk)["'/]""")
# [D] The runtimes before nodejs18.x have version 2 of the SDK.
_OLD_RUNTIME = re.compile(r"nodejs(?:[4-9]|1[0-6])?(?:\.|$)")
_SCRIPTS = (".js", ".mjs", ".cjs")
# So many of a tool's last lines say why it failed.
_LAST_LINES = 6
# What a Makefile runs may be any compiler.
_LAST_LINES_OF_MAKE = 20


def cache_folder() -> Path:
    """Return where built packages are kept."""
    return Path(platformdirs.user_cache_path("wsgateway", appauthor=False))


async def rebuild(functions: Iterable[FunctionSpec], console: Console, cache: Path) -> None:
    """Bundle anew what is made of TypeScript, and make what a Makefile makes; what is wrong goes to the console."""
    builder = _Builder(cache, console)
    for spec in functions:
        try:
            for make in (*spec.layer_makes.values(), *([spec.make] if spec.make else [])):
                await builder.make(make)
            if spec.source is not None and spec.make is None:
                await builder.script(spec)
        except GatewayError as error:
            console.note(str(error))


def watched(spec: FunctionSpec) -> list[Path]:
    """Return the folders whose changes a function that is built has to see."""
    layers = (spec.layer_makes[layer].source if layer in spec.layer_makes else layer for layer in spec.layers)
    return [spec.source or spec.code, *layers]


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
            built = await builder.made(await builder.script(await builder.code(spec)))
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
        # Functions of one folder ask for the same.
        self._satisfied: dict[tuple[tuple[str, ...], tuple[Path, ...]], bool] = {}

    async def code(self, spec: FunctionSpec) -> FunctionSpec:
        """Return the function with its code and its layers in folders."""
        makes = spec.layer_makes
        try:
            code = self._written(spec) if spec.inline is not None else self._unpacked(spec.code)
            # Without a Makefile it is what `sam build` has made already.
            made = {layer: await self.make(make) for layer, make in makes.items() if make.makefile.is_file()}
            layers = tuple(made.get(layer) or self._unpacked(layer) for layer in spec.layers)
            return replace(spec, code=code, layers=layers, layer_makes={made[layer]: makes[layer] for layer in made})
        except (OSError, zipfile.BadZipFile) as error:
            raise GatewayError(f"{spec.logical_id}: its code cannot be unpacked: {error}") from None

    async def made(self, spec: FunctionSpec) -> FunctionSpec:
        """Return the function with the code that its Makefile makes, where it cannot run without. Raises GatewayError.

        One that has all it needs runs from its source: a change is seen at once, and nothing is waited for.
        """
        if spec.make is None or (runtimes.is_there(spec) and not await self._lacks(spec)):
            return replace(spec, make=None)
        return replace(spec, code=await self.make(spec.make), source=spec.make.source)

    async def _lacks(self, spec: FunctionSpec) -> bool:
        """Tell whether a function imports what neither its folder nor its packages have, and a Makefile may bring."""
        if spec.make is None or not runtimes.is_python(spec) or not spec.make.makefile.is_file():
            return False
        found = await self.packages(spec)
        return bool(imports.missing(runtimes.python_module(spec.handler), spec.code, found.packages))

    async def make(self, make: MakeSpec) -> Path:
        """Return the folder of what a Makefile makes. Raises GatewayError with make's own words.

        Always the same folder: what is made anew there is seen by the processes that come.
        """
        if not make.makefile.is_file():
            raise GatewayError(f"{make.logical_id}: its BuildMethod is makefile, and there is no {make.makefile}")
        target = self._target("make", make.logical_id, str(make.source), str(make.makefile))
        kept, artifacts = target / "state", target / "artifacts"
        state = await asyncio.to_thread(makefiles.state, make)
        with contextlib.suppress(OSError):
            if kept.read_text(encoding="utf-8") == state:
                return artifacts
        try:
            with self._making(target, anew=True) as made, tempfile.TemporaryDirectory(dir=target.parent) as scratch:
                assert made is not None
                (made / artifacts.name).mkdir()
                folder = await asyncio.to_thread(makefiles.copied, make, Path(scratch))
                await self._run(
                    make.logical_id,
                    make.makefile,
                    makefiles.command(make),
                    folder,
                    f"Making {make.logical_id}",
                    makefiles.variables(made / artifacts.name),
                    verbatim=True,
                )
                (made / kept.name).write_text(state, encoding="utf-8")
        except (OSError, shutil.Error) as error:
            raise GatewayError(f"{make.logical_id}: it cannot be made: {error}") from None
        return artifacts

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

    async def script(self, spec: FunctionSpec) -> FunctionSpec:
        """Return the function with a module that Node runs, where it is written in TypeScript. Raises GatewayError."""
        if not runtimes.is_node(spec) or shutil.which("node") is None:
            return spec
        folder, module = spec.source or spec.code, runtimes.node_module(spec.handler)
        source = typescript.source_of(replace(spec, code=folder), module)
        if source is None:
            return spec
        try:
            packages = await self._npm(spec, folder)
            program = await self._esbuild(spec, folder)
        except OSError as error:
            raise GatewayError(f"{spec.logical_id}: its packages cannot be built: {error}") from None
        # Always the same folder: what is written anew there is seen by the processes that come.
        target = self._target("typescript", str(folder.resolve()), spec.logical_id)
        command = typescript.esbuild([program], spec, source, target, module)
        variables = {**os.environ, "NODE_PATH": os.pathsep.join(map(str, packages))}
        await self._run(spec.logical_id, source, command, folder, f"Bundling {spec.logical_id}", variables)
        return replace(spec, code=target, source=folder)

    async def _esbuild(self, spec: FunctionSpec, folder: Path) -> str:
        """Return the project's own esbuild, or one that is installed for all."""
        for place in (folder, *folder.parents):
            if (own := place / "node_modules" / ".bin" / "esbuild").is_file():
                return str(own)
        described = json.dumps({"private": True, "dependencies": {"esbuild": "*"}})
        return str(await self._installed(spec, "esbuild", described, None) / ".bin" / "esbuild")

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
        key = (tuple(lines), tuple(found))
        if key not in self._satisfied:
            self._satisfied[key] = satisfied(lines, found)
        if self._satisfied[key]:
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
                await self._run(
                    spec.logical_id, listed, [*pip, "--target", str(made), "-r", listed.name], listed.parent
                )
        return [target]

    # ---- Node

    async def _node(self, spec: FunctionSpec) -> list[Path]:
        found: list[Path] = []
        # What a Makefile makes is complete, what esbuild bundles has its packages beside its source.
        found += await self._npm(spec, spec.code if spec.make else spec.source or spec.code)
        for layer in reversed(spec.layers):
            inside = layer / "nodejs"
            places = [inside / spec.runtime.replace("nodejs", "node").removesuffix(".x"), inside]
            found += [place / "node_modules" for place in places if (place / "node_modules").is_dir()]
            found += await self._npm(spec, inside if inside.is_dir() else layer)
        old = _OLD_RUNTIME.match(spec.runtime) is not None
        sdk = sorted(name for name in _sdk_packages(spec.code, old=old) if not _has(spec.code, name, found))
        if sdk:
            versions = {"aws-sdk": "^2", "@aws-sdk": "^3"}
            wanted = {name: versions.get(name.partition("/")[0], "*") for name in sdk}
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
                await self._run(spec.logical_id, what, npm, made)
        return target / "node_modules"

    # ---- the cache

    def _target(self, kind: str, *made_from: str) -> Path:
        digest = hashlib.sha256("\0".join(made_from).encode()).hexdigest()
        return self._cache / kind / digest[:32]

    @contextlib.contextmanager
    def _making(self, target: Path, *, anew: bool = False) -> Iterator[Path | None]:
        """Give a folder to fill, which becomes `target`; None where that is there already, and not wanted `anew`."""
        if target.is_dir() and not anew:
            yield None
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside it, so that links within it still lead to the same.
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix="."))
        try:
            yield made
            if anew:
                shutil.rmtree(target, ignore_errors=True)
            with contextlib.suppress(OSError):
                made.rename(target)
            # If that failed, another gateway has made the same meanwhile.
            if not target.is_dir():
                raise GatewayError(f"cannot make {target}")
        finally:
            shutil.rmtree(made, ignore_errors=True)

    async def _run(
        self,
        logical_id: str,
        what: object,
        command: list[str],
        folder: Path,
        doing: str = "",
        variables: Mapping[str, str] | None = None,
        verbatim: bool = False,
    ) -> None:
        """Run a tool, and show that it works: with `verbatim` all it says. Raises GatewayError with its last words."""
        self._console.progress(f"{doing or f'Installing packages of {logical_id}'} ({what}) …")
        last: deque[str] = deque(maxlen=_LAST_LINES_OF_MAKE if verbatim else _LAST_LINES)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env=variables,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # A line of a tool may be long.
                limit=1 << 20,
            )
        except FileNotFoundError:
            needed = f"{what}" if doing else f"the packages of {what}"
            raise GatewayError(f"{logical_id} needs {needed}, and there is no {command[0]} on the PATH") from None
        try:
            assert process.stdout is not None
            async for raw in process.stdout:
                if line := raw.decode("utf-8", "replace").strip():
                    last.append(line)
                    if verbatim or line.startswith(("Collecting ", "Building ", "Installing ", "added ")):
                        self._console.progress(f"  {line}")
            code = await process.wait()
        finally:
            # Cancelled: nobody waits for what it does.
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if code:
            if verbatim:
                said = "".join(f"\n  {line}" for line in last)
                raise GatewayError(f"{logical_id}: {' '.join(command)} has failed:{said or ' it says nothing'}")
            failed = f"{what} cannot be bundled" if doing else f"the packages of {what} cannot be installed"
            raise GatewayError(f"{logical_id}: {failed}: {_cause(last)}")


def _cause(lines: Iterable[str]) -> str:
    said = list(lines)
    errors = [line for line in said if re.match(r"(?i)(npm |✘ \[)?err(or)?\b", line)]
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


def _sdk_packages(code: Path, *, old: bool) -> set[str]:
    """Return the packages of AWS's SDK that the code names; `old` tells whether version 2 is among the runtime's."""
    found: set[str] = set()
    for folder, folders, files in os.walk(code):
        folders[:] = [name for name in folders if name != "node_modules" and not name.startswith(".")]
        for name in files:
            if name.endswith(_SCRIPTS):
                text = Path(folder, name).read_text(encoding="utf-8", errors="replace")
                found.update(_SDK.findall(text))
                if old:
                    found.update(_OLD_SDK.findall(text))
    return found
