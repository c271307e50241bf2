"""A conversation of a dataset as ids, labels and media, in the layout the model is asked in."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.audio.features import filter_bank
from vita_model.audio.read import read_audio
from vita_model.config import VitaConfig
from vita_model.media import MediaError, read_bytes
from vita_model.prompt import GLYPHS, Media, Turn, build_prompt, tokenize
from vita_model.splice import IGNORE
from vita_model.training.conversations import DatasetError, Example
from vita_model.vision import tiling
from vita_model.vision.picture import read_picture
from vita_model.vision.video import read_video

_MARK = re.compile("(<image>|<audio>|<video>)")
_OPEN, _END = "<|im_start|>assistant\n", "<|im_end|>"
SPEECH_STATE, NOISE_STATE = -101, -102
"""Labels on the last row of an utterance, for the head that tells queries from noise."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One example ready for `splice`.

    Attributes:
        ids: int64 `[n]` with placeholders.
        labels: int64 `[n]`, `IGNORE` except on answers, their marks and ends.
        tiles: `[tiles, 3, size, size]`, none where nothing is shown.
        sounds: Filter banks `[frames, bins]` of each utterance.
        states: `SPEECH_STATE` or `NOISE_STATE` of each utterance.
    """

    ids: Tensor
    labels: Tensor
    tiles: Tensor | None
    sounds: list[Tensor]
    states: list[int]


def render(
    example: Example, tokenizer: Tokenizer, config: VitaConfig, *, most_tiles: int = 12
) -> Rendered:
    """Read the media of an example and lay it out.

    Args:
        example: See `read_examples`.
        tokenizer: The model's.
        config: The model's.
        most_tiles: Tiles of the pictures of one example, thumbnails not counted.

    Raises:
        DatasetError: A medium cannot be read.
    """
    try:
        return _render(example, tokenizer, config, most_tiles)
    except MediaError as error:
        raise DatasetError(f"{example.place}: {error}") from error


def _render(example: Example, tokenizer: Tokenizer, config: VitaConfig, most: int) -> Rendered:
    size = config.vision.image_size if config.vision else 448
    share = max(1, most // max(1, len(example.images)))
    shown: list[list[Image.Image]] = []
    for file in example.images:
        picture = read_picture(read_bytes(file, "picture"), 3 * size)
        shown.append(tiling.tiles(picture, share, size))
    film = read_video(example.video) if example.video else []
    turns, tiles, states = _turns(example, shown, film)
    ids, labels = _tokens(turns, tokenizer, closed=example.closed, video=bool(film))
    bins = int(getattr(config.audio, "mel_bins", 80))
    sounds = [filter_bank(torch.from_numpy(read_audio(file)), bins) for file in example.audios]
    pixels = tiling.batch(tiles, size) if tiles else None
    return Rendered(ids, labels, pixels, sounds, states)


def _turns(
    example: Example, shown: list[list[Image.Image]], film: list[Image.Image]
) -> tuple[list[Turn], list[Image.Image], list[int]]:
    turns: list[Turn] = []
    tiles: list[Image.Image] = []
    states: list[int] = []
    pictures = iter(shown)
    for index, saying in enumerate(example.sayings):
        if saying.who == "gpt":
            words = saying.value.strip()
            turns.append(Turn("assistant", (words,), example.markers[index // 2]))
            continue
        noise = example.markers[index // 2] == "noise"
        parts: list[str | Media] = []
        for piece in _MARK.split(saying.value):
            if piece == "<audio>":
                parts.append(Media.AUDIO)
                states.append(NOISE_STATE if noise else SPEECH_STATE)
            elif piece in ("<image>", "<video>"):
                new = next(pictures) if piece == "<image>" else film
                tiles += new
                parts += [Media.IMAGE] * len(new)
            elif piece.strip():
                parts.append(re.sub(r"\n{2,}", "\n", piece.strip("\n")))
        turns.append(Turn("user", tuple(parts)))
    return turns, tiles, states


def _tokens(
    turns: list[Turn], tokenizer: Tokenizer, *, closed: bool, video: bool
) -> tuple[Tensor, Tensor]:
    """Ids of the whole, and labels on what the agent says."""

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    whole = build_prompt(turns, video=video)
    ids: list[int] = []
    labels: list[int] = []
    at = 0
    for index, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        start = whole.index(_OPEN, at) + len(_OPEN)
        before = tokenize(whole[at:start], encode)
        words = "".join(part for part in turn.parts if isinstance(part, str))
        said = (GLYPHS[turn.marker] if turn.marker else "") + words
        at = start + len(said + _END)
        answer = encode(said + (_END if closed or index < len(turns) - 1 else ""))
        ids += [*before, *answer]
        labels += [*[IGNORE] * len(before), *answer]
    return torch.tensor(ids), torch.tensor(labels)
