"""What the listener makes of picture questions, so that the language model learns its mistakes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from vita_model.audio.units import transcript
from vita_model.training import voices
from vita_model.training.channel import RATE, random_line
from vita_model.training.dialogues import Turn
from vita_model.training.dialogues.pictures import picture_lines, seen

SHARE = 0.6
"""Share of the questions known to the table that are given as they were heard."""


class Heard:
    """Spoken questions and the listener's tokens for them."""

    def __init__(self, table: Mapping[str, Sequence[Sequence[int]]], tokenizer: Tokenizer) -> None:
        self._table = table
        self._tokenizer = tokenizer

    @classmethod
    def read(cls, path: Path, tokenizer: Tokenizer) -> Heard:
        """What `make` wrote."""
        return cls(json.loads(path.read_text(encoding="utf-8")), tokenizer)

    def turn(self, rng: random.Random, turn: Turn) -> Turn:
        """The turn, perhaps as the listener heard it.

        A question that asks for yes or no and whose colour or shape was not heard is answered by
        what is seen.
        """
        known = self._table.get(turn.said)
        if not known or not turn.intent.startswith("picture_") or rng.random() > SHARE:
            return turn
        ids = tuple(rng.choice(known))
        if not ids:
            return turn
        words = transcript(ids, self._tokenizer).split()
        reply = turn.reply
        asks = turn.intent in {"picture_is_colour", "picture_is_thing"}
        if asks and turn.picture and len(turn.picture) > 1 and turn.asked not in words:
            reply = seen(turn.picture)
        return replace(turn, heard=ids, reply=reply)


def make(
    path: Path,
    listen: Callable[[voices.Samples], list[int]],
    readers: Sequence[voices.Reader],
    seed: int = 3,
) -> None:
    """Read every training question aloud in several voices and write what is heard."""
    rng = random.Random(seed)
    numbers = np.random.default_rng(seed)
    table: dict[str, list[list[int]]] = {}
    for said in picture_lines(rng, "train"):
        for reader in readers:
            samples = random_line(numbers, voices.at_rate(reader(rng, said), RATE))
            table.setdefault(said, []).append(listen(samples))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table), encoding="utf-8")
