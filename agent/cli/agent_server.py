"""The agent as one server: its desk behind the carriers' webhooks and media socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

import httpx

from agent import metrics
from agent.api import (
    Admission,
    CallControl,
    CallDesk,
    CallOutcome,
    Entrance,
    IncomingCall,
    MediaLeg,
    NextStep,
)
from agent.api_http.app import PATH, api_parts, build_api
from agent.bootstrap import Application, build
from agent.clock import SystemClock
from agent.errors import CapacityError, ConfigurationError, ModelUnavailableError, VitaError
from agent.log import get_logger
from agent.models.load import http_address
from agent.pipeline.runner import PipelineRunner
from agent.settings import Settings
from agent.tools.registry import ToolRegistry
from connectors.app import build_app
from connectors.server import AppServer
from connectors.twilio.config import TwilioConfig
from connectors.twilio.dialler import TwilioDialler
from connectors.webrtc.config import WebCallConfig
from connectors.webrtc.ice import IceConfig, split_urls

log = get_logger(__name__)

CARD_TIMEOUT_S = 3.0
TWILIO_SETTINGS = ("VITA_TWILIO_ACCOUNT_SID", "VITA_TWILIO_AUTH_TOKEN", "VITA_PUBLIC_URL")


class Door:
    """The desk as carriers see it: once closed, it takes no new call and sees the others through."""

    def __init__(self, desk: CallDesk) -> None:
        self._desk = desk
        self.closed = False

    def entrance(self, to_number: str) -> Entrance:
        """What to tell a caller of a line before the call."""
        return self._desk.entrance(to_number)

    async def admit(self, call: IncomingCall) -> Admission:
        """Accept a call.

        Raises:
            CapacityError: The door is closed, or all places are taken.
            LineNotFoundError: No line has this number.
            SessionStoreError: Redis is out of reach.
        """
        try:
            if self.closed:
                raise CapacityError("The agent is about to stop and takes no new call.")
            return await self._desk.admit(call)
        except VitaError as error:
            metrics.CALLS_REFUSED.labels(error.code).inc()
            raise

    async def claim(self, token: str, carrier_call_id: str) -> str:
        """Exchange a one-use token for its `call_id`."""
        return await self._desk.claim(token, carrier_call_id)

    async def serve(self, call_id: str, leg: MediaLeg, control: CallControl) -> CallOutcome:
        """Run the call over its media leg."""
        return await self._desk.serve(call_id, leg, control)

    async def answered_by(self, carrier: str, carrier_call_id: str, verdict: str) -> bool:
        """Who answered an outbound call; True: the carrier should hang up."""
        return await self._desk.answered_by(carrier, carrier_call_id, verdict)

    async def message_left(
        self, carrier: str, carrier_call_id: str, url: str, duration_s: int
    ) -> None:
        """The caller left a message with the carrier."""
        await self._desk.message_left(carrier, carrier_call_id, url, duration_s)

    async def ended(self, carrier: str, carrier_call_id: str, reason: str) -> None:
        """The carrier reports that the call is over."""
        await self._desk.ended(carrier, carrier_call_id, reason)

    async def next_step(self, carrier: str, carrier_call_id: str, *, dialled: str = "") -> NextStep:
        """What the carrier should do now that the media stream has ended."""
        return await self._desk.next_step(carrier, carrier_call_id, dialled=dialled)


@dataclass(frozen=True, slots=True)
class AgentServer:
    """A running agent. `url` is where it listens."""

    application: Application
    door: Door
    url: str

    async def drain(self, limit_s: float) -> bool:
        """Take no new call and wait for the running ones. False: some still run after `limit_s`."""
        self.door.closed = self.application.health.draining = True
        slots = self.application.desk.slots
        try:
            async with asyncio.timeout(limit_s):
                while slots.in_use:  # noqa: ASYNC110 - a slot may also run out by itself
                    await asyncio.sleep(0.1)
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def serving_agent(
    settings: Settings,
    twilio: TwilioConfig | None,
    bound: socket.socket,
    *,
    about: Mapping[str, str] = MappingProxyType({}),
    registry: ToolRegistry | None = None,
) -> AsyncIterator[AgentServer]:
    """Serve the agent on a bound socket until the block is left.

    Args:
        settings: The installation's settings.
        twilio: The Twilio account whose calls are answered; None when only browsers call.
        bound: A socket from `connectors.server.listen`.
        about: Facts for `/healthz`, such as the licence of the loaded weights.
        registry: The tools; all installed plugins when absent.

    Raises:
        ConfigurationError: A setting, the lines, the tools or the database are wrong.
        SessionStoreError: Redis does not answer.
    """
    key = settings.model_api_key.get_secret_value()
    runner = PipelineRunner(settings.model_urls[0], key, SystemClock())
    async with AsyncExitStack() as stack:
        dialler = None
        if twilio is not None:
            dialler = await stack.enter_async_context(aclosing(TwilioDialler(twilio)))
        building = build(settings, runner=runner, dialler=dialler, registry=registry)
        application = await stack.enter_async_context(building)
        _need_a_way_in(application, twilio)
        door = Door(application.desk)
        app = build_app(
            door,
            twilio,
            web_config(settings),
            checks=application.health,
            about=about,
            metrics_token=settings.metrics_token.get_secret_value(),
            mounts={PATH: build_api(api_parts(application))},
        )
        async with AppServer(app, bound=bound, trusted_proxies=settings.trusted_proxies) as server:
            yield AgentServer(application, door, server.url)


def _need_a_way_in(application: Application, twilio: TwilioConfig | None) -> None:
    """Without a carrier, calls come from browsers or not at all."""
    if twilio is not None:
        return
    if not len(application.lines):
        log.warning("no_lines_yet")  # they may be applied at any time
    elif not any(line.web for line in application.lines):
        raise ConfigurationError(
            f"No call can come in: set {', '.join(TWILIO_SETTINGS)} to answer a phone number, "
            "give a line a `web` name to answer browsers, or try the agent with a carrier twin: "
            "`vita twin` and `vita serve --twin URL`."
        )
    for line in application.lines:
        if line.number:
            log.warning("number_without_carrier", line=line.entry, business=line.business)


def web_config(settings: Settings) -> WebCallConfig:
    """What the call pages must know.

    Raises:
        ConfigurationError: A setting is wrong; the sentence names it.
    """
    return WebCallConfig(
        public_url=settings.public_url,
        ice=IceConfig(
            stun_urls=split_urls(settings.stun_urls),
            turn_urls=split_urls(settings.turn_urls),
            turn_secret=settings.turn_secret.get_secret_value(),
            turn_ttl_s=settings.turn_ttl_s,
        ),
        sites=split_urls(settings.call_page_sites),
        calls_per_minute=settings.web_calls_per_minute,
    )


def twilio_config(settings: Settings) -> TwilioConfig:
    """The Twilio account of the settings.

    Raises:
        ConfigurationError: A setting is missing or wrong; the sentence names it.
    """
    token = settings.twilio_auth_token.get_secret_value()
    values = (settings.twilio_account_sid, token, settings.public_url)
    missing = [name for name, value in zip(TWILIO_SETTINGS, values, strict=True) if not value]
    if missing:
        raise ConfigurationError(
            f"Set {', '.join(missing)} to answer Twilio's calls, "
            "or try the agent with a carrier twin: `vita twin` and `vita serve --twin URL`."
        )
    return TwilioConfig(
        account_sid=settings.twilio_account_sid,
        auth_token=token,
        public_url=settings.public_url,
        api_base_url=settings.twilio_api_base_url,
    )


async def model_card(*model_urls: str) -> dict[str, str]:
    """Name and licence of the weights that the first server which answers has loaded.

    A Realtime server of another make tells nothing: the answer is empty then.

    Raises:
        ModelUnavailableError: Nothing answers at these addresses.
    """
    async with httpx.AsyncClient(timeout=CARD_TIMEOUT_S, trust_env=False) as client:
        for url in model_urls:
            try:
                answer = await client.get(http_address(url, "/healthz"))
                card = answer.json()["model"] if answer.is_success else {}
            except httpx.HTTPError as error:
                log.debug("model_card_not_read", reason=repr(error))
                continue
            except (ValueError, KeyError, TypeError):
                return {}
            return {f"model_{key}": str(value) for key, value in card.items()}
    raise ModelUnavailableError(
        f"No model server answers at {', '.join(model_urls)}: start one with `vita model serve`, "
        "or set VITA_MODEL_URL."
    )
