"""Gathers the stages' results into the checkpoint that ships."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from vita_model.speech.phones import Speller, SpellerConfig
from vita_model.tiny import LEXICON, save_parts
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
