"""A loaded Qwen2's own layers as the engine's blocks: nothing is copied, whatever form they have.

`packed.qwen2_weights` fuses matrices and so holds all of them a second time for a while. A model
that fills its GPU, or whose layers are kept in fewer bits, is computed through its own modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vita_model.backbone import BackboneShape
from vita_model.engine.packed import FUSED, Weights

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM


class StockBlock:
    """One decoder layer."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer
        self._parts: dict[str, Sequence[nn.Module]] = {
            fused: [layer.get_submodule(name) for name in names] for fused, names in FUSED.items()
        }
        found: Any = layer
        self.norm_in: Tensor = found.input_layernorm.weight
        self.norm_out: Tensor = found.post_attention_layernorm.weight

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return sum(weight.nbytes for weight in self._layer.parameters())

    def apply(self, name: str, x: Tensor, *, few: bool) -> Tensor:
        """As `Block`; the same for few rows and many."""
        del few
        parts = [part(x) for part in self._parts[name]]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def stock_weights(model: Qwen2ForCausalLM) -> Weights:
    """The weights of a model on one device, where and as they are."""
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
    inner: Any = model.model
    table: Tensor = inner.embed_tokens.weight.detach()
    head: Tensor = model.lm_head.weight.detach()
    blocks = [StockBlock(layer) for layer in inner.layers]
    return Weights(shape, blocks, table, (head, None), inner.norm.weight.detach())
