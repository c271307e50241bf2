from __future__ import annotations

import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from agent.errors import NotFoundError, PermissionDeniedError
from agent.store import migrate
from agent.store.engine import Database
from agent.supervisor.desk import SupervisorDesk
from agent.supervisor.recordings import safe_path
from tests.agent.supervisor.book import ADMIN, SUPERVISOR, VIEWER, CallBook, Step

pytestmark = pytest.mark.integration


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'calls.db'}")
    migrate.upgrade(database.url)
    yield database
    await database.close()


def recorded(path: Path | str) -> Step:
    payload = {"path": str(path), "sha256": "0" * 64, "bytes": 44, "duration_ms": 1000}
    return (1, "recording", payload)


def write_wav(path: Path, rate: int = 8000) -> None:
    """A second: the caller loud in its first half, the agent softer in its second."""
    samples = np.zeros((rate, 2), dtype="<i2")
    samples[: rate // 2, 0] = -32768
    samples[rate // 2 :, 1] = 12800
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


@pytest.mark.parametrize("rate", [8000, 24000])
async def test_a_waveform_is_computed_once(
    desk: SupervisorDesk, book: CallBook, tmp_path: Path, rate: int
):
    wav = tmp_path / "recordings" / "2026" / "c1-1.wav"
    write_wav(wav, rate)
    await book.write("c1", recorded(wav))
    peaks = await desk.recordings.peaks(SUPERVISOR, "c1")
    assert (peaks.per_second, peaks.duration_ms) == (50, 1000)
    assert peaks.channels == [[255] * 25 + [0] * 25, [0] * 25 + [100] * 25]
    kept = wav.with_name("c1-1.wav.peaks.json")
    assert json.loads(kept.read_text())["channels"] == peaks.channels
    wav.write_bytes(b"")
    assert (await desk.recordings.peaks(SUPERVISOR, "c1")).channels == peaks.channels


async def test_hearing_is_for_supervisors_and_kept(
    desk: SupervisorDesk, book: CallBook, tmp_path: Path
):
    wav = tmp_path / "recordings" / "c1.wav"
    write_wav(wav)
    await book.write("c1", recorded("/data/elsewhere/recordings/c1.wav"))
    with pytest.raises(PermissionDeniedError):
        await desk.recordings.open(VIEWER, "c1")
    assert (await desk.recordings.open(SUPERVISOR, "c1")).path == wav
    (entry,) = (await desk.audit.list(ADMIN)).items
    assert (entry.action, entry.object) == ("recording.open", "call/c1")


async def test_files_that_are_gone_broken_or_elsewhere_are_told(
    desk: SupervisorDesk, book: CallBook, tmp_path: Path
):
    broken = tmp_path / "recordings" / "broken.wav"
    broken.parent.mkdir()
    broken.write_bytes(b"RIFF")
    (tmp_path / "secret").write_text("secret")
    await book.write("gone", recorded(broken.with_name("gone.wav")))
    await book.write("broken", recorded(broken))
    await book.write("elsewhere", recorded(tmp_path / "recordings" / ".." / "secret"))
    for call_id in ("gone", "elsewhere"):
        with pytest.raises(NotFoundError, match="not on this machine"):
            await desk.recordings.open(SUPERVISOR, call_id)
    with pytest.raises(NotFoundError, match="cannot be read"):
        await desk.recordings.peaks(SUPERVISOR, "broken")
    for number in (1, -1):
        with pytest.raises(NotFoundError, match="no recording"):
            await desk.recordings.open(SUPERVISOR, "gone", number)


def test_no_path_leads_out_of_the_folder(tmp_path: Path):
    root = tmp_path / "recordings"
    root.mkdir()
    (root / "link").symlink_to("/etc")
    for wrong in (
        "/etc/passwd",
        "/x/recordings/../../etc/passwd",
        "/x/recordings/link/passwd",
        "/x/recordings",
        "",
    ):
        assert safe_path(root, wrong) is None
    assert safe_path(root, "/x/recordings/a/b.wav") == root / "a" / "b.wav"
