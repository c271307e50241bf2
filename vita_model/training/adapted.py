"""The backbone while it learns: low-rank matrices beside it, or whole matrices of its last blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from vita_model.backbone import Backbone, BackboneShape
from vita_model.placement import matrix_type

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of the stage.

    `whole` trains all of the blocks from `first_layer` on instead of low-rank matrices beside them;
    with `first_layer` beyond the last block only the markers' rows learn. `asides` is the share of
    independent turns that become side talk.
    """

    rank: int = 24
    whole: bool = False
    first_layer: int = 8
    scale: float = 2.0
    packs: int = 2
    questions: int = 10
    sampled_vocabulary: int = 6144
    seed: int = 1
    pictures: float = 0.0
    asides: float = 0.0


class Adapted(nn.Module):
    """The backbone with trainable low-rank adapters and marker rows.

    It computes in the type in which the machine is fast, bfloat16 or float32.
    """

    def __init__(
        self,
        backbone: Backbone,
        recipe: Recipe,
        markers: list[int],
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        shape = backbone.shape
        self.shape: BackboneShape = shape
        self.recipe = recipe
        self.markers = torch.tensor(markers)
        self.dtype = matrix_type()
        self.embedding = backbone.tensor("token_embd.weight").to(self.dtype)
        self.norm = backbone.tensor("output_norm.weight").to(self.dtype)
        self.layers: list[dict[str, Tensor]] = []
        rows = start["markers.weight"] if start else self.embedding[self.markers]
        self.marker_rows = nn.Parameter(rows.float().clone())
        whole, down, up = {}, {}, {}
        generator = torch.Generator().manual_seed(recipe.seed)
        for index in range(shape.layers):
            weights = backbone.layer(index)
            for name, value in weights.items():
                short, place = name.split(".")[-2], f"layers.{index}.{name.removesuffix('.weight')}"
                key, matrices = f"{index}_{short}", _pair(start, place)
                if short not in PROJECTIONS:
                    continue
                if index < recipe.first_layer or recipe.whole:
                    weights[name] = value + (matrices[1] @ matrices[0] if matrices else 0)
                if index < recipe.first_layer:
                    continue
                if recipe.whole:
                    whole[key] = nn.Parameter(weights[name].clone())
                else:
                    if matrices is None:
                        noise = torch.randn(recipe.rank, value.shape[1], generator=generator)
                        matrices = (
                            noise / math.sqrt(value.shape[1]),
                            torch.zeros(value.shape[0], recipe.rank),
                        )
                    down[key] = nn.Parameter(matrices[0].clone())
                    up[key] = nn.Parameter(matrices[1] / recipe.scale)
            self.layers.append({n: value.to(self.dtype) for n, value in weights.items()})
        self.whole = nn.ParameterDict(whole)
        self.down = nn.ParameterDict(down)
        self.up = nn.ParameterDict(up)

    def _linear(self, x: Tensor, layer: int, name: str, short: str) -> Tensor:
        key = f"{layer}_{short}"
        if key in self.whole:
            return F.linear(x, self.whole[key].to(self.dtype))
        y = F.linear(x, self.layers[layer][name])
        if key in self.down:
            low = F.linear(x, self.down[key].to(self.dtype))
            y = y + self.recipe.scale * F.linear(low, self.up[key].to(self.dtype))
        return y

    def rows(self, ids: Tensor) -> Tensor:
        """Embedding rows with the trainable markers put in, `[tokens, width]`."""
        base = self.embedding[ids]
        for index, marker in enumerate(self.markers.tolist()):
            own = self.marker_rows[index].to(self.dtype)
            base = torch.where((ids == marker)[:, None], own, base)
        return base

    @override
    def forward(self, ids: Tensor, positions: Tensor, allowed: Tensor) -> Tensor:
        """Final hidden states.

        Args:
            ids: `[tokens]`.
            positions: `[tokens]`, restarting after the prompt for every question.
            allowed: `[tokens, tokens]` boolean, who may see whom.

        Returns:
            `[tokens, width]`, in `dtype`.
        """
        shape = self.shape
        x = self.rows(ids)
        half = shape.head_width // 2
        inverse = shape.rope_base ** (-torch.arange(half) / half)
        angle = positions[:, None].float() * inverse[None]
        cos, sin = (part.to(self.dtype)[None] for part in (angle.cos(), angle.sin()))

        def rotate(value: Tensor) -> Tensor:
            a, b = value[..., :half], value[..., half:]
            return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

        for index in range(shape.layers):
            with torch.set_grad_enabled(index >= self.recipe.first_layer and self.training):
                weights = self.layers[index]
                h = _norm(x, weights["input_layernorm.weight"], shape.epsilon)
                q = self._linear(h, index, "self_attn.q_proj.weight", "q_proj")
                k = self._linear(h, index, "self_attn.k_proj.weight", "k_proj")
                v = self._linear(h, index, "self_attn.v_proj.weight", "v_proj")
                tokens = len(ids)
                q = rotate(q.view(tokens, shape.heads, -1).transpose(0, 1))
                k = rotate(k.view(tokens, shape.kv_heads, -1).transpose(0, 1))
                v = v.view(tokens, shape.kv_heads, -1).transpose(0, 1)
                groups = shape.heads // shape.kv_heads
                out = F.scaled_dot_product_attention(
                    q[None],
                    k.repeat_interleave(groups, 0)[None],
                    v.repeat_interleave(groups, 0)[None],
                    attn_mask=allowed,
                )[0]
                out = out.transpose(0, 1).reshape(tokens, -1)
                x = x + self._linear(out, index, "self_attn.o_proj.weight", "o_proj")
                h = _norm(x, weights["post_attention_layernorm.weight"], shape.epsilon)
                gate = self._linear(h, index, "mlp.gate_proj.weight", "gate_proj")
                up = self._linear(h, index, "mlp.up_proj.weight", "up_proj")
                x = x + self._linear(F.silu(gate) * up, index, "mlp.down_proj.weight", "down_proj")
        return _norm(x, self.norm, shape.epsilon)


def _norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    wide = x.float()
    scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
    return scaled.to(x.dtype) * weight


def _pair(start: Mapping[str, Tensor] | None, place: str) -> tuple[Tensor, Tensor] | None:
    """The two matrices of one place, `[rank, columns]` and `[rows, rank]`."""
    if start is None or f"{place}.down" not in start:
        return None
    return start[f"{place}.down"].float(), start[f"{place}.up"].float()


def cut(
    model: Adapted, backbone: Backbone, start: Mapping[str, Tensor] | None, rank: int
) -> dict[str, Tensor]:
    """What `model` has learnt, as low-rank matrices of the given rank beside the backbone.

    Blocks that it left alone keep the matrices of `start`. The cut keeps the largest singular
    values of each difference.
    """
    delta = {"markers.weight": model.marker_rows.detach()}
    for index in range(model.shape.layers):
        weights = backbone.layer(index)
        for name, value in weights.items():
            short, place = name.split(".")[-2], f"layers.{index}.{name.removesuffix('.weight')}"
            key = f"{index}_{short}"
            if key in model.whole:
                u, s, v = torch.svd_lowrank(
                    model.whole[key].detach() - value, q=min(rank + 16, *value.shape), niter=3
                )
                root = s[:rank].sqrt()
                pair = (root[:, None] * v[:, :rank].T, u[:, :rank] * root)
            elif key in model.down:
                pair = (model.down[key].detach(), model.up[key].detach() * model.recipe.scale)
            elif (kept := _pair(start, place)) is not None:
                pair = kept
            else:
                continue
            delta[f"{place}.down"], delta[f"{place}.up"] = pair
    return delta
