"""Reads VoiceBench in the layout it is published in: `SUBSET/SPLIT-00000-of-00001.parquet`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from vita_model.engine.voice import Samples
from vita_model.evaluation.suite import EvaluationError

SUBSETS = ("advbench", "bbh", "ifeval", "mmsu", "openbookqa")
"""The subsets scored by rules. The others want a judge that is a large model."""
LONGEST_S = 60
"""What a model must be able to hear; the rest of a longer recording is left out."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """Something the answer must keep to: IFEval's name for it, and its settings."""

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """One spoken question.

    Attributes:
        key: Names it; the same in every reading of the same files.
        split: `test`, or the field of knowledge.
        task: The task of `bbh` it is from.
        prompt: What is said.
        reference: The right answer, where there is one.
        instructions: Those of `ifeval`.
        file: Its Parquet file.
        row: Its row there.
    """

    key: str
    split: str
    task: str
    prompt: str
    reference: str
    instructions: Sequence[Instruction]
    file: Path
    row: int

    def samples(self, rate: int) -> Samples:
        """The question's sound at `rate`, mono, a minute at most.

        Raises:
            EvaluationError: The sound cannot be read.
        """
        try:
            sound = _column(self.file, "audio")[self.row].as_py()
            source = (
                io.BytesIO(sound["bytes"]) if sound["bytes"] else self.file.parent / sound["path"]
            )
            found, own = soundfile.read(source, dtype="float32", always_2d=True)
        except (OSError, TypeError, KeyError, soundfile.SoundFileError) as error:
            message = f"The sound of row {self.row} of {self.file} cannot be read: {error}"
            raise EvaluationError(message) from error
        mono = found.mean(1)
        if own != rate:
            mono = soxr.resample(mono, own, rate)
        return np.ascontiguousarray(mono[: LONGEST_S * rate], np.float32)


def subsets(folder: Path) -> list[str]:
    """The subsets in a folder that rules can score.

    Raises:
        EvaluationError: There is none.
    """
    found = [name for name in SUBSETS if any((folder / name).glob("*.parquet"))]
    if not found:
        raise EvaluationError(
            f"{folder} holds no subset of VoiceBench that rules can score; it should hold "
            f"a folder such as openbookqa with test-00000-of-00001.parquet in it."
        )
    return found


def records(folder: Path, subset: str) -> list[Record]:
    """All questions of a subset, in the order of its files; no sound is read yet.

    Raises:
        EvaluationError: A file cannot be read or lacks a column.
    """
    return [
        record
        for file in sorted((folder / subset).glob("*.parquet"))
        for record in _of_file(file, subset)
    ]


def _of_file(file: Path, subset: str) -> Iterator[Record]:
    split, _, shard = file.stem.partition("-")
    wanted = {
        "advbench": ["prompt"],
        "bbh": ["prompt", "reference", "id"],
        "ifeval": ["prompt", "instruction_id_list", "kwargs"],
    }.get(subset, ["prompt", "reference"])
    columns = {name: _column(file, name).to_pylist() for name in wanted}
    for row, prompt in enumerate(columns["prompt"]):
        names = columns["instruction_id_list"][row] if subset == "ifeval" else []
        settings = columns["kwargs"][row] if subset == "ifeval" else []
        yield Record(
            f"{split}-{shard[:5]}-{row:05d}",
            split,
            str(columns["id"][row]) if subset == "bbh" else "",
            prompt,
            str(columns["reference"][row]) if "reference" in columns else "",
            [
                Instruction(name, {k: v for k, v in (given or {}).items() if v is not None})
                for name, given in zip(names, settings, strict=True)
            ],
            file,
            row,
        )


@lru_cache(maxsize=2)  # the sound of a whole file, while its rows are asked
def _column(file: Path, name: str) -> Any:
    try:
        from pyarrow import ArrowException  # noqa: PLC0415 - an extra
        from pyarrow.parquet import read_table  # noqa: PLC0415 - an extra
    except ImportError:
        message = "Parquet files cannot be read: pip install 'vita-agent[eval]'."
        raise EvaluationError(message) from None
    try:
        return read_table(file, columns=[name])[name]
    except (OSError, KeyError, ArrowException) as error:
        message = f"{file} has no column {name!r} that can be read: {error}"
        raise EvaluationError(message) from error
