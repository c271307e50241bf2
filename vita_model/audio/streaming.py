"""The whale encoder while the caller is still speaking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from vita_model.audio.adapter import SubsamplingAdapter
from vita_model.audio.encoder import Layer, WhaleEncoder

_OVERLAP = 3
"""Filter-bank frames a chunk shares with the next: the reach of the two convolutions."""


@dataclass(slots=True)
class _Past:
    """Keys, values and key biases of one layer."""

    keys: Tensor | None = None
    values: Tensor | None = None
    bias: Tensor | None = None

    def extend(self, keys: Tensor, values: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.keys is None or self.values is None or self.bias is None:
            return keys, values, bias
        return (
            torch.cat([self.keys, keys], dim=2),
            torch.cat([self.values, values], dim=2),
            torch.cat([self.bias, bias], dim=2),
        )

    def keep(self, frames: int | None, parts: tuple[Tensor, Tensor, Tensor]) -> None:
        """Remember the last `frames` of the parts, all of them when None."""
        first = 0 if frames is None else max(0, parts[0].shape[2] - frames)
        self.keys, self.values, self.bias = (part[:, :, first:] for part in parts)


@dataclass(slots=True)
class WhaleStream:
    """Encodes one utterance chunk by chunk; the cost of a chunk does not grow with `left_chunks` set.

    What it gives equals the whole utterance encoded at once under the same chunk mask. The encoder
    needs a chunk size and the adapter left padding.
    """

    encoder: WhaleEncoder
    adapter: SubsamplingAdapter
    _features: Tensor = field(init=False)
    _tail: Tensor = field(init=False)
    _past: list[_Past] = field(init=False)
    _position: int = 0

    def __post_init__(self) -> None:
        chunk = self.encoder.config.chunk_size
        if chunk <= 0 or chunk % 2:
            raise ValueError("streaming needs an audio encoder with an even chunk size")
        if self.adapter.config.padding != "left":
            raise ValueError("streaming needs an adapter with left padding: it must not look ahead")
        weight = self.adapter.project.weight
        self._features = weight.new_zeros(0, self.encoder.config.mel_bins, dtype=torch.float32)
        tail = self.adapter.config.kernel_size - 1
        self._tail = weight.new_zeros(1, tail, self.adapter.config.input_size)
        self._past = [_Past() for _ in self.encoder.transformer.encoders]

    def _encode(self, features: Tensor) -> Tensor:
        """One chunk: filter banks `[frames, bins]` to rows `[1, n, hidden]`."""
        encoder = self.encoder
        normal = encoder.global_cmvn(features[None]).to(encoder.dtype)
        rows, positions = encoder.transformer.enter(encoder.subsampling(normal), self._position)
        left = encoder.config.left_chunks
        kept = None if left < 0 else left * encoder.config.chunk_size
        for module, past in zip(encoder.transformer.encoders, self._past, strict=True):
            layer = cast(Layer, module)
            normed = layer.norm1(rows)
            parts = past.extend(*layer.self_attn.keys_and_values(normed, positions))
            rows = rows + layer.self_attn.attend(normed, *parts)
            rows = rows + layer.feed_forward(layer.norm2(rows))
            past.keep(kept, parts)
        self._position += rows.shape[1]
        return cast(Tensor, encoder.transformer.after_norm(rows))

    def _adapt(self, rows: Tensor) -> Tensor:
        padded = torch.cat([self._tail, rows], dim=1)
        self._tail = padded[:, padded.shape[1] - self._tail.shape[1] :]
        return self.adapter.reduce(padded)[0]

    @torch.inference_mode()
    def push(self, features: Tensor) -> Tensor:
        """Take further filter banks `[frames, bins]`; returns new rows `[n, width]`, often none."""
        self._features = torch.cat([self._features, features.to(self._features)])
        step = 4 * self.encoder.config.chunk_size
        found = [self.adapter.project.weight.new_zeros(0, self.adapter.project.out_features)]
        while self._features.shape[0] >= step + _OVERLAP:
            found.append(self._adapt(self._encode(self._features[: step + _OVERLAP])))
            self._features = self._features[step:]
        return torch.cat(found)

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """The rows `[n, width]` of the last, incomplete chunk; the utterance is over then."""
        if self._features.shape[0] < 4 + _OVERLAP:
            return self.adapter.project.weight.new_zeros(0, self.adapter.project.out_features)
        rows = self._encode(self._features)
        self._features = self._features[:0]
        return self._adapt(rows)
