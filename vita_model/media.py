"""Files and samples from outside: what may be given, and what is said when it cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Source: TypeAlias = str | Path | bytes
"""A file by its path, or its content."""

MOST_BYTES = 512 * 1024 * 1024
"""A larger file is refused before it is read."""


class MediaError(ValueError):
    """A file cannot be used; the message is one sentence that says what to do."""


class AudioError(MediaError):
    """Sound cannot be used."""


class VideoError(MediaError):
    """A video cannot be used."""


def read_bytes(source: Source, kind: str) -> bytes:
    """The content of a source.

    Args:
        source: A path or content.
        kind: What it should be, for the message: `picture`, `recording`, `video`.

    Raises:
        MediaError: It is neither, is not there, or is too large.
    """
    if isinstance(source, bytes):
        _check_length(len(source), kind)
        return source
    if not isinstance(source, str | Path):
        raise MediaError(  # an untyped caller gets here
            f"A {kind} is given by its path or its bytes, not as {type(source).__name__}."
        )
    path = Path(source)
    try:
        _check_length(path.stat().st_size, kind)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"The {kind} {path} cannot be read; give a file that is there.") from error


def check_finite(samples: NDArray[np.float32]) -> None:
    """Hold sound to what a model can hear.

    Raises:
        AudioError: It holds values that are no numbers.
    """
    if not np.isfinite(samples).all():
        raise AudioError("The recording holds values that are no numbers; record it again.")


def _check_length(length: int, kind: str) -> None:
    if length > MOST_BYTES:
        megabytes = MOST_BYTES // 1024**2
        raise MediaError(f"The {kind} is too large; send at most {megabytes} megabytes.")
