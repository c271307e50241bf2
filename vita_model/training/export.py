"""Puts what the stages learnt into a checkpoint beside the parts that stay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from vita_model.backbone import open_backbone
from vita_model.compact import pack, unpack
from vita_model.tiny import CONFIG, LEXICON, WEIGHTS
from vita_model.training import (
    codec,
    language,
    listener,
    pronunciation,
    reader,
    speaker,
    vision,
)

WORDS = 60_000
"""Sampled utterances that the word model counts."""
BYTES = ("audio_encoder.", "audio_adapter.", "reader.", "language.")
PREFIXES = {
    "language": "language.",
    "vision": "vision.",
    "listener": "audio_adapter.",
    "reader": "reader.",
    "codec": "codec.",
    "speller": "speller.",
    "speaker": "speech_decoder.",
}
"""Beginnings of tensor names, by what recipes call the part."""


def write(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write weights and sizes; parts that lose nothing by it in a byte a number, others in two."""
    folder.mkdir(parents=True, exist_ok=True)
    small = pack({n: v for n, v in tensors.items() if n.startswith(BYTES)})
    large = {
        n: v.half() if v.is_floating_point() else v for n, v in tensors.items() if n not in small
    }
    save_file({n: v.contiguous() for n, v in (small | large).items()}, folder / WEIGHTS)
    text = json.dumps(config, ensure_ascii=False, indent=1)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def part(folder: Path, prefix: str) -> dict[str, Tensor]:
    """The tensors of one part of a checkpoint without the prefix, numbers in single precision."""
    found = unpack(load_file(folder / WEIGHTS))
    return {
        n.removeprefix(prefix): v.float() if v.is_floating_point() else v
        for n, v in found.items()
        if n.startswith(prefix)
    }


def renew(trained: Mapping[str, Path], checkpoint: Path, folder: Path) -> None:
    """Write a copy of a checkpoint with every part that was trained anew.

    Args:
        trained: State files by what they trained, as recipes name it.
        checkpoint: The folder that is copied.
        folder: The new one.
    """
    tensors = unpack(load_file(checkpoint / WEIGHTS))
    config = json.loads((checkpoint / CONFIG).read_text(encoding="utf-8"))
    new: dict[str, Mapping[str, Tensor]] = {}
    if file := trained.get("language"):
        new["language"] = language.load(file.with_suffix(".safetensors"))
    if file := trained.get("vision"):
        eye = vision.load(file, tensors["language.markers.weight"].shape[1])
        new["vision"], config["vision"] = eye.state_dict(), eye.config.model_dump()
    if file := trained.get("listener"):
        adapter = listener.load(file)
        new["audio_adapter"], config["audio_adapter"] = adapter.state_dict(), asdict(adapter.config)
        new["word_model"] = listener.words(adapter, open_backbone().tokenizer(), WORDS).tensors()
    if file := trained.get("reader"):
        reads = reader.load(file)
        new["reader"], config["reader"] = reads.state_dict(), asdict(reads.config)
    if file := trained.get("codec"):
        coder = codec.load(file)
        new["codec"], config["codec"] = coder.state_dict(), asdict(coder.config)
    lexicon = checkpoint / LEXICON
    if file := trained.get("speller"):
        speller = pronunciation.load(file)
        new["speller"], config["speller"] = speller.state_dict(), asdict(speller.config)
        config["speller_phonemes"], lexicon = speller.phonemes, file.parent / LEXICON
    if file := trained.get("speaker"):
        decoder, config["phonemes"] = speaker.load(file)
        new["speech_decoder"], config["speech_decoder"] = (
            decoder.state_dict(),
            asdict(decoder.config),
        )
    kept = {n: v for n, v in tensors.items() if n.partition(".")[0] not in new}
    for part_name, values in new.items():
        kept |= {f"{part_name}.{name}": value for name, value in values.items()}
    write(folder, kept, config)
    if folder.resolve() != lexicon.parent.resolve():
        shutil.copyfile(lexicon, folder / LEXICON)
