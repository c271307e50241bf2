"""Where calls find their line: one file that is watched, or the lines that were applied."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from agent.calls.line import Line
from agent.calls.line_plan import revision
from agent.calls.lines import LineCatalog
from agent.calls.lines_file import LineCheck, parse_lines, read_lines
from agent.errors import ConfigurationError, LineNotFoundError
from agent.log import get_logger

log = get_logger(__name__)

REFRESH_S = 1.0
QUERY_LIMIT_S = 5.0

NO_LINES = "There are no lines yet: write a lines file and say `vita lines apply FILE`."


class LineSource(Protocol):
    """The lines that count now. Asking never waits."""

    def find(self, entry: str) -> Line:
        """The line with this number, E.164, or with this call page, `web:NAME`.

        Raises:
            LineNotFoundError: No line has it.
        """
        ...

    def __iter__(self) -> Iterator[Line]: ...

    def __len__(self) -> int: ...


class LineBook:
    """The lines of one file. A changed file counts from the next call on."""

    def __init__(self, path: Path, check: LineCheck) -> None:
        self._path = path
        self._check = check
        self._read_at = _changed_at(path)
        self._lines = _Index(read_lines(path, check))

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def find(self, entry: str) -> Line:
        """The line with this number, E.164, or with this call page, `web:NAME`.

        Raises:
            LineNotFoundError: No line has it.
        """
        self._reload_when_changed()
        return self._lines.find(entry, f"add it to {self._path}")

    def _reload_when_changed(self) -> None:
        changed_at = _changed_at(self._path)
        if changed_at == self._read_at:
            return
        self._read_at = changed_at
        try:
            self._lines = _Index(read_lines(self._path, self._check))
        except ConfigurationError as error:
            log.error("lines_not_reloaded", reason=str(error))  # noqa: TRY400 - the sentence says it all
            return
        log.info("lines_reloaded", lines=len(self._lines))


def load_lines(path: Path, check: LineCheck = lambda _: None) -> LineBook:
    """Read a lines file.

    Args:
        path: The YAML file.
        check: Called for every line read, now and later; may raise `ConfigurationError`. A changed
            file with an error in it is logged and the lines stay as they were.

    Raises:
        ConfigurationError: The file is missing, is not YAML, or an entry is wrong; the sentences
            name row, line and key.
    """
    return LineBook(path, check)


class AppliedLines:
    """The applied lines, in memory, read again in the background.

    While the database is away the lines stay as they are. A copy of them under the data folder is
    what a worker starts with that cannot reach the database.

    A line this program cannot use (a newer one stored it) is logged; its last version that worked
    goes on, or it is not answered.
    """

    def __init__(self, catalog: LineCatalog, cache: Path, check: LineCheck) -> None:
        self._catalog = catalog
        self._cache = cache
        self._check = check
        self._lines = _Index(())
        self._revision = ""
        self._away = False

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def find(self, entry: str) -> Line:
        """The line with this number, E.164, or with this call page, `web:NAME`.

        Raises:
            LineNotFoundError: No line has it.
        """
        return self._lines.find(entry, "add it to your lines file and say `vita lines apply FILE`")

    async def start(self) -> None:
        """Load the lines once: from the database, else from the copy of another time."""
        await self._try_refresh()
        if self._away:
            self._lines = _Index(await asyncio.to_thread(self._read_cache))
        if not self._lines:
            log.warning("no_lines", reason=NO_LINES)

    async def run(self) -> None:
        """Keep the lines fresh, for ever."""
        while True:
            await asyncio.sleep(REFRESH_S)
            await self._try_refresh()

    async def _try_refresh(self) -> None:
        try:
            async with asyncio.timeout(QUERY_LIMIT_S):
                await self._refresh()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            if not self._away:
                log.warning("lines_not_refreshed", reason=type(error).__name__)
            self._away = True
        else:
            self._away = False

    async def _refresh(self) -> None:
        if await self._catalog.revision() == self._revision:
            return
        applied = await self._catalog.applied()
        lines: list[Line] = []
        for each in applied:
            try:
                line = each.line()
                self._check(line)
            except ConfigurationError as error:
                log.error("line_not_taken", line=each.entry, reason=str(error))  # noqa: TRY400 - the sentence says it all
                if (known := self._lines.by_entry(each.entry)) is not None:
                    lines.append(known)
            else:
                lines.append(line)
        self._lines = _Index(lines)
        self._revision = revision({each.entry: each.version for each in applied})
        log.info("lines_taken", lines=len(lines))
        await asyncio.to_thread(self._write_cache, lines)

    def _read_cache(self) -> list[Line]:
        try:
            entries: list[Any] = json.loads(self._cache.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            log.warning("copy_of_lines_not_read", reason=str(error))
            return []
        lines: list[Line] = []
        for entry in entries:
            try:
                lines += parse_lines({"lines": [entry]}, self._check)
            except ConfigurationError as error:
                log.error("line_not_taken", reason=str(error))  # noqa: TRY400 - the sentence says it all
        return lines

    def _write_cache(self, lines: Iterable[Line]) -> None:
        entries = [line.model_dump(mode="json") for line in lines]
        fresh = self._cache.with_suffix(f".{os.getpid()}.new")
        try:
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(entries), encoding="utf-8")
            fresh.replace(self._cache)
        except OSError as error:
            log.warning("copy_of_lines_not_written", reason=str(error))


class _Index:
    """Lines by everything callers reach them by."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = tuple(lines)
        self._by_address = {address: line for line in self._lines for address in line.addresses}

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def by_entry(self, entry: str) -> Line | None:
        return self._by_address.get(entry)

    def find(self, entry: str, advice: str) -> Line:
        line = self._by_address.get(entry)
        if line is None:
            kind = "call page" if entry.startswith("web:") else "number"
            raise LineNotFoundError(f"No line has the {kind} {entry}: {advice}.")
        return line


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
