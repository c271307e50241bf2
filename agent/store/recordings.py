"""Recordings as files: growing under a name of their own, whole under their final one.

A growing file is `NAME.wav.part`, locked by the process that writes it. When that process dies the
lock is gone, the sound is not: any process on the same disk can make the file whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import struct
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path

CHANNELS = 2
SAMPLE_BYTES = 2
PART = ".part"

_HEADER = 44
_FRAME = CHANNELS * SAMPLE_BYTES
_RATE_AT, _RIFF_AT, _DATA_AT = 24, 4, 40


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished recording. `sha256` is the hash of the whole file, hexadecimal."""

    path: Path
    sha256: str
    size: int
    duration_ms: int


class RecordingFile:
    """A stereo WAV file while it is written. All methods block and may raise `OSError`.

    Its header is right after every block, so the file can be played at any moment.
    """

    def __init__(self, path: Path, rate: int) -> None:
        """Begin the recording that will be at `path`, of `rate` samples a second."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._part = part_of(path)
        # Nobody may see the file before it is locked.
        unseen = self._part.with_name(f"{self._part.name}.new")
        self._file = unseen.open("w+b")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        unseen.rename(self._part)
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115 - closed by finish
        self._wave.setnchannels(CHANNELS)
        self._wave.setsampwidth(SAMPLE_BYTES)
        self._wave.setframerate(rate)
        self._wave.writeframes(b"")

    def write(self, block: bytes) -> None:
        """Append interleaved little-endian samples."""
        self._wave.writeframes(block)
        self._file.flush()

    def finish(self) -> Recording:
        """Close the file and give it its final name."""
        self._wave.close()
        with self._file:
            return _finish(self._file, self._part)

    def abandon(self) -> None:
        """Let go of a file that could not be written to its end."""
        self._file.close()


def part_of(path: Path) -> Path:
    """Where a recording is while it grows."""
    return path.with_name(path.name + PART)


def abandoned(folders: Iterable[Path]) -> list[Path]:
    """Growing recordings in these folders whose writer is dead."""
    parts = [part for folder in folders for part in folder.glob(f"*.wav{PART}")]
    return [part for part in sorted(parts) if not _is_being_written(part)]


def salvage(part: Path) -> Recording | None:
    """Make an abandoned recording whole. None when it holds no sound, or somebody else did it.

    Raises:
        OSError: The disk does not take it.
    """
    try:
        file = part.open("r+b")
    except FileNotFoundError:
        return None
    with file:
        if not _try_lock(file) or not part.exists():
            return None
        length = (file.seek(0, 2) - _HEADER) // _FRAME * _FRAME
        if length <= 0:
            part.unlink()
            return None
        file.truncate(_HEADER + length)
        _write_number(file, _RIFF_AT, _HEADER - 8 + length)
        _write_number(file, _DATA_AT, length)
        file.flush()
        return _finish(file, part)


def _finish(file: BufferedRandom, part: Path) -> Recording:
    path = part.with_name(part.name.removesuffix(PART))
    file.seek(_RATE_AT)
    (rate,) = struct.unpack("<I", file.read(4))
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = file.seek(0, 2)
    part.rename(path)
    return Recording(path, digest, size, (size - _HEADER) // _FRAME * 1000 // rate)


def _is_being_written(part: Path) -> bool:
    try:
        with part.open("rb") as file:
            return not _try_lock(file)
    except FileNotFoundError:
        return True


def _try_lock(file: BufferedRandom | BufferedReader) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_number(file: BufferedRandom, at: int, value: int) -> None:
    file.seek(at)
    file.write(struct.pack("<I", value))
