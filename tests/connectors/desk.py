"""A desk without an agent behind it: admits, checks tokens, and plays simple roles on the leg."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from agent import mulaw
from agent.api import (
    Admission,
    CallControl,
    CallOutcome,
    DigitPressed,
    IncomingCall,
    LegEvent,
    MarkPlayed,
    MediaFrame,
    MediaLeg,
    NextStep,
)
from agent.errors import CapacityError, LineNotFoundError, TokenRejectedError
from connectors.app import build_app
from connectors.server import AppServer, listen
from connectors.twilio.config import STATUS_PATH, VOICE_PATH, TwilioConfig
from connectors.twilio.twin import Twin, TwinAccount
from connectors.twilio.twin.audio import tone

LINE = "+15550100"
HUMAN = "+15550199"

Role = Callable[["EchoDesk", MediaLeg, CallControl], Awaitable[CallOutcome]]


async def echo(desk: EchoDesk, leg: MediaLeg, control: CallControl) -> CallOutcome:
    """Greet with a tone, then say everything back. Keys: 0 clear, 1 transfer, 9 hang up, 5 close."""
    await leg.send_audio(mulaw.encode(tone(300)))
    await leg.send_mark("greeted")
    async for event in leg.events():
        desk.events.append(event)
        if isinstance(event, MediaFrame):
            await leg.send_audio(event.payload)
        elif isinstance(event, DigitPressed):
            if event.digit == "0":
                await leg.send_audio(mulaw.encode(tone(20_000)))
                await leg.send_mark("never heard")
                await leg.clear()
            elif event.digit == "1":
                await control.transfer(HUMAN)
            elif event.digit == "9":
                await control.hang_up()
            elif event.digit == "5":
                await leg.close()
                return "agent_ended"
    return "caller_hung_up"


async def quiet(desk: EchoDesk, leg: MediaLeg, control: CallControl) -> CallOutcome:
    """Say nothing, keep everything."""
    async for event in leg.events():
        desk.events.append(event)
    return "caller_hung_up"


@dataclass
class EchoDesk:
    """One line, one-use tokens, one role."""

    role: Role = echo
    token_ttl_s: float = 60.0
    full: bool = False
    steps: list[NextStep] = field(default_factory=list)
    admitted: list[IncomingCall] = field(default_factory=list)
    endings: list[tuple[str, str]] = field(default_factory=list)
    verdicts: list[tuple[str, str]] = field(default_factory=list)
    messages: list[tuple[str, str, int]] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)
    outcomes: list[CallOutcome] = field(default_factory=list)
    events: list[LegEvent] = field(default_factory=list)
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def admit(self, call: IncomingCall) -> Admission:
        if call.to_number != LINE:
            raise LineNotFoundError(f"no line has the number {call.to_number}")
        if self.full:
            raise CapacityError("no room for another call")
        self.admitted.append(call)
        token = secrets.token_urlsafe(16)
        expires = asyncio.get_running_loop().time() + self.token_ttl_s
        self._tokens[token] = (call.carrier_call_id, expires)
        return Admission(f"call-{call.carrier_call_id}", token, self.token_ttl_s)

    async def claim(self, token: str, carrier_call_id: str) -> str:
        owner, expires = self._tokens.pop(token, ("", 0.0))
        if owner != carrier_call_id or asyncio.get_running_loop().time() > expires:
            raise TokenRejectedError("the token does not open this stream")
        return f"call-{carrier_call_id}"

    async def serve(self, call_id: str, leg: MediaLeg, control: CallControl) -> CallOutcome:
        outcome = await self.role(self, leg, control)
        self.outcomes.append(outcome)
        return outcome

    async def answered_by(self, carrier: str, carrier_call_id: str, verdict: str) -> bool:
        self.verdicts.append((carrier_call_id, verdict))
        return verdict.startswith("machine")

    async def message_left(
        self, carrier: str, carrier_call_id: str, url: str, duration_s: int
    ) -> None:
        self.messages.append((carrier_call_id, url, duration_s))

    async def ended(self, carrier: str, carrier_call_id: str, reason: str) -> None:
        self.endings.append((carrier_call_id, reason))

    async def next_step(self, carrier: str, carrier_call_id: str, *, dialled: str = "") -> NextStep:
        if dialled:
            self.dialled.append(dialled)
            return NextStep("reconnect")
        return self.steps.pop(0) if self.steps else NextStep("hang_up")

    @property
    def marks(self) -> list[str]:
        return [event.name for event in self.events if isinstance(event, MarkPlayed)]

    @property
    def frames(self) -> list[MediaFrame]:
        return [event for event in self.events if isinstance(event, MediaFrame)]


@dataclass(frozen=True)
class Agent:
    """A served desk and the twin whose calls it gets."""

    desk: EchoDesk
    twin: Twin
    config: TwilioConfig


@asynccontextmanager
async def agent_and_twin(
    desk: EchoDesk | None = None,
    account: TwinAccount | None = None,
    config: Callable[[TwilioConfig], TwilioConfig] = lambda config: config,
    retries: str = "",
    **twin_settings: object,
) -> AsyncIterator[Agent]:
    """A whole service on loopback: real server, real twin, real sockets.

    `retries` is how the carrier retries the voice webhook, as a fragment of its address.
    """
    desk = desk or EchoDesk()
    account = account or TwinAccount.fresh()
    bound = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    settings = {
        "voice_url": url + VOICE_PATH + retries,
        "status_url": url + STATUS_PATH,
    } | twin_settings
    async with Twin(account=account, **settings) as twin:  # type: ignore[arg-type]
        twilio = config(
            TwilioConfig(
                account_sid=account.sid,
                auth_token=account.auth_token,
                shared_keys={account.shared_key_id: account.shared_key_secret},
                public_url=url,
                api_base_url=twin.url,
            )
        )
        async with AppServer(build_app(desk, twilio), bound=bound):
            yield Agent(desk, twin, twilio)


def with_limits(**limits: float) -> Callable[[TwilioConfig], TwilioConfig]:
    """Other time limits in an otherwise unchanged configuration."""
    return lambda config: replace(config, **limits)  # type: ignore[arg-type]
