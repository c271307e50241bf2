"""Recordings with their words: a table of files, one object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vita_model.audio.features import SAMPLE_RATE
from vita_model.audio.read import read_audio
from vita_model.media import MediaError
from vita_model.training.conversations import DatasetError, refuse_faults


class Recording(NamedTuple):
    """A sound file and what is said in it."""

    place: str
    audio: Path
    text: str

    def samples(self, rate: int = SAMPLE_RATE) -> Tensor:
        """Its sound at a rate in hertz, float32 `[n]`.

        Raises:
            DatasetError: It cannot be read.
        """
        try:
            return torch.from_numpy(read_audio(self.audio, rate))
        except MediaError as error:
            raise DatasetError(f"{self.place}: {error}") from error


def read_recordings(file: Path, *, texts: bool = True) -> list[Recording]:
    """Read and check a `.jsonl` table of `{"audio": file, "text": words}`.

    Args:
        file: The table; files in it stand beside it unless they are absolute.
        texts: Whether every recording needs words.

    Raises:
        DatasetError: A line is of no use. Every faulty line is named.
    """
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file} cannot be read: {error}") from error
    found: list[Recording] = []
    faults: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{file} line {number}"
        try:
            found.append(_recording(line, place, file.parent, texts=texts))
        except ValueError as error:
            faults.append(f"{place}: {error}")
    refuse_faults("These recordings cannot be used:", faults)
    if not found:
        raise DatasetError(f"{file} names no recording.")
    return found


def _recording(line: str, place: str, folder: Path, *, texts: bool) -> Recording:
    try:
        data = json.loads(line)
    except ValueError:
        raise ValueError("this is no JSON") from None
    if not (isinstance(data, dict) and isinstance(data.get("audio"), str)):
        raise ValueError('"audio" must name a file')  # noqa: TRY004 - a fault of the file
    audio = data["audio"]
    if not (folder / audio).is_file():
        raise ValueError(f"the recording {folder / audio} is not there")
    text = data.get("text", "")
    if texts and not (isinstance(text, str) and text.strip()):
        raise ValueError('"text" must hold what is said')
    return Recording(place, folder / audio, str(text).strip())
