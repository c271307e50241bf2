"""A stored call, made by hand."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from agent.calls.repository import CallRecord
from agent.demo.caller import Asked
from agent.store.tables import (
    CallEventRow,
    CallRow,
    RecordingRow,
    ToolInvocationRow,
    UtteranceRow,
)

ANSWERED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
RATE = 8000


def after(seconds: float) -> datetime:
    return ANSWERED + timedelta(seconds=seconds)


def said(role: str, start: float, end: float, text: str, **more: Any) -> UtteranceRow:
    return UtteranceRow(
        seq=int(end * 1000),
        at=after(end),
        role=role,
        pii_text=text,
        pii_heard=more.get("heard"),
        start_ms=int(start * 1000),
        end_ms=int(end * 1000),
        interrupted="heard" in more,
    )


def used(tool: str, at: float, arguments: dict[str, Any], status: str = "ok") -> ToolInvocationRow:
    return ToolInvocationRow(
        seq=int(at * 1000),
        tool_call_id=f"{tool}-{at}",
        tool=tool,
        idempotency_key="",
        pii_arguments=json.dumps(arguments),
        pii_result="{}",
        status=status,
        started_at=after(at),
    )


def event(kind: str, at: float, **payload: Any) -> CallEventRow:
    return CallEventRow(seq=int(at * 1000), at=after(at), kind=kind, payload=payload)


def asked(start: float, end: float, *, answered: bool = True) -> Asked:
    return Asked("question", after(start), int(start * 1000), int(end * 1000), answered)


def record(
    utterances: list[UtteranceRow],
    *,
    tools: list[ToolInvocationRow] | None = None,
    events: list[CallEventRow] | None = None,
    recording: Path | None = None,
    state: str = "ended",
    reason: str = "caller_hung_up",
) -> CallRecord:
    call = CallRow(
        id="c" * 32,
        to_number="+15550100",
        pii_from_number="+15550123",
        business="Brightside Dental",
        state=state,
        state_seq=1,
        end_reason=reason,
        started_at=after(-0.1),
        ended_at=after(60),
    )
    recordings = []
    if recording is not None:
        content = recording.read_bytes()
        recordings.append(
            RecordingRow(
                path=str(recording),
                sha256=hashlib.sha256(content).hexdigest(),
                bytes=len(content),
                duration_ms=1000,
            )
        )
    connected = event("call_state", 0, state="connected")
    return CallRecord(
        call, None, [connected, *(events or [])], utterances, tools or [], recordings, []
    )


def write_recording(path: Path, seconds: float = 20.0, *, agent_speaks: bool = True) -> Path:
    """Both sides hum, one after the other."""
    at = np.arange(int(seconds * RATE)) / RATE
    hum = 0.3 * np.sin(2 * np.pi * 220 * at)
    caller = np.where(at % 4 < 1.5, hum, 0)
    agent = np.where(at % 4 > 2, hum, 0) if agent_speaks else np.zeros_like(hum)
    soundfile.write(path, np.stack([caller, agent], axis=1), RATE, "PCM_16")
    return path
