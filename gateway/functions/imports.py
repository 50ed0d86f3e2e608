"""What a Python function imports, and whether that is there: a Makefile may bring what its folder lacks."""

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

# What is imported without any condition begins a line; `_imports` makes sure of it.
_LINE = re.compile(r"^(?:from[ \t]+([\w.]+)[ \t]+import[ \t(]+(.*)|import[ \t]+(.*))$", re.MULTILINE)


def missing(module: str, code: Path, others: Sequence[Path]) -> str:
    """Return the first name that a function's module, or one of its folder that it imports, asks for in vain.

    `module` has dots between its parts. Names are looked for in the folder `code`, in `others`, and in the gateway's
    own interpreter, which runs the functions. Only what is imported without any condition counts.
    """
    # Not where the gateway was started: that is on no function's path.
    installed = [place for place in sys.path if place and Path(place) != Path.cwd()]
    places = [str(code), *map(str, others), *installed]
    # Whether a name is there, and whether that is in the folder: what others import is not looked into.
    found: dict[str, tuple[bool, bool]] = {}
    asked = {module}
    waiting = [module]
    while waiting:
        for file in _files(code, waiting.pop()):
            text = file.read_text(encoding="utf-8", errors="replace")
            for name in _named(text):
                top = name.partition(".")[0]
                if top not in found:
                    found[top] = _found(top, code, places)
                there, own = found[top]
                if own and name not in asked:
                    asked.add(name)
                    waiting.append(name)
                elif not there and _imports(text, top):
                    return top
    return ""


def _found(top: str, code: Path, places: Sequence[str]) -> tuple[bool, bool]:
    if top in sys.stdlib_module_names:
        return True, False
    if (code / top).is_dir() or (code / f"{top}.py").is_file():
        return True, True
    return PathFinder.find_spec(top, places) is not None, False


def _files(code: Path, module: str) -> Iterator[Path]:
    """Yield the files of a folder that are run for a module: its own, or its package's."""
    place = code.joinpath(*module.split("."))
    files = (place / "__init__.py", place.with_name(f"{place.name}.py"))
    yield from (file for file in files if file.is_file())


def _named(text: str) -> Iterator[str]:
    for package, taken, plain in _LINE.findall(text):
        if package and not package.startswith("."):
            yield package
        for item in (taken or plain).partition("#")[0].split(","):
            if name := item.split(" as ")[0].strip(" \t()\\;"):
                # What is taken from a package may be a module of it.
                if plain:
                    yield name
                elif not package.startswith("."):
                    yield f"{package}.{name}"


def _imports(text: str, top: str) -> bool:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        # Python says it as on Lambda.
        return False
    names = (
        name
        for node in tree.body
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    )
    return any(name.partition(".")[0] == top for name in names)
