"""Gathers the stages' results into the checkpoint that ships."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vita_model.backbone import open_backbone
from vita_model.compact import pack, unpack
from vita_model.speech.phones import Speller, SpellerConfig
from vita_model.tiny import CONFIG, LEXICON, WEIGHTS, save_parts
from vita_model.training import codec, language, listener, speaker, vision
from vita_model.training.corpora import frozen_encoder

WORDS = 60_000
"""Sampled utterances that the word model counts."""
BYTES = ("audio_encoder.", "audio_adapter.", "language.")
CARD = {
    "name": "vita-tiny",
    "licence": "Apache-2.0",
    "licence_note": "Base parts: SmolLM2-135M-Instruct (Apache-2.0), Whisper tiny.en encoder (MIT).",
}


def export(work: Path, folder: Path) -> None:
    """Write `config.json`, `model.safetensors` and the lexicon of a trained work folder."""
    state = torch.load(work / "speller.pt", weights_only=True)
    speller = Speller(SpellerConfig(), state["phonemes"])
    speller.load_state_dict(state["model"])
    decoder, phonemes = speaker.load(work / "speaker")
    delta = language.load(work / "language" / "language.safetensors")
    modules = {
        "audio_encoder": frozen_encoder(),
        "audio_adapter": listener.load(work / "listener"),
        "codec": codec.load(work / "codec"),
        "speech_decoder": decoder,
        "speller": speller,
        "vision": vision.load(work / "vision", delta["markers.weight"].shape[1]),
    }
    save_parts(folder, modules, delta, phonemes=phonemes, card=CARD)
    shutil.copyfile(work / "lexicon.tsv.gz", folder / LEXICON)


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


def renew(work: Path, checkpoint: Path, folder: Path) -> None:
    """Write a copy of a checkpoint with every part that was trained anew in a work folder.

    Those are `language` or, if there, `pictures`, `vision`, and `listener` with its word model.
    """
    tensors = unpack(load_file(checkpoint / WEIGHTS))
    config = json.loads((checkpoint / CONFIG).read_text(encoding="utf-8"))
    new: dict[str, Mapping[str, Tensor]] = {}
    for stage in ("language", "pictures"):
        if (path := work / stage / "language.safetensors").exists():
            new["language"] = language.load(path)
    if (work / "vision").exists():
        eye = vision.load(work / "vision", tensors["language.markers.weight"].shape[1])
        new["vision"], config["vision"] = eye.state_dict(), eye.config.model_dump()
    if (work / "listener").exists():
        adapter = listener.load(work / "listener")
        new["audio_adapter"], config["audio_adapter"] = adapter.state_dict(), asdict(adapter.config)
        new["word_model"] = listener.words(adapter, open_backbone().tokenizer(), WORDS).tensors()
    kept = {n: v for n, v in tensors.items() if n.partition(".")[0] not in new}
    for part_name, values in new.items():
        kept |= {f"{part_name}.{name}": value for name, value in values.items()}
    write(folder, kept, config)
    if folder.resolve() != checkpoint.resolve():
        shutil.copyfile(checkpoint / LEXICON, folder / LEXICON)
