"""Weights of a Qwen2 block in the two forms a CPU wants: packed for few rows, bfloat16 for many.

The small backbone's weights come on a four-bit grid (groups of 32), so packing them again loses
nothing; our fine-tuning stays beside them as low-rank matrices. A prompt goes through merged
bfloat16 weights, where the matrix units are fast; a few rows are bound by memory and go through
the packed ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from vita_model.backbone import Backbone, BackboneShape
from vita_model.packed import can_lay_out, lay_out, times_laid_out
from vita_model.placement import matrix_type

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM

GROUP = 32
FUSED = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "out": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}


class LowRank:
    """What our training adds to a fused matrix: each of its parts has its own `up @ down`.

    Kept as blocks of equal height, since a small product costs what is read for it, and a matrix
    with all parts on its diagonal is mostly zeros. In float32: small bfloat16 products are slower.

    Args:
        downs: `[rank, columns]` of every part.
        ups: `[rows, rank]` of every part.
    """

    def __init__(self, downs: Sequence[Tensor], ups: Sequence[Tensor]) -> None:
        self._rank = max(len(down) for down in downs)
        missing = [self._rank - len(down) for down in downs]
        padded = [F.pad(d.float(), (0, 0, 0, m)) for d, m in zip(downs, missing, strict=True)]
        self._down = torch.cat(padded)
        height = math.gcd(*(len(up) for up in ups))
        counts = [len(up) // height for up in ups]
        self._parts = torch.arange(len(ups)).repeat_interleave(torch.tensor(counts))
        tall = torch.cat([F.pad(u.float(), (0, m)) for u, m in zip(ups, missing, strict=True)])
        self._up = tall.view(len(self._parts), height, -1).transpose(1, 2).contiguous()
        self._one_each = max(counts) == 1

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return self._down.nbytes + self._up.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        """`[rows, columns]` in float32 to `[rows, out]`."""
        small = F.linear(x, self._down).view(len(x), -1, self._rank).transpose(0, 1)
        if not self._one_each:
            small = small[self._parts]
        return torch.bmm(small, self._up).transpose(0, 1).reshape(len(x), -1)

    def whole(self) -> Tensor:
        """The matrix itself, `[out, columns]`."""
        return self(torch.eye(self._down.shape[1])).T


class Packed:
    """One matrix for few rows: four-bit groups and a low-rank part."""

    def __init__(self, weight: Tensor, low_rank: LowRank | None = None) -> None:
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
        self._low_rank = low_rank

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        low_rank = 0 if self._low_rank is None else self._low_rank.nbytes
        return self._codes.nbytes + self._scales.nbytes + low_rank

    def __call__(self, x: Tensor) -> Tensor:
        """`[rows, columns]` in bfloat16 to `[rows, out]`."""
        y = torch._weight_int4pack_mm_for_cpu(  # noqa: SLF001 - torch is pinned
            x, self._codes, GROUP, self._scales
        )
        return y if self._low_rank is None else y + self._low_rank(x.float()).bfloat16()


class Merged:
    """One matrix for many rows, in bfloat16.

    On a CPU that multiplies bfloat16 it lies as oneDNN wants it: twenty rows take two thirds of the
    time, to the same bits. Where a CPU does not, to write the weights out in float32 first takes a
    third to a fifth of the time, and the result is rounded once as well.
    """

    def __init__(self, weight: Tensor) -> None:
        self.nbytes = weight.nbytes
        on_cpu = weight.device.type == "cpu"
        self._laid_out = on_cpu and can_lay_out(weight.dtype)
        self._widened = on_cpu and not self._laid_out and matrix_type() is torch.float32
        self._weight = lay_out(weight) if self._laid_out else weight

    def __call__(self, x: Tensor, *, few: bool = False) -> Tensor:
        """`[rows, columns]` in bfloat16 to `[rows, out]`; a few rows are not worth widening the weights."""
        if self._laid_out:
            return times_laid_out(x, self._weight)
        if self._widened and not few:
            return F.linear(x.float(), self._weight.float()).bfloat16()
        return F.linear(x, self._weight)


class Block(Protocol):
    """One layer of a language model, in whatever form its matrices are kept."""

    @property
    def norm_in(self) -> Tensor:
        """Scale of the norm before attention, `[width]`."""
        ...

    @property
    def norm_out(self) -> Tensor:
        """Scale of the norm before the feed-forward part, `[width]`."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        ...

    def apply(self, name: str, x: Tensor, *, few: bool) -> Tensor:
        """One fused projection (a key of `FUSED`) of `[rows, in]`; `few` rows are a step's tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Layer:
    """One block. `packed` is empty when the weights have no four-bit form."""

    packed: dict[str, Packed]
    merged: dict[str, Merged]
    bias: Tensor | None
    norm_in: Tensor
    norm_out: Tensor

    def apply(self, name: str, x: Tensor, *, few: bool) -> Tensor:
        """One fused projection of `[rows, width]`."""
        y = self.packed[name](x) if few and self.packed else self.merged[name](x, few=few)
        return y + self.bias if name == "qkv" and self.bias is not None else y

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        packed = sum(part.nbytes for part in self.packed.values())
        return packed + sum(part.nbytes for part in self.merged.values())


@dataclass(frozen=True, slots=True)
class Weights:
    """A whole language model.

    Attributes:
        table: Embedding rows, `[vocabulary, width]`; the model computes in their type, where they are.
        head: Output rows in int8 with their scales, or rows in the type of the table alone.
    """

    shape: BackboneShape
    layers: Sequence[Block]
    table: Tensor
    head: tuple[Tensor, Tensor | None]
    norm: Tensor

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        ends = {id(part): part.nbytes for part in (self.table, self.head[0])}
        return sum(layer.nbytes for layer in self.layers) + sum(ends.values())


def small_weights(
    backbone: Backbone, delta: Mapping[str, Tensor], markers: Sequence[int]
) -> Weights:
    """SmolLM2 plus our delta, packed to four bits; `markers` are the ids of its trained rows."""
    table = backbone.tensor("token_embd.weight")
    if "markers.weight" in delta:
        table[torch.tensor(list(markers))] = delta["markers.weight"].float()
    scale = table.abs().amax(1) / 127
    with ThreadPoolExecutor(2) as pool:
        layers = list(
            pool.map(lambda i: _small_layer(backbone, delta, i), range(backbone.shape.layers))
        )
    head = ((table / scale[:, None]).round().to(torch.int8), scale.bfloat16())
    norm = backbone.tensor("output_norm.weight").bfloat16()
    return Weights(backbone.shape, layers, table.bfloat16(), head, norm)


def _small_layer(backbone: Backbone, delta: Mapping[str, Tensor], index: int) -> Layer:
    weights = backbone.layer(index)
    packed, merged = {}, {}
    for fused, names in FUSED.items():
        parts = [weights[f"{name}.weight"] for name in names]
        weight = torch.cat(parts)
        low_rank = _low_rank(delta, index, names, [len(p) for p in parts])
        packed[fused] = Packed(weight, low_rank)
        whole = weight if low_rank is None else weight + low_rank.whole()
        merged[fused] = Merged(whole.bfloat16())
    return Layer(
        packed,
        merged,
        None,
        weights["input_layernorm.weight"].bfloat16(),
        weights["post_attention_layernorm.weight"].bfloat16(),
    )


def _low_rank(
    delta: Mapping[str, Tensor], layer: int, names: Sequence[str], sizes: Sequence[int]
) -> LowRank | None:
    """What training adds to a fused matrix; None where it left the layer alone."""
    downs, ups = [], []
    for name in names:
        down = delta.get(f"layers.{layer}.{name}.down")
        if down is None:
            return None
        downs.append(down)
        ups.append(delta[f"layers.{layer}.{name}.up"])
    if any(up.shape[0] != size for up, size in zip(ups, sizes, strict=True)):
        raise ValueError(f"the delta of layer {layer} does not fit the backbone")
    return LowRank(downs, ups)


@torch.no_grad()
def qwen2_weights(model: Qwen2ForCausalLM, *, four_bits: bool = False) -> Weights:
    """Any Qwen2 model, in bfloat16; `four_bits` also packs it, which rounds its weights."""
    config: Any = model.config
    shape = BackboneShape(
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        hidden=config.intermediate_size,
        vocabulary=config.vocab_size,
        rope_base=float(config.rope_parameters["rope_theta"]),
        epsilon=config.rms_norm_eps,
    )
    layers = []
    for block in model.model.layers:
        fused = {
            name: torch.cat([block.get_submodule(part).weight for part in parts])
            for name, parts in FUSED.items()
        }
        bias = torch.cat([block.get_submodule(part).bias for part in FUSED["qkv"]])
        packed = {n: Packed(w.float()) for n, w in fused.items()} if four_bits else {}
        layers.append(
            Layer(
                packed,
                {name: Merged(weight.bfloat16()) for name, weight in fused.items()},
                bias.bfloat16(),
                block.input_layernorm.weight.bfloat16(),
                block.post_attention_layernorm.weight.bfloat16(),
            )
        )
    table = model.model.embed_tokens.weight.bfloat16()
    head = model.lm_head.weight.bfloat16()
    return Weights(shape, layers, table, (head, None), model.model.norm.weight.bfloat16())
