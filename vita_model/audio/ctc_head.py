"""What the caller said, as text: a CTC head on the audio encoder, whole or while they speak.

The published weights have none. A head of one's own lies beside a checkpoint in two files.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn
from typing_extensions import override

from vita_model.audio.encoder import WhaleEncoder
from vita_model.audio.features import FilterBankStream, filter_bank
from vita_model.audio.streaming import EncoderStream
from vita_model.checkpoint import CheckpointError, Device, load_checkpoint, save_module
from vita_model.config import Config, Positive

HEAD_CONFIG, HEAD_WEIGHTS = "transcript.json", "transcript.safetensors"
LETTERS = (" ", "'", *"abcdefghijklmnopqrstuvwxyz")
_LEAST_FRAMES = 7


class CtcHeadConfig(Config):
    """A head's units and what it may see.

    Attributes:
        input_size: Width of the encoder's rows.
        units: Text of every class but the first, which is the blank.
        chunk_size: Encoder frames (40 ms) that are read at once, an even number; a frame sees its
            own chunk whole.
        left_chunks: Chunks before it that a frame sees; -1 is all.
    """

    input_size: Positive = 1024
    units: tuple[str, ...] = LETTERS
    chunk_size: int = Field(default=16, gt=0, multiple_of=2)
    left_chunks: int = -1


class CtcHead(nn.Module):
    """Encoder rows to logits over the blank and the units."""

    def __init__(self, config: CtcHeadConfig) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.input_size)
        self.out = nn.Linear(config.input_size, len(config.units) + 1)

    @override
    def forward(self, rows: Tensor) -> Tensor:
        """`[batch, n, input_size]` to logits `[batch, n, units + 1]`."""
        logits: Tensor = self.out(self.norm(rows.to(self.out.weight)))
        return logits

    @property
    def chunk(self) -> tuple[int, int]:
        """Chunk size and left chunks."""
        return self.config.chunk_size, self.config.left_chunks


@dataclass(slots=True)
class Collapse:
    """Likeliest classes to text: repetitions count once, blanks not at all."""

    units: Sequence[str]
    text: str = ""
    _last: int = 0

    def push(self, classes: Sequence[int]) -> str:
        """Take the classes of further frames; returns the text they add."""
        before = len(self.text)
        for number in classes:
            if number not in (0, self._last):
                self.text += self.units[number - 1]
            self._last = number
        return self.text[before:]


@torch.inference_mode()
def written(encoder: WhaleEncoder, head: CtcHead, samples: Tensor) -> str:
    """The words of one utterance `[n]` at 16 kHz."""
    features = filter_bank(samples, encoder.config.mel_bins)
    if features.shape[0] < _LEAST_FRAMES:
        return ""
    lengths = torch.tensor([features.shape[0]])
    device = head.out.weight.device
    rows = encoder(features[None].to(device), lengths.to(device), head.chunk).hidden
    collapse = Collapse(head.config.units)
    collapse.push(head(rows)[0].argmax(-1).tolist())
    return " ".join(collapse.text.split())


@dataclass(slots=True)
class TranscriptStream:
    """The caller's words while they speak; in the end the same as `written`.

    Words that were given are never taken back.
    """

    encoder: WhaleEncoder
    head: CtcHead
    _stream: EncoderStream = field(init=False)
    _collapse: Collapse = field(init=False)
    _features: FilterBankStream = field(init=False)

    def __post_init__(self) -> None:
        self._features = FilterBankStream(self.encoder.config.mel_bins)
        self._stream = EncoderStream(self.encoder, chunk=self.head.chunk)
        self._collapse = Collapse(self.head.config.units)

    @property
    def text(self) -> str:
        """All words so far; the last may go on."""
        return " ".join(self._collapse.text.split())

    def fork(self) -> TranscriptStream:
        """The same words so far, to go on with in another way."""
        other = copy.copy(self)
        other._features = copy.copy(self._features)  # noqa: SLF001 - of its own kind
        other._stream, other._collapse = self._stream.fork(), copy.copy(self._collapse)  # noqa: SLF001 - of its own kind
        return other

    @torch.inference_mode()
    def push(self, samples: Tensor) -> str:
        """Take further samples `[n]` at 16 kHz; returns all words so far."""
        for rows in self._stream.encode(self._features.push(samples)):
            self._read(rows)
        return self.text

    @torch.inference_mode()
    def finish(self) -> str:
        """The utterance is over; returns all its words."""
        rows = self._stream.encode_rest()
        if rows is not None:
            self._read(rows)
        return self.text

    def _read(self, rows: Tensor) -> None:
        self._collapse.push(self.head(rows)[0].argmax(-1).tolist())


def save_head(head: CtcHead, folder: Path) -> None:
    """Write a head beside a checkpoint."""
    (folder / HEAD_CONFIG).write_text(json.dumps(head.config.model_dump(mode="json")))
    save_module(head, folder / HEAD_WEIGHTS)


def load_head(folder: Path, encoder: nn.Module, device: Device = "cpu") -> CtcHead | None:
    """The head beside a checkpoint, None where there is none.

    Args:
        folder: The checkpoint.
        encoder: The audio encoder it stands on.
        device: Where its weights go.

    Raises:
        CheckpointError: It cannot be read or does not fit the encoder.
    """
    path = folder / HEAD_CONFIG
    if not path.is_file():
        return None
    try:
        config = CtcHeadConfig.model_validate_json(path.read_text())
    except (OSError, ValueError, ValidationError) as error:
        raise CheckpointError(f"{path} is not a valid configuration: {error}") from error
    if not isinstance(encoder, WhaleEncoder) or encoder.config.hidden_size != config.input_size:
        raise CheckpointError(f"{path} does not fit the model's audio encoder; remove it")
    with torch.device("meta"):
        head = CtcHead(config)
    load_checkpoint(head, folder / HEAD_WEIGHTS, device=device)
    return head.eval().requires_grad_(requires_grad=False)
