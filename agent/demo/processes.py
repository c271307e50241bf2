"""Everything a call needs, started on free loopback ports: model server, agent, carrier twin."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.calls.line_source import LineSource
from agent.cli.agent_server import AgentServer, model_card, serving_agent
from agent.errors import ConfigurationError, ModelUnavailableError
from agent.settings import Settings, load_settings
from agent.tasks import TaskOwner
from agent.tools.registry import ToolRegistry
from connectors.server import listen
from connectors.twilio.config import STATUS_PATH, VOICE_PATH, TwilioConfig
from connectors.twilio.twin import Twin, TwinAccount

START_LIMIT_S = 180.0
STOP_LIMIT_S = 8.0
_ANSWERS_AT = " answers at ws://"

Step = Callable[[str], AbstractContextManager[None]]
"""Shows that a part is being started while its block runs."""


class ModelNotStartedError(ModelUnavailableError):
    """The model server's process ended, or did not answer in time."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class ModelProcess:
    """`vita model serve` as a process of its own, for as long as the block runs.

    Args:
        log: File that gets what the process writes.
        checkpoint: Folder of the weights; vita-tiny when None.

    Raises:
        ModelNotStartedError: On entry; with the process's own sentence and exit code if it ended.
    """

    def __init__(self, log: Path, checkpoint: Path | None = None) -> None:
        self._log = log
        self._options = ["--checkpoint", str(checkpoint)] if checkpoint else []
        self._process: asyncio.subprocess.Process | None = None
        self._tasks = TaskOwner("model")
        self.url = ""
        """Its Realtime endpoint."""

    async def __aenter__(self) -> Self:
        program = "from agent.cli.main import app; app()"
        command = ["-c", program, "model", "serve", "--port", "0", "--drain-s", "0"]
        with self._log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                *self._options,
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
            await self._stop(process)
            raise ModelNotStartedError(
                f"The model server did not answer within {START_LIMIT_S:.0f} s: see {self._log}.", 1
            ) from error
        except BaseException:
            await self._stop(process)
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
            await self._stop(self._process)
        await self._tasks.close()

    async def _read_address(self, process: asyncio.subprocess.Process) -> str:
        while line := await self._line(process):
            if _ANSWERS_AT in line:
                return line.rpartition(" ")[2].strip()
        code = await process.wait()
        said = self._log.read_text(errors="replace").strip().splitlines()
        sentence = said[-1] if said else f"The model server ended with exit code {code}."
        raise ModelNotStartedError(sentence, code or 1)

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        """A full pipe would stop the process."""
        while await self._line(process):
            pass

    async def _line(self, process: asyncio.subprocess.Process) -> str:
        return (await process.stdout.readline()).decode() if process.stdout else ""

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@dataclass(frozen=True, slots=True)
class House:
    """A whole installation under one roof.

    Attributes:
        agent: The agent.
        twin: The carrier its calls come through.
        model_url: Realtime endpoint of the model server.
        card: Name and licence of the weights, `model_*`.
        data_dir: Folder of everything that is written.
    """

    agent: AgentServer
    twin: Twin
    model_url: str
    card: dict[str, str]
    data_dir: Path

    @property
    def lines(self) -> LineSource:
        """The phone lines."""
        return self.agent.application.lines


@asynccontextmanager
async def open_house(
    data_dir: Path,
    lines: Path,
    *,
    step: Step,
    model_url: str = "",
    checkpoint: Path | None = None,
    registry: ToolRegistry | None = None,
) -> AsyncIterator[House]:
    """Start everything; stop it in the opposite order when the block is left.

    Args:
        data_dir: Folder for call log, recordings and logs.
        lines: The lines file.
        step: Shows progress.
        model_url: A model server that runs already; one is started when empty.
        checkpoint: Weights for the one that is started; vita-tiny when None.
        registry: The tools; all installed plugins when None.

    Raises:
        VitaError: A part cannot be started; the sentence says why.
    """
    data_dir = _made(data_dir)
    async with AsyncExitStack() as stack:
        with step("model server"):
            if not model_url:
                model = ModelProcess(data_dir / "model.log", checkpoint)
                model_url = (await stack.enter_async_context(model)).url
            card = await model_card(model_url)
        bound = stack.enter_context(listen("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        account = TwinAccount()
        with step("carrier twin"):
            twin = await stack.enter_async_context(
                Twin(url + VOICE_PATH, status_url=url + STATUS_PATH, account=account)
            )
        with step("session store, call log, agent"):
            twilio = TwilioConfig(
                account_sid=account.sid,
                auth_token=account.auth_token,
                public_url=url,
                api_base_url=twin.url,
            )
            agent = await stack.enter_async_context(
                serving_agent(
                    _settings(data_dir, lines, model_url),
                    twilio,
                    bound,
                    about=card,
                    registry=registry,
                )
            )
        yield House(agent, twin, model_url, card, data_dir)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The data folder {folder} cannot be made: {error.strerror}; give another."
        ) from error
    return folder.resolve()


def _settings(data_dir: Path, lines: Path, model_url: str) -> Settings:
    """Everything embedded, whatever the environment says."""
    return load_settings(
        profile="dev",
        data_dir=data_dir,
        redis_url=None,
        database_url=None,
        lines_file=lines,
        model_url=model_url,
        twilio_api_base_url=None,
    )
