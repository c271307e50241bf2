"""The twin itself: an exchange with a REST interface, and people who call through it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Literal, Self

from fastapi import FastAPI

from agent.tasks import TaskOwner
from connectors.server import AppServer
from connectors.twilio.twin.account import TwinAccount
from connectors.twilio.twin.call import TwinCall
from connectors.twilio.twin.caller import Script, ScriptedCaller, WaitForAgent
from connectors.twilio.twin.control import control_router
from connectors.twilio.twin.faults import Faults
from connectors.twilio.twin.recordings import recordings_router
from connectors.twilio.twin.rest import QueueFullError, rest_router
from connectors.twilio.twin.run import CallRun, Dialled
from connectors.twilio.twin.webhooks import Dialer
from connectors.twilio.twin.world import Callee, Fetch, Instruction, Order, Recording, World

DEFAULT_CALLER = "+15550123"
HEAR_GREETING: Script = (WaitForAgent(),)
"""A caller who listens to the greeting and hangs up."""


class Twin:
    """A local Twilio with one account, as an async context manager.

    Args:
        voice_url: The agent's voice webhook, asked about calls to any number.
        status_url: The agent's status webhook; empty for none.
        fallback_url: Asked when the voice webhook gives no usable answer; empty for nobody.
        status_events: Which of initiated, ringing, answered, completed the status webhook is told.
        account: Credentials; the same ones go into the agent's settings.
        host: Address of the REST and control interfaces.
        port: Their port; 0 takes a free one.
        tls: Trusted certificates when the agent is served with its own CA.
        on_stream_loss: What a call does when its media stream breaks without a close.
        voice: What `<Say>` sounds like: the twin has no voice.
        calls_per_second: Outbound calls placed a second; any number when None. Twilio's accounts
            begin with one.

    Raises:
        PortInUseError: On entry, when the address is taken.
    """

    def __init__(
        self,
        voice_url: str,
        *,
        status_url: str = "",
        fallback_url: str = "",
        status_events: frozenset[str] = frozenset({"completed"}),
        calls_per_second: float | None = None,
        account: TwinAccount | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        on_stream_loss: Literal["continue", "hang_up"] = "continue",
        voice: Literal["tone", "silence"] = "tone",
    ) -> None:
        self.account = account or TwinAccount()
        self._faults = Faults()
        self._status_events = status_events
        self._queued_until = 0.0
        self._world = World(
            account=self.account,
            dialer=Dialer(self.account, tls, self._faults),
            voice_url=voice_url,
            status_url=status_url,
            fallback_url=fallback_url,
            faults=self._faults,
            calls_per_second=calls_per_second,
            base_url=lambda: self.url,
            tls=tls,
            on_stream_loss=on_stream_loss,
            voice=voice,
        )
        self._runs: dict[str, CallRun] = {}
        self._tasks = TaskOwner("twin")
        self._server = AppServer(self._app(), host, port)
        self._open = AsyncExitStack()

    @property
    def url(self) -> str:
        """Base URL of the REST interface, to go where `https://api.twilio.com` would."""
        return self._server.url

    @property
    def calls(self) -> list[TwinCall]:
        """All calls since the last reset, oldest first."""
        return [run.call for run in self._runs.values()]

    async def place_call(
        self, *, to: str, from_: str = DEFAULT_CALLER, script: Script = HEAR_GREETING
    ) -> TwinCall:
        """Someone dials `to`. Returns at once; the call goes on by its script."""
        call = TwinCall(
            to=to,
            from_=from_,
            direction="inbound",
            caller=ScriptedCaller(script),
            status_url=self._world.status_url,
            status_events=self._status_events,
        )
        first = Fetch(self._world.voice_url, fallback_url=self._world.fallback_url)
        self._start(CallRun(call, self._world, first))
        return call

    def set_callee(self, number: str, callee: Callee) -> None:
        """Say how `number` behaves when it is dialled."""
        self._world.callees[number] = callee

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose: switches to turn at any time."""
        return self._faults

    @property
    def recordings(self) -> dict[str, Recording]:
        """What callers left, by SID."""
        return self._world.recordings

    def find(self, sid: str) -> CallRun | None:
        """The run of a call, for REST."""
        return self._runs.get(sid)

    def dial(
        self,
        to: str,
        from_: str,
        instruction: Instruction,
        order: Order,
    ) -> TwinCall:
        """Place an outbound call, for REST.

        Raises:
            QueueFullError: Too many are waiting already.
        """
        callee = self._world.callees.get(to, Callee())
        call = TwinCall(
            to=to,
            from_=from_,
            direction="outbound-api",
            caller=ScriptedCaller(callee.script),
            status_url=order.status_url,
            status_events=order.status_events,
        )
        call.queue_s = self._queue()
        self._start(CallRun(call, self._world, instruction, Dialled(callee, order)))
        return call

    def _queue(self) -> float:
        """Seconds the next outbound call has to wait for its turn."""
        rate = self._world.calls_per_second
        if rate is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        wait = max(self._queued_until - now, 0.0)
        if wait * rate > self._world.longest_queue:
            raise QueueFullError
        self._queued_until = now + wait + 1 / rate
        return wait

    async def reset(self) -> None:
        """End all calls and forget them and the callees."""
        await self._tasks.close()
        self._runs.clear()
        self._world.callees.clear()
        self._world.recordings.clear()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            opening.push_async_callback(self._world.dialer.close)
            await opening.enter_async_context(self._server)
            opening.push_async_callback(self._tasks.close)
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._open.aclose()

    def _start(self, run: CallRun) -> None:
        self._runs[run.call.sid] = run
        _ = self._tasks.spawn(run.run(), name=run.call.sid)

    def _app(self) -> FastAPI:
        app = FastAPI(title="Carrier twin", docs_url="/_emu/docs", openapi_url="/_emu/openapi.json")
        app.include_router(rest_router(self.account, self, self.faults))
        app.include_router(recordings_router(self.account, self.recordings))
        app.include_router(control_router(self))
        return app


async def run_twin(
    host: str,
    port: int,
    voice_url: str,
    *,
    status_url: str = "",
    account: TwinAccount | None = None,
    on_ready: Callable[[Twin], None] | None = None,
) -> None:
    """Serve a twin until cancelled.

    Raises:
        PortInUseError: The address is taken.
    """
    twin = Twin(voice_url, status_url=status_url, account=account, host=host, port=port)
    async with twin:
        if on_ready is not None:
            on_ready(twin)
        await asyncio.Event().wait()
