"""The whale encoder while the caller is still speaking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import torch
from torch import Tensor

from vita_model.audio.adapter import SubsamplingAdapter
from vita_model.audio.encoder import Layer, WhaleEncoder, sinusoids

_OVERLAP = 3
"""Filter-bank frames a chunk shares with the next: the reach of the two convolutions."""


@dataclass(slots=True)
class _Past:
    """Keys, values and key biases of one layer; keys not yet placed where the window slides."""

    parts: tuple[Tensor, ...] = ()

    def extend(self, *parts: Tensor) -> tuple[Tensor, ...]:
        if self.parts:
            parts = tuple(
                torch.cat([old, new], dim=2) for old, new in zip(self.parts, parts, strict=True)
            )
        self.parts = parts
        return parts

    def keep(self, frames: int | None) -> None:
        """Remember the last `frames` only, all of them when None."""
        first = 0 if frames is None else max(0, self.parts[0].shape[2] - frames)
        self.parts = tuple(part[:, :, first:] for part in self.parts)


@dataclass(slots=True)
class WhaleStream:
    """Encodes one utterance chunk by chunk; the cost of a chunk does not grow with `left_chunks` set.

    What it gives equals the whole utterance encoded at once under the same chunk mask. The encoder
    needs a chunk size and the adapter left padding.

    Attributes:
        position: Encoder frames so far.
        sliding: Number key positions by the window of visible chunks, as the reference's streaming
            path does: once the window is full they lag one chunk behind those of the utterance.
    """

    encoder: WhaleEncoder
    adapter: SubsamplingAdapter
    sliding: bool = False
    _features: Tensor = field(init=False)
    _tails: list[Tensor] = field(init=False)
    _past: list[_Past] = field(init=False)
    position: int = 0

    def __post_init__(self) -> None:
        config = self.encoder.config
        if config.chunk_size <= 0 or config.chunk_size % 2:
            raise ValueError("streaming needs an audio encoder with an even chunk size")
        if config.feed_forward != "linear":
            raise ValueError("streaming needs an audio encoder whose feed-forward part is linear")
        if self.sliding and config.left_chunks < 0:
            raise ValueError("a window can only slide when the left chunks are limited")
        if self.adapter.config.padding != "left":
            raise ValueError("streaming needs an adapter with left padding: it must not look ahead")
        weight, size = self.adapter.project.weight, self.adapter.config.input_size
        self._features = weight.new_zeros(0, config.mel_bins, dtype=torch.float32)
        widths = [size, 2 * size] if self.adapter.config.deep else [size]
        self._tails = [weight.new_zeros(1, self.adapter.reach, width) for width in widths]
        self._past = [_Past() for _ in self.encoder.transformer.encoders]

    @property
    def caches(self) -> tuple[list[tuple[Tensor, ...]], list[Tensor]]:
        """What is remembered: per layer keys, values (and biases); per convolution its last rows."""
        return [past.parts for past in self._past], self._tails

    def _attend(self, layer: Layer, past: _Past, positions: Tensor, entered: Tensor) -> Tensor:
        attention = layer.self_attn
        keys, values = attention.keys_and_values(entered)
        if self.sliding:
            keys, values = past.extend(keys, values)
            full = (self.encoder.config.left_chunks + 1) * self.encoder.config.chunk_size
            start = max(0, self.position - full)
            window = sinusoids(start, keys.shape[2], entered.shape[2])[None].to(entered)
            return attention.attend(entered, *attention.place(keys, window), values)
        keys, bias = attention.place(keys, positions)
        keys, values, bias = past.extend(keys, values, bias)
        return attention.attend(entered, keys, bias, values)

    def _encode(self, features: Tensor) -> Tensor:
        """One chunk: filter banks `[frames, bins]` to rows `[1, n, hidden]`."""
        encoder = self.encoder
        normal = encoder.global_cmvn(features[None]).to(encoder.dtype)
        rows, positions = encoder.transformer.enter(encoder.subsampling(normal), self.position)
        left = encoder.config.left_chunks
        for module, past in zip(encoder.transformer.encoders, self._past, strict=True):
            layer = cast(Layer, module)
            rows = layer.around(rows, partial(self._attend, layer, past, positions))
            past.keep(None if left < 0 else left * encoder.config.chunk_size)
        self.position += rows.shape[1]
        return cast(Tensor, encoder.transformer.after_norm(rows))

    def _after_tail(self, number: int, rows: Tensor) -> Tensor:
        padded = torch.cat([self._tails[number], rows], dim=1)
        self._tails[number] = padded[:, padded.shape[1] - self.adapter.reach :]
        return padded

    def adapt(self, rows: Tensor) -> Tensor:
        """The adapter's part of `push`: encoder rows `[1, n, hidden]` to `[m, width]`."""
        if self.adapter.config.deep:
            rows = self.adapter.enter(self._after_tail(0, rows))
        return self.adapter.reduce(self._after_tail(-1, rows))[0]

    @torch.inference_mode()
    def push(self, features: Tensor) -> Tensor:
        """Take further filter banks `[frames, bins]`; returns new rows `[n, width]`, often none."""
        found = [self.adapt(rows) for rows in self.encode(features)]
        none = self.adapter.project.weight.new_zeros(0, self.adapter.project.out_features)
        return torch.cat([none, *found])

    def encode(self, features: Tensor) -> Iterator[Tensor]:
        """The encoder's part of `push`: rows `[1, chunk, hidden]` of each chunk that got complete."""
        self._features = torch.cat([self._features, features.to(self._features)])
        step = 4 * self.encoder.config.chunk_size
        while self._features.shape[0] >= step + _OVERLAP:
            chunk, self._features = self._features[: step + _OVERLAP], self._features[step:]
            yield self._encode(chunk)

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """The rows `[n, width]` of the last, incomplete chunk; the utterance is over then."""
        if self._features.shape[0] < 4 + _OVERLAP:
            return self.adapter.project.weight.new_zeros(0, self.adapter.project.out_features)
        rows = self._encode(self._features)
        self._features = self._features[:0]
        return self.adapt(rows)
