"""A whole agent in this process: real stores and sockets, a carrier twin, a scripted model server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from agent.calls.call import call_id_for
from agent.calls.repository import CallRecord
from agent.cli.agent_server import AgentServer, serving_agent
from agent.mulaw import decode
from agent.settings import load_settings
from connectors.server import listen
from connectors.twilio.config import STATUS_PATH, VOICE_PATH, TwilioConfig
from connectors.twilio.twin import Twin, TwinAccount, TwinCall
from tests.pipeline.realtime_server import Script, realtime_server

LINE, HUMAN, CALLER = "+15550100", "+15550199", "+15550123"


@dataclass(frozen=True)
class House:
    """A running agent, the twin in front of it, the model server behind it."""

    agent: AgentServer
    twin: Twin
    script: Script

    async def record(self, sid: str) -> CallRecord:
        """What the log holds of a call that is over."""
        return await self._logged(sid, lambda record: record.call.state == "ended", 20)

    async def has_said(self, sid: str, text: str) -> None:
        """Wait until the caller has heard the agent say this."""
        await self._logged(sid, lambda record: text in said(record), 30)

    async def _logged(
        self, sid: str, done: Callable[[CallRecord], bool], limit_s: float
    ) -> CallRecord:
        """Wait until the log holds what is waited for."""
        call_id = call_id_for("twilio", sid)
        app = self.agent.application
        async with asyncio.timeout(limit_s):
            while True:
                await app.shipper.drain()
                record = await app.calls.get_call(call_id)
                if record is not None and done(record):
                    return record
                await asyncio.sleep(0.05)

    async def nothing_is_left(self, sid: str) -> None:
        """Wait until the call holds no place, lease or task any more."""
        call_id, desk = call_id_for("twilio", sid), self.agent.application.desk
        async with asyncio.timeout(20):
            while (  # noqa: ASYNC110 - three things, none with an event
                desk.slots.in_use
                or await desk.leases.is_held(call_id)
                or any(call_id in task.get_name() for task in asyncio.all_tasks())
            ):
                await asyncio.sleep(0.05)


@asynccontextmanager
async def house(
    tmp_path: Path, script: Script, *, model_url: str = "", twin: Any = None, **line: Any
) -> AsyncIterator[House]:
    """One line, changed by `line`, on a model server that follows `script`."""
    account = TwinAccount.fresh()
    with listen("127.0.0.1", 0) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        lines = tmp_path / "lines.yaml"
        entry = {"number": LINE, "business": "Test", "greeting": "Hello there."} | line
        lines.write_text(yaml.safe_dump({"lines": [entry]}))
        settings = {"voice_url": url + VOICE_PATH, "status_url": url + STATUS_PATH} | (twin or {})
        async with (
            realtime_server(script) as (served, _),
            Twin(account=account, **settings) as carrier,
        ):
            twilio = TwilioConfig(account.sid, account.auth_token, url, api_base_url=carrier.url)
            given = load_settings(
                profile="test",
                data_dir=tmp_path,
                lines_file=lines,
                model_url=model_url or served,
            )
            async with serving_agent(given, twilio, bound) as agent:
                yield House(agent, carrier, script)


def heard(call: TwinCall, tone: int) -> int:
    """How many milliseconds of a tone the caller heard."""
    value = int(decode(bytes([tone]))[0])
    return int(np.count_nonzero(call.heard.agent == value)) // 8


def said(record: CallRecord, role: str = "agent") -> list[str]:
    """What one side said, as far as it was heard."""
    return [
        (line.pii_heard if line.pii_heard is not None else line.pii_text)
        for line in record.utterances
        if line.role == role
    ]


def payloads(record: CallRecord, kind: str) -> list[dict[str, Any]]:
    """The events of one kind."""
    return [dict(event.payload) for event in record.events if event.kind == kind]
