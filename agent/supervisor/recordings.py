"""Recordings as files that may be handed out, and their waveform in little."""

from __future__ import annotations

import asyncio
import json
import os
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from sqlalchemy import select

from agent.errors import NotFoundError
from agent.store.engine import Database
from agent.store.tables import RecordingRow
from agent.supervisor.access import Actor
from agent.supervisor.audit import AuditLog
from agent.supervisor.transactions import reading

MOST_FILES = 10_000
PEAKS_PER_SECOND = 50
_SUFFIX = ".peaks.json"
_SECONDS_A_BLOCK = 60


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """A WAV on this machine. `sha256` is the hash of its content, hexadecimal."""

    path: Path
    sha256: str
    bytes: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Peaks:
    """Loudness over time, `per_second` values a second from 0 to 255.

    Each value is the highest swing in its time. `channels` are those of the file: caller, agent.
    """

    per_second: int
    duration_ms: int
    channels: Sequence[Sequence[int]]


class Recordings:
    """Opens recordings. Needs `listen`; that somebody did is kept."""

    def __init__(self, database: Database, audit: AuditLog, data_dir: Path) -> None:
        self._database = database
        self._audit = audit
        self._root = (data_dir / "recordings").resolve()

    async def open(
        self, actor: Actor, call_id: str, number: int = 0, *, audited: bool = True
    ) -> RecordingFile:
        """The file of one of a call's recordings, counted from 0.

        Args:
            actor: Who wants to hear it.
            call_id: The call.
            number: Which of its recordings.
            audited: False for a further part of a file whose opening is in the audit log.

        Raises:
            PermissionDeniedError: The actor may not `listen`.
            NotFoundError: There is no such recording, or its file is gone.
        """
        actor.need("listen")
        query = (
            select(RecordingRow)
            .where(RecordingRow.call_id == call_id)
            .order_by(RecordingRow.seq)
            .offset(number)
            .limit(1)
        )
        row = None
        if 0 <= number < MOST_FILES:
            async with reading(self._database) as db:
                row = (await db.scalars(query)).first()
        if row is None:
            raise NotFoundError(f"The call {call_id} has no recording {number}.")
        path = safe_path(self._root, row.path)
        if path is None or not await asyncio.to_thread(path.is_file):
            raise NotFoundError("The recording's file is not on this machine any more.")
        if audited:
            await self._audit.record(actor, "recording.open", f"call/{call_id}")
        return RecordingFile(path, row.sha256, row.bytes, row.duration_ms)

    async def peaks(self, actor: Actor, call_id: str, number: int = 0) -> Peaks:
        """The waveform of a recording; computed once and kept beside it.

        Raises:
            PermissionDeniedError: The actor may not `listen`.
            NotFoundError: There is no such recording, or its file is gone or broken.
        """
        file = await self.open(actor, call_id, number, audited=False)
        try:
            return await asyncio.to_thread(_peaks, file.path)
        except (OSError, EOFError, wave.Error) as error:
            raise NotFoundError("The recording's file cannot be read.") from error


def safe_path(root: Path, recorded: str) -> Path | None:
    """Where a file lies that a worker has written under its own folder of the same name.

    Workers in other containers may know that folder by another name. None when the file would be
    outside of `root`.
    """
    parts = PurePath(recorded).parts
    if root.name not in parts:
        return None
    inside = parts[len(parts) - parts[::-1].index(root.name) :]
    path = root.joinpath(*inside).resolve()
    return path if path.is_relative_to(root) and path != root else None


def _peaks(path: Path) -> Peaks:
    kept = path.with_name(path.name + _SUFFIX)
    try:
        found = json.loads(kept.read_text())
        return Peaks(found["per_second"], found["duration_ms"], found["channels"])
    except (OSError, ValueError, KeyError, TypeError):
        peaks = compute_peaks(path)
    content = {
        "per_second": peaks.per_second,
        "duration_ms": peaks.duration_ms,
        "channels": peaks.channels,
    }
    # Whole or not at all: another process may read it at this moment.
    draft = kept.with_name(f"{kept.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(content, separators=(",", ":")))
        draft.replace(kept)
    except OSError:
        draft.unlink(missing_ok=True)
    return peaks


def compute_peaks(path: Path) -> Peaks:
    """Read a 16-bit WAV and find its peaks.

    Raises:
        OSError, EOFError, wave.Error: The file cannot be read, or is of another kind.
    """
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise wave.Error("not 16-bit")
        rate, channels = file.getframerate(), file.getnchannels()
        frames = file.getnframes()
        step = rate // PEAKS_PER_SECOND
        found: list[list[int]] = [[] for _ in range(channels)]
        while data := file.readframes(step * PEAKS_PER_SECOND * _SECONDS_A_BLOCK):
            samples = np.frombuffer(data, dtype="<i2").astype(np.int32).reshape(-1, channels)
            missing = -len(samples) % step
            padded = np.pad(np.abs(samples), ((0, missing), (0, 0)))
            highest = padded.reshape(-1, step, channels).max(axis=1)
            for channel in range(channels):
                found[channel] += np.minimum(highest[:, channel] >> 7, 255).tolist()
    return Peaks(PEAKS_PER_SECOND, frames * 1000 // rate, found)
