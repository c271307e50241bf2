"""Whether vita-tiny's encoder could hear in chunks: distils it, and draws what chunks cost.

The student begins as the encoder that ships, sees its own chunk and those before it, and learns to
give the rows that the teacher gives with the whole utterance in view. The reader stays as it is.
Words are counted with both, on voices no training used. Run it with

    python -m vita_model.training.chunk_mode --out FOLDER

The checkpoint that ships has no chunk mode; this says what one would cost.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from matplotlib.figure import Figure as Canvas
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from vita_model.audio.units import transcript
from vita_model.audio.whisper import RATE, ROWS_PER_SECOND, WhisperEncoder
from vita_model.engine.voice import Samples
from vita_model.evaluation.asr import word_errors
from vita_model.evaluation.asr_set import sentences
from vita_model.evaluation.callers import VOICES, over, read
from vita_model.evaluation.figures import Figure, Measure, Row, figures
from vita_model.evaluation.suite import Shelf
from vita_model.evaluation.suites.agent import wrong
from vita_model.tiny import TinyParts, load_parts
from vita_model.training import voices
from vita_model.training.channel import hard_line
from vita_model.training.corpora import common_words
from vita_model.training.dialogues.reading import sample_reading
from vita_model.training.loop import Pace, Run, train_steps

CHUNKS = (16, 32, 64, 128)
"""Rows of a chunk, 20 ms each."""
BATCH = 6
LEARNING_RATE = 2e-4
LONGEST_S = 8.0
_WRONG = "words wrong"
Count = tuple[float, float]
"""Words wrong and words said."""


def distil(teacher: WhisperEncoder, clips: Sequence[Samples], run: Run) -> WhisperEncoder:
    """A copy of the encoder that hears in chunks of every size of `CHUNKS`.

    Args:
        teacher: Hears utterances whole.
        clips: What both hear, 16 kHz.
        run: Length, place and chance.
    """
    student = copy.deepcopy(teacher).requires_grad_(requires_grad=True)
    learning = torch.optim.AdamW(student.parameters(), run.pace.rate, weight_decay=0.0)

    def loss_of(_: int, chance: random.Random) -> tuple[Tensor, Mapping[str, float]]:
        chunk, total = chance.choice(CHUNKS), torch.zeros(())
        for clip in chance.sample(clips, min(BATCH, len(clips))):
            samples = torch.from_numpy(clip)
            with torch.no_grad():
                wanted = teacher(samples)
            loss = F.mse_loss(student(samples, chunk), wanted) / BATCH
            loss.backward()
            total += loss.detach()
        return total, {}

    train_steps(run, student, learning, loss_of, state=run.state())
    return student


def training_clips(count: int, seed: int) -> list[Samples]:
    """Training sentences by fast training voices, over bad telephone lines."""
    chance, numbers, common = random.Random(seed), np.random.default_rng(seed), common_words()
    clips: list[Samples] = []
    while len(clips) < count:
        reader = chance.choice((voices.espeak, voices.flite))
        clip = reader(chance, sample_reading(chance, "train", common))
        samples = voices.at_rate(clip, RATE)
        if 0 < len(samples) < LONGEST_S * RATE:
            clips.append(hard_line(numbers, samples, clips[-24:]))
    return clips


@dataclass(frozen=True, slots=True)
class Point:
    """Words wrong with one chunk size, in percent, and how many more than with the whole in view.

    Attributes:
        chunk: Rows of a chunk; None for the whole utterance.
        wrong: Words wrong.
        more: Points more than with the whole utterance, with their 95 % interval.
    """

    chunk: int | None
    wrong: float
    more: tuple[float, float, float]


def curves(
    parts: TinyParts, encoders: Mapping[str, WhisperEncoder], count: int, clips: Path | None
) -> dict[str, list[Point]]:
    """Words wrong at every chunk size on `count` sentences of held-out voices, clean lines."""
    whole: list[Count] = []
    counts: dict[tuple[str, int], list[Count]] = {at: [] for at in product(encoders, CHUNKS)}
    asked = list(product(enumerate(sentences()), VOICES))[:count]
    for (number, said), voice in track(asked, "words are counted"):
        key = f"{voice}-{number:02d}"
        heard = over(f"clean-{key}", read(key, said, voice, Shelf(Path(), "", clips)), "clean")
        whole.append(_count(parts, parts.encoder, None, said, heard))
        for (name, chunk), found in counts.items():
            found.append(_count(parts, encoders[name], chunk, said, heard))
    first = _point(None, whole, whole)
    return {
        name: [first, *(_point(chunk, counts[name, chunk], whole) for chunk in CHUNKS)]
        for name in encoders
    }


@torch.inference_mode()
def _count(
    parts: TinyParts, encoder: WhisperEncoder, chunk: int | None, said: str, heard: Samples
) -> Count:
    if parts.reader is None:
        raise ValueError("the checkpoint has no reader; chunk mode is measured with one")
    rows = encoder(torch.from_numpy(heard), chunk)
    written = transcript(parts.reader.tokens(parts.reader.read(rows)), parts.tokenizer)
    return wrong(word_errors(said, written))


def _point(
    chunk: int | None,
    found: Sequence[Count],
    whole: Sequence[Count],
) -> Point:
    rows = [
        Row(str(number), "", {_WRONG: own, "whole": other})
        for number, (own, other) in enumerate(zip(found, whole, strict=True))
    ]
    own, more = (_figure(rows, minus) for minus in ("", "whole"))
    return Point(chunk, own.value, (more.value, more.low, more.high))


def _figure(rows: Sequence[Row], minus: str) -> Figure:
    (found,) = figures(rows, [Measure(_WRONG, sense="at most", minus=minus)])
    return found


def draw(file: Path, found: Mapping[str, Sequence[Point]]) -> None:
    """Draws words wrong over the length of a chunk, a line for each encoder; all have the same chunks."""
    canvas = Canvas(figsize=(7.2, 3.6), layout="constrained")
    axes = canvas.add_subplot()
    first = next(iter(found.values()))
    whole = next(p.wrong for p in first if p.chunk is None)
    seconds = [p.chunk / ROWS_PER_SECOND for p in first if p.chunk]
    for name, points in found.items():
        axes.plot(seconds, [p.wrong for p in points if p.chunk], "o-", label=name)
    axes.axhline(whole, color="#555", lw=1, label="whole utterance")
    axes.axhline(whole + 3, color="#c0392b", lw=1, ls="--", label="three points more")
    axes.set_xscale("log", base=2)
    axes.set_xticks(seconds, [f"{s:g}" for s in seconds])
    axes.set_xlabel("seconds of a chunk")
    axes.set_ylabel("words wrong, %")
    axes.set_ylim(0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    canvas.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main(
    out: Annotated[Path, typer.Option(help="Folder for the student, the figures and the plot.")],
    clips: Annotated[int, typer.Option(help="Utterances to learn from.")] = 1_500,
    steps: Annotated[int, typer.Option(help="Steps of six utterances.")] = 600,
    count: Annotated[int, typer.Option(help="Sentences to judge by.")] = 96,
    kept: Annotated[Path | None, typer.Option(help="Folder of voices already read.")] = None,
) -> None:
    """Distil, and judge the encoder as it is and the student; a stopped run goes on where it was."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    parts = load_parts()
    made = training_clips(clips, seed=1)
    with typer.progressbar(length=steps, label="learning") as bar:
        pace = Pace(steps, LEARNING_RATE, save_every=50)
        run = Run(out / "student.pt", 1, pace, lambda step: bar.update(step.step - bar.pos))
        student = distil(parts.encoder, made, run)
    encoders = {"as it ships": parts.encoder, "distilled": student}
    found = curves(parts, encoders, count, kept)
    raw = {name: [asdict(point) for point in points] for name, points in found.items()}
    (out / "chunk-mode.json").write_text(json.dumps(raw, indent=2), encoding="utf-8")
    draw(out / "chunk-mode.png", found)
    for name, points in found.items():
        for p in points:
            size = "whole" if p.chunk is None else f"{p.chunk / ROWS_PER_SECOND:.2f} s"
            more, low, high = p.more
            typer.echo(f"{name}, {size}: {p.wrong:.1f} %, {more:+.1f} ({low:+.1f} to {high:+.1f})")


if __name__ == "__main__":
    typer.run(main)
