"""Finds out what a folder of weights holds and builds the voice model for it."""

from __future__ import annotations

from pathlib import Path

from vita_model.engine.tiny import TinyVoice
from vita_model.engine.voice import VoiceModel
from vita_model.tiny import FOLDER, load_parts


def load_voice_model(folder: Path | None = None) -> VoiceModel:
    """The model in a folder, vita-tiny when none is given.

    Raises:
        CheckpointMissingError: No readable weights there.
    """
    return TinyVoice(load_parts(folder or FOLDER))
