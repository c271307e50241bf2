"""The small backbone on a CPU: bfloat16 for prompts, four bits for single tokens.

The backbone's weights come on a four-bit grid (groups of 32), so packing them again loses
nothing; our fine-tuning stays beside them as low-rank matrices in bfloat16. A prompt goes through
merged bfloat16 weights, where the matrix units are fast; a single token is bound by memory and
goes through the packed ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from vita_model.backbone import Backbone, BackboneShape

GROUP = 32
FEW_ROWS = 6
"""Up to this many rows the packed weights are faster than the bfloat16 ones."""
FUSED = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "out": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}


@dataclass(slots=True)
class Cache:
    """Keys and values of one sequence, with the identity of every row.

    Attributes:
        keys: `[layers, kv_heads, capacity, head_width]`, bfloat16; grows by doubling.
        values: Like `keys`.
        rows: What stands at each position; the length is the number of rows in use.
    """

    keys: Tensor
    values: Tensor
    rows: list[Hashable] = field(default_factory=list)

    def shared(self, rows: Sequence[Hashable]) -> int:
        """Length of the common beginning with another sequence."""
        count = 0
        for mine, other in zip(self.rows, rows, strict=False):
            if mine != other:
                break
            count += 1
        return count

    def cut(self, length: int) -> None:
        """Forget everything from `length` on."""
        del self.rows[length:]

    def reserve(self, length: int) -> None:
        """Make room for `length` rows."""
        capacity = self.keys.shape[2]
        if length > capacity:
            more = max(capacity, length - capacity)
            self.keys = F.pad(self.keys, (0, 0, 0, more))
            self.values = F.pad(self.values, (0, 0, 0, more))


class Packed:
    """One matrix for few rows: four-bit groups and a low-rank part."""

    def __init__(self, weight: Tensor, down: Tensor | None, up: Tensor | None) -> None:
        rows, columns = weight.shape
        groups = weight.view(rows, columns // GROUP, GROUP)
        low, high = groups.amin(-1), groups.amax(-1)
        step = ((high - low) / 15).clamp(min=1e-8)
        codes = ((groups - low[..., None]) / step[..., None]).round().clamp(0, 15)
        self._codes = torch._convert_weight_to_int4pack_for_cpu(  # noqa: SLF001 - torch is pinned
            codes.to(torch.int32).view(rows, columns), 1
        )
        self._scales = (
            torch.stack([step, low + step * 8], -1).transpose(0, 1).contiguous().bfloat16()
        )
        self._down = None if down is None else down.bfloat16()
        self._up = None if up is None else up.bfloat16()

    def __call__(self, x: Tensor) -> Tensor:
        """`[rows, columns]` in bfloat16 to `[rows, out]`."""
        y = torch._weight_int4pack_mm_for_cpu(  # noqa: SLF001 - torch is pinned
            x, self._codes, GROUP, self._scales
        )
        if self._down is not None and self._up is not None:
            y = y + F.linear(F.linear(x, self._down), self._up)
        return y


@dataclass(frozen=True, slots=True)
class _Layer:
    packed: dict[str, Packed]
    merged: dict[str, Tensor]
    norm_in: Tensor
    norm_out: Tensor


def _low_rank(
    delta: Mapping[str, Tensor], layer: int, names: Sequence[str], sizes: Sequence[int]
) -> tuple[Tensor | None, Tensor | None]:
    """Adapters of fused matrices: downs stacked, ups on a block diagonal."""
    downs, ups = [], []
    for name in names:
        down = delta.get(f"layers.{layer}.{name}.down")
        if down is None:
            return None, None
        downs.append(down.float())
        ups.append(delta[f"layers.{layer}.{name}.up"].float())
    if any(up.shape[0] != size for up, size in zip(ups, sizes, strict=True)):
        raise ValueError(f"the delta of layer {layer} does not fit the backbone")
    return torch.cat(downs), torch.block_diag(*ups)


class LanguageModel:
    """SmolLM2 plus our delta. Not thread-safe per cache; weights are shared freely."""

    def __init__(
        self, backbone: Backbone, delta: Mapping[str, Tensor], markers: Sequence[int]
    ) -> None:
        shape: BackboneShape = backbone.shape
        self.shape = shape
        table = backbone.tensor("token_embd.weight")
        if "markers.weight" in delta:
            table[torch.tensor(list(markers))] = delta["markers.weight"].float()
        self.table = table.bfloat16()
        scale = table.abs().amax(1) / 127
        self._head = ((table / scale[:, None]).round().to(torch.int8), scale.bfloat16())
        self._norm = backbone.tensor("output_norm.weight").bfloat16()
        with ThreadPoolExecutor(2) as pool:
            self._layers = list(
                pool.map(lambda index: self._layer(backbone, delta, index), range(shape.layers))
            )
        half = shape.head_width // 2
        self._inverse = shape.rope_base ** (-torch.arange(half) / half)

    def _layer(self, backbone: Backbone, delta: Mapping[str, Tensor], index: int) -> _Layer:
        weights = backbone.layer(index)
        packed, merged = {}, {}
        for fused, names in FUSED.items():
            parts = [weights[f"{name}.weight"] for name in names]
            weight = torch.cat(parts)
            down, up = _low_rank(delta, index, names, [len(p) for p in parts])
            packed[fused] = Packed(weight, down, up)
            full = weight if down is None or up is None else weight + up @ down
            merged[fused] = full.bfloat16()
        return _Layer(
            packed,
            merged,
            weights["input_layernorm.weight"].bfloat16(),
            weights["post_attention_layernorm.weight"].bfloat16(),
        )

    @property
    def parameters(self) -> int:
        """Number of weights of the backbone."""
        shape = self.shape
        attention = shape.width * shape.head_width * 2 * (shape.heads + shape.kv_heads)
        block = attention + 3 * shape.width * shape.hidden + 2 * shape.width
        return shape.vocabulary * shape.width + shape.layers * block + shape.width

    def cache(self, capacity: int = 512) -> Cache:
        """An empty cache."""
        shape = self.shape
        size = (shape.layers, shape.kv_heads, capacity, shape.head_width)
        return Cache(
            torch.zeros(size, dtype=torch.bfloat16), torch.zeros(size, dtype=torch.bfloat16)
        )

    def rows(self, ids: Sequence[int]) -> Tensor:
        """Embedding rows, `[n, width]` in bfloat16."""
        return self.table[torch.tensor(ids, dtype=torch.long)]

    @torch.inference_mode()
    def extend(self, cache: Cache, rows: Tensor, names: Sequence[Hashable]) -> Tensor:
        """Append rows `[n, width]` to a sequence; returns the last hidden state `[width]`."""
        shape, start, count = self.shape, len(cache.rows), len(rows)
        cache.reserve(start + count)
        few = count <= FEW_ROWS
        angle = torch.arange(start, start + count)[:, None] * self._inverse[None]
        cos, sin = angle.cos().bfloat16()[:, None], angle.sin().bfloat16()[:, None]
        mask = None
        if count > 1:
            mask = torch.arange(start + count)[None] <= torch.arange(start, start + count)[:, None]
        x = rows.bfloat16()
        query = shape.heads * shape.head_width
        for index, layer in enumerate(self._layers):
            h = _norm(x, layer.norm_in, shape.epsilon)
            fused = layer.packed["qkv"](h) if few else F.linear(h, layer.merged["qkv"])
            turned = _rotate(
                fused[:, : query + shape.kv_heads * shape.head_width].view(
                    count, -1, shape.head_width
                ),
                cos,
                sin,
            )
            q, k = turned[:, : shape.heads], turned[:, shape.heads :]
            v = fused[:, query + shape.kv_heads * shape.head_width :].view(
                count, shape.kv_heads, -1
            )
            cache.keys[index, :, start : start + count] = k.transpose(0, 1)
            cache.values[index, :, start : start + count] = v.transpose(0, 1)
            out = (
                F.scaled_dot_product_attention(
                    q.transpose(0, 1)[None],
                    cache.keys[index, :, : start + count][None],
                    cache.values[index, :, : start + count][None],
                    attn_mask=mask,
                    enable_gqa=True,
                )[0]
                .transpose(0, 1)
                .reshape(count, query)
            )
            x = x + (layer.packed["out"](out) if few else F.linear(out, layer.merged["out"]))
            h = _norm(x, layer.norm_out, shape.epsilon)
            both = layer.packed["gate_up"](h) if few else F.linear(h, layer.merged["gate_up"])
            gate, up = both.chunk(2, -1)
            inner = F.silu(gate) * up
            x = x + (layer.packed["down"](inner) if few else F.linear(inner, layer.merged["down"]))
        cache.rows.extend(names)
        return _norm(x[-1:], self._norm, shape.epsilon)[0]

    @torch.inference_mode()
    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next token, `[vocabulary]` in float32."""
        scores = torch._weight_int8pack_mm(  # noqa: SLF001 - torch is pinned
            hidden[None], *self._head
        )
        return scores[0].float()


def _norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight, epsilon)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
