"""Gathers the stages' results into the checkpoint that ships."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vita_model.speech.phones import Speller, SpellerConfig
from vita_model.tiny import CONFIG, LEXICON, WEIGHTS, save_parts
from vita_model.training import codec, language, listener, speaker, vision
from vita_model.training.corpora import frozen_encoder

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


def part(folder: Path, prefix: str) -> dict[str, Tensor]:
    """The tensors of one part of a checkpoint, in single precision, without the prefix."""
    found = load_file(folder / WEIGHTS)
    return {n.removeprefix(prefix): v.float() for n, v in found.items() if n.startswith(prefix)}


def renew(work: Path, checkpoint: Path, folder: Path) -> None:
    """Write a copy of a checkpoint with a newly trained eye and language model."""
    tensors = load_file(checkpoint / WEIGHTS)
    delta = language.load(work / "pictures" / "language.safetensors")
    eye = vision.load(work / "vision", delta["markers.weight"].shape[1])
    kept = {n: v for n, v in tensors.items() if not n.startswith(("language.", "vision."))}
    kept |= {f"language.{name}": value.half().contiguous() for name, value in delta.items()}
    kept |= {f"vision.{n}": v.half().contiguous() for n, v in eye.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((checkpoint / CONFIG).read_text(encoding="utf-8"))
    config["vision"] = eye.config.model_dump()
    save_file(kept, folder / WEIGHTS)
    (folder / CONFIG).write_text(
        json.dumps(config, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    if folder.resolve() != checkpoint.resolve():
        shutil.copyfile(checkpoint / LEXICON, folder / LEXICON)
