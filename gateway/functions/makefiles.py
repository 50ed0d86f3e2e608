"""Functions and layers that a Makefile makes, as `sam build` has it do that.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-custom-runtimes.html
https://github.com/aws/aws-lambda-builders/blob/develop/aws_lambda_builders/workflows/custom_make/DESIGN.md
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.template.specs import MakeSpec

# What the builder leaves out of its copy.
_LEFT_OUT = (".aws-sam", ".git")

# What a make tells those that it runs: this gateway may itself have been started by one, whose options are not these.
_OF_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}


def command(make: MakeSpec) -> list[str]:
    """Return the command line."""
    return ["make", "--makefile", str(make.makefile), f"build-{make.logical_id}"]


def variables(artifacts: Path) -> Mapping[str, str]:
    """Return the environment that it runs in: this one, and where to put what is made."""
    own = {name: value for name, value in os.environ.items() if name not in _OF_MAKE}
    return {**own, "ARTIFACTS_DIR": str(artifacts)}


def copied(make: MakeSpec, scratch: Path) -> Path:
    """Copy the source into the folder `scratch`, and return where to run: there, unless that is outside of the source.

    Raises OSError.
    """
    shutil.copytree(
        make.source,
        scratch,
        ignore=shutil.ignore_patterns(*_LEFT_OUT),
        ignore_dangling_symlinks=True,
        dirs_exist_ok=True,
    )
    if make.working is None:
        return scratch
    inside = make.working.is_relative_to(make.source)
    return scratch / make.working.relative_to(make.source) if inside else make.working


def state(make: MakeSpec) -> str:
    """Return what changes with the source: a hash of its files' names, sizes and times.

    Not of what is in them: a source may hold a gigabyte of some compiler's.
    """
    hashed = hashlib.sha256(repr((command(make), make.working)).encode())
    for path in _files(make):
        found = path.stat()
        hashed.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()


def _files(make: MakeSpec) -> Iterator[Path]:
    yield make.makefile
    for folder, folders, files in os.walk(make.source, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in (*_LEFT_OUT, "__pycache__"))
        yield from (path for name in sorted(files) if (path := Path(folder, name)).exists())
