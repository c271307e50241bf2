"""What a measured call sounds like. Callers and the scripted model agree on it.

A caller's voice is one µ-law value repeated, another one for every caller, so that each process can
tell the callers apart in the sound itself.
"""

from __future__ import annotations

from typing import Final

FRAME_BYTES: Final = 160
FRAME_S: Final = 0.02
BYTES_PER_S: Final = 8_000

SPEECH_FRAMES: Final = 100
"""The caller speaks for two seconds."""
SILENT_FRAMES: Final = 10
"""So much silence ends a turn at the scripted model."""
REPLY_S: Final = 4.0
PAUSE_FRAMES: Final = 25
"""Between the end of a reply and the caller's next words."""
DELTA_S: Final = 0.2
DELTA_EVERY_S: Final = 0.07
"""The model makes speech about three times as fast as it is spoken."""

SILENCE: Final = bytes([0xFF]) * FRAME_BYTES
MOST_CALLERS: Final = 100


def voice(caller: int) -> bytes:
    """One frame of a caller's voice."""
    return bytes([caller + 1]) * FRAME_BYTES


def caller_of(payload: bytes) -> int | None:
    """Whose voice these bytes are; None for silence."""
    value = payload[0]
    return value - 1 if 1 <= value <= MOST_CALLERS else None


WORDS: Final = (
    "We are open Monday to Friday from nine to half past five, and on Saturday until two."
)
