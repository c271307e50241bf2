"""A Qwen2 language model, stepped for many conversations at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vita_model.engine.cache import Cache
from vita_model.engine.packed import Weights

FEW_ROWS = 8
"""Up to this many rows the packed weights are faster than the bfloat16 ones."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows to append to one conversation, `[n, width]`, with the identity of each.

    `wanted` is how many of the last rows somebody wants to know the hidden state of.
    """

    cache: Cache
    rows: Tensor
    names: Sequence[Hashable]
    wanted: int = 1


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a segment lies among the rows of a step, and which rows of its cache it may see."""

    cache: Cache
    begin: int
    end: int
    start: int
    total: int
    mask: Tensor | None


class LanguageModel:
    """Weights are shared freely; a cache is used by one step at a time."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.shape = weights.shape
        self.table = weights.table
        half = self.shape.head_width // 2
        inverse = self.shape.rope_base ** (-torch.arange(half) / half)
        self._inverse = inverse.to(self.table.device)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        shape = self.shape
        attention = shape.width * shape.head_width * 2 * (shape.heads + shape.kv_heads)
        block = attention + 3 * shape.width * shape.hidden + 2 * shape.width
        return shape.vocabulary * shape.width + shape.layers * block + shape.width

    @property
    def weight_bytes(self) -> int:
        """Memory of the weights."""
        return self._weights.nbytes

    @property
    def row_bytes(self) -> int:
        """Memory of one cached row."""
        shape = self.shape
        return 2 * self.table.itemsize * shape.layers * shape.kv_heads * shape.head_width

    def cache(self, capacity: int = 512) -> Cache:
        """An empty cache."""
        shape = self.shape
        size = (shape.layers, shape.kv_heads, capacity, shape.head_width)
        return Cache(self.table.new_zeros(size), self.table.new_zeros(size))

    def rows(self, ids: Sequence[int]) -> Tensor:
        """Embedding rows, `[n, width]` in the model's type."""
        return self.table[torch.tensor(ids, dtype=torch.long, device=self.table.device)]

    def extend(self, cache: Cache, rows: Tensor, names: Sequence[Hashable]) -> Tensor:
        """Append rows `[n, width]` to a sequence; returns the last hidden state `[width]`."""
        return self.step([Segment(cache, rows, names)])[0]

    @torch.inference_mode()
    def step(self, segments: Sequence[Segment]) -> Tensor:
        """Append rows to several sequences in one pass.

        The matrices are read once for all rows; attention goes sequence by sequence over exactly
        the rows each has, which on a CPU is faster than padding them to one length.

        Returns:
            The hidden states wanted, segment by segment, `[states, width]`.
        """
        shape, epsilon = self.shape, self.shape.epsilon
        spans = self._spans(segments)
        x = torch.cat([segment.rows for segment in segments]).to(self.table)
        few = len(x) <= FEW_ROWS
        device = x.device
        places = torch.cat([torch.arange(s.start, s.total, device=device) for s in spans])
        angle = places[:, None] * self._inverse[None]
        cos, sin = angle.cos().to(x)[:, None], angle.sin().to(x)[:, None]
        turning = (shape.heads + shape.kv_heads) * shape.head_width
        for index, layer in enumerate(self._weights.layers):
            h = _norm(x, layer.norm_in, epsilon)
            fused = layer.apply("qkv", h, few=few)
            turned = _rotate(fused[:, :turning].view(len(x), -1, shape.head_width), cos, sin)
            values = fused[:, turning:].view(len(x), shape.kv_heads, shape.head_width)
            outs = [self._attend(index, span, turned, values) for span in spans]
            out = outs[0] if len(outs) == 1 else torch.cat(outs)
            x = x + layer.apply("out", out, few=few)
            h = _norm(x, layer.norm_out, epsilon)
            gate, up = layer.apply("gate_up", h, few=few).chunk(2, -1)
            x = x + layer.apply("down", F.silu(gate) * up, few=few)
        for segment in segments:
            segment.cache.rows.extend(segment.names)
        ends = [(span.end, segment.wanted) for span, segment in zip(spans, segments, strict=True)]
        places = torch.cat([torch.arange(end - wanted, end, device=device) for end, wanted in ends])
        last = x[places]
        return _norm(last, self._weights.norm, epsilon)

    def _spans(self, segments: Sequence[Segment]) -> list[_Span]:
        group = self.shape.heads // self.shape.kv_heads
        spans, begin = [], 0
        for segment in segments:
            start, count = len(segment.cache.rows), len(segment.rows)
            total, mask = start + count, None
            segment.cache.reserve(total)
            if count > 1:
                places = torch.arange(total, device=self.table.device)
                seen = places[None] <= places[start:, None]
                mask = seen.repeat_interleave(group, 0)
            spans.append(_Span(segment.cache, begin, begin + count, start, total, mask))
            begin += count
        return spans

    def _attend(self, layer: int, span: _Span, turned: Tensor, values: Tensor) -> Tensor:
        """Attention of one segment, `[n, heads * head_width]`.

        Query heads that share a key head are laid out as further queries of it: the cache is read
        once for all of them.
        """
        shape, count = self.shape, span.end - span.begin
        cache, part = span.cache, slice(span.begin, span.end)
        cache.keys[layer, :, span.start : span.total] = turned[part, shape.heads :].transpose(0, 1)
        cache.values[layer, :, span.start : span.total] = values[part].transpose(0, 1)
        queries = (
            turned[part, : shape.heads]
            .reshape(count, shape.kv_heads, -1, shape.head_width)
            .transpose(0, 1)
            .reshape(1, shape.kv_heads, -1, shape.head_width)
        )
        out = F.scaled_dot_product_attention(
            queries,
            cache.keys[layer, None, :, : span.total],
            cache.values[layer, None, :, : span.total],
            attn_mask=span.mask,
        )
        return (
            out.view(shape.kv_heads, count, -1, shape.head_width).transpose(0, 1).reshape(count, -1)
        )

    @torch.inference_mode()
    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next token, `[..., width]` to `[..., vocabulary]` in float32."""
        rows = hidden if hidden.dim() == 2 else hidden[None]
        table, scale = self._weights.head
        if scale is None:
            scores = F.linear(rows, table)
        else:
            scores = torch._weight_int8pack_mm(rows, table, scale)  # noqa: SLF001 - torch is pinned
        return scores.float().view(*hidden.shape[:-1], -1)


def _norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight, epsilon)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
