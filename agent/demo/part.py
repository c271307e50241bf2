"""A part of an installation as a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.errors import VitaError
from agent.tasks import TaskOwner

START_LIMIT_S = 180.0
STOP_LIMIT_S = 8.0
_ANSWERS_AT = " answers at "


class PartNotStartedError(VitaError):
    """A part's process ended, or did not answer in time."""

    code = "part_not_started"

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class PartProcess:
    """A `vita` command as a process of its own, for as long as the block runs.

    Args:
        name: What it is, as in "the model server".
        command: Its words after `vita`. It prints a line that ends in ` answers at ADDRESS`.
        log: File that gets what the process writes.
        environment: What it is started with; this process's own when None.

    Raises:
        PartNotStartedError: On entry; with the process's own sentence and exit code if it ended.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = name
        self._command = command
        self._log = log
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._tasks = TaskOwner("part")
        self.url = ""
        """Where it answers."""

    async def __aenter__(self) -> Self:
        program = "from agent.cli.main import app; app()"
        with self._log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                program,
                *self._command,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours: the call in progress is ended first
            )
        self._process = process
        try:
            async with asyncio.timeout(START_LIMIT_S):
                self.url = await self._read_address(process)
        except TimeoutError as error:
            await stop_process(process)
            raise PartNotStartedError(
                f"The {self._name} did not answer within {START_LIMIT_S:.0f} s: see {self._log}.", 1
            ) from error
        except BaseException:
            await stop_process(process)
            raise
        _ = self._tasks.spawn(self._drain(process), name="output")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            await stop_process(self._process)
        await self._tasks.close()

    async def _read_address(self, process: asyncio.subprocess.Process) -> str:
        while line := await self._line(process):
            if _ANSWERS_AT in line:
                return line.rpartition(" ")[2].strip()
        code = await process.wait()
        said = self._log.read_text(errors="replace").strip().splitlines()
        sentence = said[-1] if said else f"The {self._name} ended with exit code {code}."
        raise PartNotStartedError(sentence, code or 1)

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        """A full pipe would stop the process."""
        while await self._line(process):
            pass

    async def _line(self, process: asyncio.subprocess.Process) -> str:
        return (await process.stdout.readline()).decode() if process.stdout else ""


async def stop_process(process: asyncio.subprocess.Process) -> None:
    """End a process: asked first, and after a while not any more."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
