"""Everything a call needs, started on free loopback ports: model server, agent, carrier twin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.calls.line_source import LineSource
from agent.cli.agent_server import AgentServer, model_card, serving_agent
from agent.demo.part import PartProcess
from agent.errors import ConfigurationError
from agent.settings import Settings, load_settings
from agent.tools.registry import ToolRegistry
from connectors.server import listen
from connectors.twilio.config import STATUS_PATH, VOICE_PATH, TwilioConfig
from connectors.twilio.twin import Twin, TwinAccount

Step = Callable[[str], AbstractContextManager[None]]
"""Shows that a part is being started while its block runs."""


@dataclass(frozen=True, slots=True)
class House:
    """A whole installation under one roof.

    Attributes:
        agent: The agent.
        twin: The carrier its calls come through.
        model_url: Realtime endpoint of the model server.
        card: Name and licence of the weights, `model_*`.
        data_dir: Folder of everything that is written.
        lines_file: The lines it answers.
    """

    agent: AgentServer
    twin: Twin
    model_url: str
    card: dict[str, str]
    data_dir: Path
    lines_file: Path

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
                weights = ["--checkpoint", str(checkpoint)] if checkpoint else []
                serve = ["model", "serve", "--port", "0", "--drain-s", "0", *weights]
                model = PartProcess("model server", serve, data_dir / "model.log")
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
        yield House(agent, twin, model_url, card, data_dir, lines)


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
