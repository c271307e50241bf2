"""Corpora for vita-tiny's stages without any voice: rows and features that tell what was said."""

from __future__ import annotations

from pathlib import Path

import torch

SAID = ["where are you", "what time do you open", "four two nine", "thank you", "on friday", ""]
PHONES = ["h", "e", "l", "o", "w"]


def corpora(folder: Path) -> Path:
    """One shard of listener's rows and one of speaker's sentences, twelve of each."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(1)
    words = {word: torch.randn(384, generator=generator) for said in SAID for word in said.split()}
    rows, told = [], SAID * 2
    for said in told:
        parts = [words[word].repeat(30, 1) for word in said.split()] or [torch.zeros(40, 384)]
        rows.append(torch.cat(parts).half())
    torch.save(
        {"rows": rows, "said": told, "voice": ["made"] * len(told)}, folder / "train-0000.pt"
    )
    features, phonemes, lengths = [], [], []
    for number in range(12):
        wave = torch.sin(torch.arange(200)[:, None] * (0.02 + 0.01 * number) + torch.arange(82))
        wave[:, 81] = (wave[:, 81] > 0).float()
        features.append(wave.half())
        phonemes.append([PHONES[(number + place) % 5] for place in range(8)])
        lengths.append([24_000 * 200 // 80 // 8] * 8)
    table = {"features": features, "phonemes": phonemes, "lengths": lengths}
    for split in ("train", "test"):
        torch.save({**table, "text": ["Hello."] * 12}, folder / f"speaker-{split}-0000.pt")
    return folder
