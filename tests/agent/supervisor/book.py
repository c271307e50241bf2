from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from agent.store.engine import Database
from agent.store.projection import store_events
from agent.store.spool import SpooledEvent
from agent.store.unit_of_work import writing
from agent.supervisor.access import Actor
from tests.agent.conftest import ManualClock

VIEWER = Actor("user", "u-viewer", "Vera Viewer", "viewer")
SUPERVISOR = Actor("user", "u-super", "Sam Super", "supervisor", "10.0.0.7")
OTHER = Actor("user", "u-other", "Olga Other", "supervisor")
COMMAND = Actor("command", "root", "root", "admin")
ADMIN = Actor("user", "u-admin", "Ada Admin", "admin")

Step = tuple[float, str, Mapping[str, Any]]


class CallBook:
    """Writes calls into the log as a worker's journal would have."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self._database = database
        self._clock = clock

    async def write(
        self,
        call_id: str,
        *steps: Step,
        line: str = "+15550100",
        business: str = "Brightside Dental",
        caller: str = "+15551234523",
        ended: str = "caller_hung_up",
    ) -> str:
        """A call that starts now; each step is (seconds after the answer, kind, payload)."""
        start = self._clock.now()
        admitted = {
            "carrier": "twilio",
            "carrier_call_id": f"CA{call_id}",
            "direction": "inbound",
            "to": line,
            "pii_from": caller,
            "line_version": f"v-{line}",
            "line": {"business": business},
        }
        last = max((after for after, _, _ in steps), default=0.0) + 1
        story: list[Step] = [
            (0, "call_admitted", admitted),
            (0, "call_state", {"state": "connected", "attempt": 1, "reason": ""}),
            *steps,
        ]
        if ended:
            over = {"state": "ended", "attempt": 1, "reason": ended}
            story.append((last, "call_state", over))
        events = [
            SpooledEvent(call_id, seq, start + timedelta(seconds=after), kind, payload)
            for seq, (after, kind, payload) in enumerate(story, 1)
        ]
        async with writing(self._database) as db:
            await store_events(db, events)
        return call_id


def said(after: float, role: str, text: str, **more: Any) -> Step:
    at = int(after * 1000)
    payload = {"role": role, "pii_text": text, "start_ms": at, "end_ms": at + 900, **more}
    return (after, "utterance", payload)


def used(after: float, tool: str, arguments: str, result: str, status: str = "ok") -> list[Step]:
    tool_call = {"tool_call_id": f"t{after}", "tool": tool}
    intent = tool_call | {"pii_arguments": arguments, "idempotency_key": f"k{after}"}
    ending = tool_call | {"status": status, "pii_result": result, "duration_ms": 40}
    return [(after, "tool_intent", intent), (after + 0.04, "tool_result", ending)]


def answered(after: float, latency_ms: int) -> Step:
    return (after, "turn", {"latency_ms": latency_ms})
