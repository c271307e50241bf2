"""Small datasets of every kind: tones for voices, blocks of colour for pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

WORDS = ["one two", "three", "four five", "six", "seven", "eight nine", "ten", "zero"]


def recordings(folder: Path, rate: int = 16_000, seconds: float = 0.8) -> Path:
    """Eight recordings, a tone of its own for each, with their words; each a little longer."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, words in enumerate(WORDS):
        time = np.arange(int(rate * (seconds + 0.05 * number))) / rate
        tone = 0.3 * np.sin(2 * np.pi * (200 + 60 * number) * time)
        soundfile.write(folder / f"{number}.wav", tone.astype(np.float32), rate)
        lines.append(json.dumps({"audio": f"{number}.wav", "text": words}))
    table = folder / "recordings.jsonl"
    table.write_text("\n".join(lines))
    return table


def conversations(folder: Path) -> Path:
    """Eight conversations in the published JSON: typed, spoken, with pictures, and one noise."""
    recordings(folder)
    found = []
    for number, words in enumerate(WORDS):
        shown = number % 2 == 0
        spoken = number % 3 == 0
        if shown:
            colour = (30 * number, 255 - 30 * number, 80)
            Image.new("RGB", (40, 20), colour).save(folder / f"{number}.png")
        question = ("<image>\n" if shown else "") + ("<audio>" if spoken else "Which number?")
        found.append(
            {
                "set": "made",
                "id": number,
                "conversations": [
                    {"from": "human", "value": question},
                    {"from": "gpt", "value": f"It is {words}."},
                ],
                **({"image": f"{number}.png"} if shown else {}),
                **({"audio": [f"{number}.wav"]} if spoken else {}),
                **({"inserted_id": 1} if number == 3 else {}),
                **({"end_tag": False} if number == 4 else {}),
            }
        )
    file = folder / "chats.json"
    file.write_text(json.dumps(found))
    return file
