"""The eye puts pictures where the language model keeps the words for them."""

import random

import pytest
import torch
from torch.nn.functional import normalize

from vita_model.engine.tiny import TinyVoice
from vita_model.training.vision import COLOURS, SHAPES, draw, word_rows
from vita_model.vision.eye import pixels

pytestmark = pytest.mark.model


def test_names_colours_and_shapes_of_new_pictures(voice: TinyVoice) -> None:
    parts = voice.parts
    rng = random.Random(99)
    names = [(rng.choice(tuple(COLOURS)), rng.choice(SHAPES)) for _ in range(60)]
    pictures = pixels([draw(rng, *name) for name in names], parts.eye.config.image_size)
    with torch.inference_mode():
        rows = parts.eye.rows(pictures)
    colours, things = word_rows(parts.tokenizer, parts.language.table)
    half = rows.shape[1] // 2
    colour = normalize(rows[:, :half].mean(1), dim=-1) @ normalize(colours, dim=-1).T
    shape = normalize(rows[:, half:].mean(1), dim=-1) @ normalize(things, dim=-1).T
    seen = zip(colour.argmax(1).tolist(), shape.argmax(1).tolist(), strict=True)
    right = [
        (tuple(COLOURS)[c] == name[0]) + ((*SHAPES, *"0123456789")[s] == name[1])
        for (c, s), name in zip(seen, names, strict=True)
    ]
    assert sum(right) / (2 * len(names)) > 0.7
