"""What every suite of an evaluation is: items, each of which becomes one scored row."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import soundfile

from vita_model.engine.voice import Samples, VoiceModel
from vita_model.evaluation.figures import Measure, Row


class EvaluationError(Exception):
    """An evaluation cannot run; the message says what to do."""


class Item(Protocol):
    """One thing to ask; what it takes to ask it is made when its turn comes."""

    @property
    def key(self) -> str:
        """Names the item, in letters that may be in a file name."""
        ...


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where a suite leaves what went into the model and came out of it.

    `clips` is where sound is kept that depends on no model; nowhere if None.
    """

    run: Path
    suite: str
    clips: Path | None = None

    def once(self, name: str, rate: int, make: Callable[[], Samples]) -> Samples:
        """A recording that is made the first time it is asked for, and read afterwards."""
        if self.clips is None:
            return make()
        path = self.clips / f"{name}.flac"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            soundfile.write(part, np.clip(make(), -1, 1), rate, subtype="PCM_16", format="FLAC")
            part.replace(path)
        samples: Samples = soundfile.read(path, dtype="float32")[0]
        return samples

    def sound(self, key: str, role: str, samples: Samples, rate: int) -> str:
        """Writes a recording (mono, float32) as FLAC; gives its place in the run."""
        place = Path("files") / self.suite / f"{key}.{role}.flac"
        path = self.run / place
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.clip(samples, -1, 1), rate, subtype="PCM_16")
        return place.as_posix()

    def data(self, key: str, name: str, content: bytes) -> str:
        """Writes any other file; gives its place in the run."""
        place = Path("files") / self.suite / f"{key}.{name}"
        path = self.run / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return place.as_posix()


ItemT = TypeVar("ItemT", bound=Item)


class Suite(Protocol[ItemT]):
    """One kind of test. What it draws follows from its seed."""

    @property
    def name(self) -> str:
        """Of the suite, in letters that may be in a file name."""
        ...

    @property
    def about(self) -> str:
        """What it measures and how, in one paragraph for the report."""
        ...

    @property
    def small(self) -> int:
        """Items of a first look."""
        ...

    @property
    def measures(self) -> Sequence[Measure]:
        """What is read off its rows."""
        ...

    def items(self, count: int | None) -> Sequence[ItemT]:
        """The items in a fixed order, at most `count`; quick, nothing is made yet."""
        ...

    async def run(self, model: VoiceModel, item: ItemT, shelf: Shelf) -> Row:
        """Ask one item and score the answer.

        Raises:
            EvaluationError: What it takes is not installed, or a file cannot be read.
        """
        ...
