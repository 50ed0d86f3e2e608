"""What a `requirements.txt` asks for, and whether that is here already."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

_COMMENT = re.compile(r"(^|\s)#.*$")
_INCLUDED = re.compile(r"(?:-r|-c|--requirement|--constraint)[ =]?\s*(\S+)")


def requirement_lines(listed: Path) -> Iterator[str]:
    """Yield the lines of a requirements file and of those that it includes, without comments and continuations.

    https://pip.pypa.io/en/stable/reference/requirements-file-format/
    """
    text = listed.read_text(encoding="utf-8-sig")
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = _COMMENT.sub("", line).strip()
        included = _INCLUDED.fullmatch(line)
        if included and (other := listed.parent / included[1]).is_file():
            yield from requirement_lines(other)
        elif line:
            yield line


def satisfied(lines: Iterable[str], folders: Sequence[Path]) -> bool:
    """Tell whether all that is required is in `folders` or in the gateway's own interpreter.

    The interpreter's packages are taken to fit each other, so that what a requirement requires in turn is looked at
    for its extras alone.
    """
    path = [*map(str, folders), *sys.path]
    try:
        wanted = [Requirement(re.split(r"\s--", line)[0]) for line in lines if not line.startswith("-")]
    except InvalidRequirement:
        # An address, or a folder.
        return False
    return all(_satisfied(requirement, path, "") for requirement in wanted)


def _satisfied(requirement: Requirement, path: list[str], extra: str) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
        return True
    distribution = next(iter(metadata.distributions(name=requirement.name, path=path)), None)
    if requirement.url is not None or distribution is None:
        return False
    if not requirement.specifier.contains(distribution.version, prereleases=True):
        return False
    inner = [Requirement(text) for text in distribution.requires or [] if "extra" in text]
    return all(_satisfied(part, path, asked) for asked in requirement.extras for part in inner if _is_for(part, asked))


def _is_for(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})
