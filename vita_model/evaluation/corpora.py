"""Speech recognition corpora in the layouts they are published in. Nothing is downloaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr

from vita_model.engine.voice import Samples
from vita_model.evaluation.suite import EvaluationError

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of a recording and the words said in it. `end` is None for the whole of it."""

    key: str
    file: Path
    said: str
    begin: float = 0.0
    end: float | None = None

    def samples(self, rate: int) -> Samples:
        """The stretch at `rate`, mono.

        Raises:
            EvaluationError: The file cannot be read.
        """
        try:
            with soundfile.SoundFile(self.file) as source:
                own = source.samplerate
                source.seek(round(self.begin * own))
                count = -1 if self.end is None else round((self.end - self.begin) * own)
                found = source.read(count, dtype="float32", always_2d=True).mean(1)
        except (OSError, soundfile.SoundFileError) as error:
            raise EvaluationError(f"{self.file} cannot be read: {error}") from error
        return found if own == rate else soxr.resample(found, own, rate).astype(np.float32)


def librispeech(folder: Path) -> Iterator[Utterance]:
    """A subset such as `test-clean`: `SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt` beside FLACs."""
    for script in sorted(folder.glob("*/*/*.trans.txt")):
        for line in _lines(script):
            key, _, said = line.partition(" ")
            yield Utterance(key, script.parent / f"{key}.flac", said)


def aishell(folder: Path) -> Iterator[Utterance]:
    """`data_aishell`: `wav/test/SPEAKER/KEY.wav`, words in `transcript/aishell_transcript_*.txt`."""
    said: dict[str, str] = {}
    for script in sorted((folder / "transcript").glob("aishell_transcript_*.txt")):
        for line in _lines(script):
            key, _, words = line.partition(" ")
            said[key] = words.replace(" ", "")
    for file in sorted((folder / "wav" / "test").glob("*/*.wav")):
        if file.stem in said:  # some recordings have no words
            yield Utterance(file.stem, file, said[file.stem])


def wenetspeech(folder: Path, subset: str) -> Iterator[Utterance]:
    """`WenetSpeech.json` beside `audio/…`: segments of a subset, `TEST_NET` or `TEST_MEETING`."""
    try:
        listed = json.loads((folder / "WenetSpeech.json").read_text(encoding="utf-8"))["audios"]
        for audio in listed:
            for segment in audio["segments"]:
                if subset in segment["subsets"]:
                    yield Utterance(
                        segment["sid"],
                        folder / audio["path"],
                        segment["text"],
                        float(segment["begin_time"]),
                        float(segment["end_time"]),
                    )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{folder} is not laid out as WenetSpeech: {error!r}") from error


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise EvaluationError(f"{file} cannot be read: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _net(folder: Path) -> Iterator[Utterance]:
    return wenetspeech(folder, "TEST_NET")


def _meeting(folder: Path) -> Iterator[Utterance]:
    return wenetspeech(folder, "TEST_MEETING")


LAYOUTS: Mapping[str, tuple[Language, Callable[[Path], Iterator[Utterance]]]] = {
    "librispeech": ("en", librispeech),
    "aishell": ("zh", aishell),
    "wenetspeech-net": ("zh", _net),
    "wenetspeech-meeting": ("zh", _meeting),
}


def utterances(layout: str, folder: Path) -> list[Utterance]:
    """All utterances of a corpus.

    Raises:
        EvaluationError: The layout is unknown, or nothing of it is in the folder.
    """
    if layout not in LAYOUTS:
        raise EvaluationError(f"There is no layout {layout!r}; there are {', '.join(LAYOUTS)}.")
    found = list(LAYOUTS[layout][1](folder))
    if not found:
        raise EvaluationError(f"{folder} holds nothing in the layout of {layout}.")
    return found
