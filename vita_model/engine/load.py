"""Finds out what a folder of weights holds and builds the voice model for it."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

from vita_model.engine.tiny import TinyVoice
from vita_model.engine.voice import VoiceModel
from vita_model.tiny import FOLDER, load_parts


def load_voice_model(folder: Path | None = None) -> VoiceModel:
    """The model in a folder, vita-tiny when none is given.

    Raises:
        CheckpointMissingError: No readable weights there.
    """
    voice = TinyVoice(load_parts(folder or FOLDER))
    _give_memory_back()
    return voice


def _give_memory_back() -> None:
    """Unpacking the weights leaves 400 MB of freed pages with the allocator on Linux."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
