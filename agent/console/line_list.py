"""The lines that count: those that were applied, or those of the file the agent watches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from agent.calls.lines import AppliedLine, LineCatalog, LineVersion
from agent.calls.lines_file import read_lines
from agent.supervisor.access import Actor


class LineList:
    """Lists lines and their versions. Needs `read`."""

    def __init__(self, catalog: LineCatalog, file: Path | None) -> None:
        self._catalog = catalog
        self._file = file

    @property
    def file(self) -> str:
        """Name of the file the agent watches; empty when applied lines count."""
        return self._file.name if self._file is not None else ""

    async def applied(self, actor: Actor) -> Sequence[AppliedLine]:
        """The lines that count. Those of a file have version 0.

        Raises:
            PermissionDeniedError: The actor may not.
            ConfigurationError: The file is missing or wrong.
        """
        actor.need("read")
        if self._file is None:
            return await self._catalog.applied()
        return await asyncio.to_thread(_of_file, self._file)

    async def versions(self, actor: Actor, entry: str) -> Sequence[LineVersion]:
        """All versions of an applied line, newest first.

        Raises:
            PermissionDeniedError: The actor may not.
        """
        actor.need("read")
        return [] if self._file is not None else await self._catalog.versions(entry)


def _of_file(path: Path) -> list[AppliedLine]:
    lines = read_lines(path, lambda _: None)
    since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return [
        AppliedLine(line.entry, 0, since, path.name, line.model_dump(mode="json")) for line in lines
    ]
