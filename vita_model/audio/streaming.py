"""The whale encoder while the caller is still speaking."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Self, cast

import torch
from torch import Tensor
from typing_extensions import override

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
class EncoderStream:
    """Encodes one utterance chunk by chunk; the cost of a chunk does not grow with left chunks set.

    What it gives equals the whole utterance encoded at once under the same chunk mask.

    Attributes:
        chunk: (chunk size, left chunks) in encoder frames; None takes the encoder's own.
        sliding: Number key positions by the window of visible chunks, as the reference's streaming
            path does: once the window is full they lag one chunk behind those of the utterance.
        position: Encoder frames so far.
    """

    encoder: WhaleEncoder
    sliding: bool = field(default=False, kw_only=True)
    chunk: tuple[int, int] | None = field(default=None, kw_only=True)
    position: int = field(default=0, kw_only=True)
    _size: int = field(init=False)
    _left: int = field(init=False)
    _features: Tensor = field(init=False)
    _past: list[_Past] = field(init=False)

    def __post_init__(self) -> None:
        config = self.encoder.config
        self._size, self._left = self.chunk or (config.chunk_size, config.left_chunks)
        if self._size <= 0 or self._size % 2:
            raise ValueError("streaming needs an audio encoder with an even chunk size")
        if config.feed_forward != "linear":
            raise ValueError("streaming needs an audio encoder whose feed-forward part is linear")
        if self.sliding and self._left < 0:
            raise ValueError("a window can only slide when the left chunks are limited")
        mean = self.encoder.global_cmvn.mean
        self._features = mean.new_zeros(0, config.mel_bins, dtype=torch.float32)
        self._past = [_Past() for _ in self.encoder.transformer.encoders]

    def fork(self) -> Self:
        """The same utterance so far, to go on with in another way."""
        other = copy.copy(self)
        other._past = [_Past(past.parts) for past in self._past]  # noqa: SLF001 - of its own kind
        return other

    def _attend(self, layer: Layer, past: _Past, positions: Tensor, entered: Tensor) -> Tensor:
        attention = layer.self_attn
        keys, values = attention.keys_and_values(entered)
        if self.sliding:
            keys, values = past.extend(keys, values)
            full = (self._left + 1) * self._size
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
        for module, past in zip(encoder.transformer.encoders, self._past, strict=True):
            layer = cast(Layer, module)
            rows = layer.around(rows, partial(self._attend, layer, past, positions))
            past.keep(None if self._left < 0 else self._left * self._size)
        self.position += rows.shape[1]
        return cast(Tensor, encoder.transformer.after_norm(rows))

    def encode(self, features: Tensor) -> Iterator[Tensor]:
        """Take further filter banks `[frames, bins]`; gives `[1, chunk, hidden]` of complete chunks."""
        self._features = torch.cat([self._features, features.to(self._features)])
        step = 4 * self._size
        while self._features.shape[0] >= step + _OVERLAP:
            chunk, self._features = self._features[: step + _OVERLAP], self._features[step:]
            yield self._encode(chunk)

    def encode_rest(self) -> Tensor | None:
        """The rows `[1, n, hidden]` of the last, incomplete chunk, if any; the utterance is over."""
        if self._features.shape[0] < 4 + _OVERLAP:
            return None
        rows = self._encode(self._features)
        self._features = self._features[:0]
        return rows


@dataclass(slots=True)
class WhaleStream(EncoderStream):
    """Encoder and adapter chunk by chunk; the adapter needs left padding. See `EncoderStream`."""

    adapter: SubsamplingAdapter
    _tails: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        EncoderStream.__post_init__(self)  # a class with slots is made anew and has no super()
        if self.adapter.config.padding != "left":
            raise ValueError("streaming needs an adapter with left padding: it must not look ahead")
        weight, size = self.adapter.conv1d2.weight, self.adapter.config.input_size
        widths = [size, 2 * size] if self.adapter.config.deep else [size]
        self._tails = [weight.new_zeros(1, self.adapter.reach, width) for width in widths]

    @property
    def caches(self) -> tuple[list[tuple[Tensor, ...]], list[Tensor]]:
        """What is remembered: per layer keys, values (and biases); per convolution its last rows."""
        return [past.parts for past in self._past], self._tails

    @override
    def fork(self) -> Self:
        """See `EncoderStream.fork`."""
        other = EncoderStream.fork(self)
        other._tails = list(self._tails)  # noqa: SLF001 - of its own kind
        return other

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
        none = self.adapter.conv1d2.weight.new_zeros(0, self.adapter.project.out_features)
        return torch.cat([none, *found])

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """The rows `[n, width]` of the last, incomplete chunk; the utterance is over then."""
        rows = self.encode_rest()
        if rows is None:
            return self.adapter.conv1d2.weight.new_zeros(0, self.adapter.project.out_features)
        return self.adapt(rows)
