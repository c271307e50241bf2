"""Train vita-tiny: `python -m vita_model.training STAGE`. Every stage can be stopped and resumed.

Order: `synthesise` (any number of workers), `language` and `vision` (need no audio), `codec`,
`speaker`, `listener`, then `export`. Each stage runs on one core; `language`, `vision` and the
audio stages are independent of each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vita_model.backbone import open_backbone
from vita_model.engine.tiny import TinyVoice
from vita_model.tiny import FOLDER, load_parts
from vita_model.training import (
    adapted,
    corpora,
    export,
    heard,
    language,
    listener,
    pronunciation,
    speaker,
    vision,
)
from vita_model.training import codec as codec_stage

app = typer.Typer(no_args_is_help=True, help=__doc__)
Work = Annotated[Path, typer.Option(help="Folder of corpora and checkpoints.")]
WORK = Path("var/train")
Minutes = Annotated[float, typer.Option(help="CPU minutes to spend.")]

PLAN = [
    ("speaker-test", 1),
    ("speaker-train", 30),
    ("slt", 2),
    ("slt-babble", 2),
    ("joe-test", 1),
    ("kokoro-f", 1),
    ("kokoro-m", 1),
    ("kokoro", 4),
    ("train", 60),
]
"""Kind of shard and how many of them."""


@app.command()
def synthesise(work: Work = WORK, worker: int = 0, workers: int = 1) -> None:
    """Make the speech corpora."""
    corpora.make(work / "data", PLAN, worker, workers)


@app.command("language")
def train_language(work: Work = WORK, minutes: Minutes = 50.0) -> None:
    """Stage 1: the backbone answers from its prompt."""
    language.train(open_backbone(), work / "language", adapted.Recipe(minutes=minutes))


@app.command("language-on")
def train_language_on(
    work: Work = WORK, checkpoint: Path = FOLDER, minutes: Minutes = 20.0
) -> None:
    """Stage 1 goes on: all of the last twelve blocks learn, then are cut to rank 64."""
    recipe = adapted.Recipe(
        whole=True, first_layer=18, rank=64, rate=2e-4, minutes=minutes, pictures=0.1, seed=21,
        examined=False,
    )  # fmt: skip
    start = export.part(checkpoint, "language.")
    language.train(open_backbone(), work / "language", recipe, start=start)


@app.command("hear-pictures")
def hear_pictures(work: Work = WORK, checkpoint: Path = FOLDER) -> None:
    """What the trained listener makes of picture questions."""
    voice = TinyVoice(load_parts(checkpoint))
    heard.make(work / "heard-pictures.json", voice.listen, corpora.training_readers())


@app.command("pictures")
def train_pictures(work: Work = WORK, checkpoint: Path = FOLDER, minutes: Minutes = 14.0) -> None:
    """Stage 1.2: the trained language model goes on with pictures in the caller's turns."""
    recipe = adapted.Recipe(minutes=minutes, rate=4e-4, pictures=0.3, seed=17, examined=False)
    language.train(
        open_backbone(),
        work / "pictures",
        recipe,
        start=export.part(checkpoint, "language."),
        heard=work / "heard-pictures.json",
    )


@app.command("listener")
def train_listener(
    work: Work = WORK, minutes: Minutes = 25.0, checkpoint: Path | None = None
) -> None:
    """Stage 2: the adapter writes the caller's words; goes on from a checkpoint's, if given."""
    tokenizer = open_backbone().tokenizer()
    recipe = listener.Recipe(minutes=minutes, rate=8e-4 if checkpoint else 1.5e-3)
    start = export.part(checkpoint, "audio_adapter.") if checkpoint else None
    listener.train(work / "data", work / "listener", tokenizer, recipe, start)


@app.command("codec")
def train_codec(work: Work = WORK, minutes: Minutes = 9.0) -> None:
    """Stage 3.1: the codec."""
    codec_stage.train(work / "data", work / "codec", codec_stage.Recipe(minutes=minutes))


@app.command("speaker")
def train_speaker(work: Work = WORK, minutes: Minutes = 25.0) -> None:
    """Stage 3.2: lexicon and speller if missing, then the speech decoder."""
    pronunciation.make(work, open_backbone().tokenizer())
    codec = codec_stage.load(work / "codec")
    speaker.train(work / "data", work / "speaker", codec, speaker.Recipe(minutes=minutes))


@app.command("vision")
def train_vision(
    work: Work = WORK, minutes: Minutes = 18.0, checkpoint: Path | None = None
) -> None:
    """Stage 1.1: the eye reads drawn pictures; goes on from the eye of a checkpoint, if given."""
    backbone = open_backbone()
    table = backbone.tensor("token_embd.weight")
    recipe = vision.Recipe(minutes=minutes)
    start = export.part(checkpoint, "vision.") if checkpoint else None
    vision.train(backbone.tokenizer(), table, work / "vision", recipe, start)


@app.command("renew")
def renew(work: Work = WORK, checkpoint: Path = FOLDER, folder: Path = FOLDER) -> None:
    """Copy a checkpoint with every part that was trained anew."""
    export.renew(work, checkpoint, folder)


@app.command("export")
def write(work: Work = WORK, folder: Path = FOLDER) -> None:
    """Write the weights of all stages as one checkpoint."""
    export.export(work, folder)


if __name__ == "__main__":
    app()
