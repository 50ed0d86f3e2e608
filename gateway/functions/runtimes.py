"""How a function's processes are started: by its runtime, with what Lambda puts on the runtime's search paths.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
"""

import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib import machinery
from pathlib import Path

from gateway.functions import bootstrap
from gateway.template.specs import FunctionSpec

_START = Path(bootstrap.__file__).resolve()
_NODE_START = _START.with_name("bootstrap.mjs")
_NODE_MODULES = _START.with_name("modules.mjs")
_NODE_EXTENSIONS = ("", ".js", ".mjs", ".cjs")
# The processor in an ELF file's header.
_MACHINES = {62: ("x86_64", "amd64"), 183: ("arm64", "aarch64")}

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def is_python(spec: FunctionSpec) -> bool:
    """Whether the gateway's own interpreter runs it, whatever minor version the template asks for."""
    return spec.runtime.startswith("python3")


def is_node(spec: FunctionSpec) -> bool:
    """Whether Node runs it."""
    return spec.runtime.startswith("nodejs")


def fault(spec: FunctionSpec) -> str:
    """Return why a function cannot be run on this machine, empty where it can. Its code is in a folder."""
    if is_python(spec):
        return ""
    if is_node(spec):
        if shutil.which("node") is None:
            return f"function with runtime {spec.runtime}, and there is no node on the PATH"
        # A module that is missing Node names itself, as on Lambda.
        return ""
    if spec.runtime.startswith("provided"):
        return _custom(spec.code / "bootstrap")
    return f"function with runtime {spec.runtime or 'unknown'}; --lambda-endpoint can run it"


def is_there(spec: FunctionSpec) -> bool:
    """Tell whether the module that a function begins with is in its folder or its layers: it can run as it is.

    So is what no build would let this machine run.
    """
    if is_python(spec):
        module = python_module(spec.handler).replace(".", "/")
        folders = [spec.code, *spec.layers, *(layer / "python" for layer in spec.layers)]
        return any(
            _has_module(folder / module, machinery.all_suffixes()) or (folder / module).is_dir() for folder in folders
        )
    if is_node(spec):
        return _has_module(spec.code / node_module(spec.handler), _NODE_EXTENSIONS)
    return not spec.runtime.startswith("provided") or not _custom(spec.code / "bootstrap")


def _has_module(module: Path, endings: Sequence[str]) -> bool:
    return any(module.with_name(module.name + ending).is_file() for ending in endings)


def python_module(handler: str) -> str:
    """Return the module in a Python handler: `folder/module.function` and `folder.module.function` are the same."""
    return handler.rpartition(".")[0].replace("/", ".")


def node_module(handler: str) -> str:
    """Return the module in a Node handler, which is `module.function` or `folder/module.outer.function`."""
    folder, slash, name = handler.rpartition("/")
    return folder + slash + name.partition(".")[0]


def _custom(program: Path) -> str:
    if not program.is_file():
        return "function with a runtime of its own, and there is no file bootstrap in its folder: build it first"
    if not os.access(program, os.X_OK):
        return f"function with a runtime of its own, and {program} is not executable"
    with program.open("rb") as file:
        head = file.read(20)
    if head[:4] == b"\x7fELF":
        machine = _MACHINES.get(int.from_bytes(head[18:20], "little"), ())
        if sys.platform != "linux" or platform.machine().lower() not in machine:
            return f"function with a runtime of its own, whose bootstrap is for {'/'.join(machine) or 'another'} Linux"
    return ""


def command(spec: FunctionSpec) -> list[str]:
    """Return the command line of a function's process.

    All begin as this interpreter, which ties their life to the gateway's; those of other runtimes become another
    program then.
    """
    if not is_node(spec) and not spec.runtime.startswith("provided"):
        return [sys.executable, str(_START), spec.handler]
    # Nothing of the function's environment is for this interpreter.
    start = [sys.executable, "-I", "-S", str(_START), "--"]
    if is_node(spec):
        # The function's own PATH may be any.
        node = shutil.which("node") or "node"
        return [*start, node, "--import", _NODE_MODULES.as_uri(), str(_NODE_START), spec.handler]
    return [*start, str(spec.code / "bootstrap")]


def search_paths(spec: FunctionSpec, extra: str | None, given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that lead a function to its packages and layers, before what `given` has in them.

    The code's own folder comes first, as on Lambda; `extra` is another folder of Python modules. A layer's files stay
    where they are: what Lambda has on a search path under /opt is found, what a function opens at /opt is not.
    https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
    """
    packages = list(map(str, spec.packages))
    found = {"PATH": _inside(spec.layers, "bin"), "LD_LIBRARY_PATH": _inside(spec.layers, "lib")}
    if is_python(spec):
        found["PYTHONPATH"] = [str(spec.code), *([extra] if extra else []), *packages]
    elif is_node(spec):
        # [D] The code's folder is among them.
        found["NODE_PATH"] = [*packages, str(spec.code)]
    return {
        name: os.pathsep.join([*folders, *([given[name]] if given.get(name) else [])])
        for name, folders in found.items()
        if folders
    }


def _inside(layers: tuple[Path, ...], name: str) -> list[str]:
    """Return the folders of a name in layers, the topmost one first."""
    return [str(layer / name) for layer in reversed(layers) if (layer / name).is_dir()]
