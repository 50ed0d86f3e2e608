"""Runs functions anew when their code changes, while their clients stay connected."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

from watchfiles import BaseFilter, Change, DefaultFilter, awatch

from gateway.console import Console

# Milliseconds: changes that come in such steps are one, up to the longest.
_STEP = 50
_LONGEST = 500
# What is installed from these is not installed anew.
_PACKAGES = ("requirements.txt", "package.json", "package-lock.json")
_SHOWN = 3


class _Matters(DefaultFilter):
    """Leaves out what no function loads: caches, version control, installed packages, editors' own files."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, "node_modules", "site-packages", ".ruff_cache", ".aws-sam")

    def __init__(self, folders: Iterable[Path]) -> None:
        super().__init__()
        self._folders = list(folders)

    def __call__(self, change: Change, path: str) -> bool:
        """Tell whether a change matters; the folders themselves may lie wherever they do."""
        for folder in self._folders:
            if Path(path).is_relative_to(folder):
                return super().__call__(change, str(Path(path).relative_to(folder)))
        return False


class Reloader:
    """Watches folders of code, by the logical id of the function that uses them, and the templates.

    `reload(functions)` is called with the ids of those whose code has changed.
    """

    def __init__(
        self,
        folders: Mapping[str, Sequence[Path]],
        templates: Sequence[Path],
        reload: Callable[[list[str]], Awaitable[None]],
        console: Console,
    ) -> None:
        self._folders = {
            function: [folder.resolve() for folder in used if folder.is_dir()] for function, used in folders.items()
        }
        self._templates = {template.resolve() for template in templates}
        self._reload = reload
        self._console = console
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Watch from now on."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Watch no more."""
        self._stop.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        folders = sorted({folder for used in self._folders.values() for folder in used})
        try:
            await asyncio.gather(
                self._watch(folders, _Matters(folders), self._code_changed, recursive=True),
                self._watch(
                    sorted({path.parent for path in self._templates}),
                    BaseFilter(),
                    self._template_changed,
                    recursive=False,
                ),
            )
        except OSError as error:
            self._console.note(f"Changed code is not seen: {error} (--no-reload says this no more)")

    async def _watch(
        self,
        folders: Sequence[Path],
        matters: BaseFilter,
        changed: Callable[[set[Path]], Awaitable[None]],
        *,
        recursive: bool,
    ) -> None:
        if not folders:
            return
        async for changes in awatch(
            *folders,
            watch_filter=matters,
            debounce=_LONGEST,
            step=_STEP,
            stop_event=self._stop,
            recursive=recursive,
            ignore_permission_denied=True,
        ):
            await changed({Path(path) for _, path in changes})

    async def _code_changed(self, paths: set[Path]) -> None:
        paths = {path for path in paths if path not in self._templates and not path.is_dir()}
        if packages := [path for path in paths if path.name in _PACKAGES]:
            self._console.note(f"{_named(packages)} has changed: restart the gateway to install what is new")
        functions = [
            function
            for function, folders in self._folders.items()
            if any(path.is_relative_to(folder) for path in paths for folder in folders)
        ]
        if functions:
            # Editors make files that are gone at once.
            there = [path for path in paths if path.exists()] or paths
            self._console.progress(f"Changed: {_named(there)}; reloading {', '.join(functions)}")
            await self._reload(functions)

    async def _template_changed(self, paths: set[Path]) -> None:
        if changed := self._templates & paths:
            self._console.note(f"{_named(changed)} has changed: restart the gateway to apply it")


def _named(paths: Iterable[Path]) -> str:
    names = sorted({path.name for path in paths})
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
