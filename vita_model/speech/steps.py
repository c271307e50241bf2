"""The speech decoder one code at a time on a CPU, where reading the weights is all the work.

Matrices with the same input are fused. In 16 bits weights are float16, whose widening costs less than
a product in bfloat16; every bfloat16 value between 6e-8 and 65,504 is exact in float16. Activations
stay in float32. In int8 the head stays in 16 bits: it is small, and its rounding matters most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vita_model.packed import ROW_BYTES, Form, form_type, pack, pack_int8, times_int8
from vita_model.speech.decoder import Layer, SpeechDecoder, SpeechState, rotation


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Tensor
    eps: float

    def __call__(self, row: Tensor) -> Tensor:
        mean = float(torch.dot(row[0], row[0])) / row.shape[1]
        return (row * (mean + self.eps) ** -0.5).mul_(self.weight)


def _norm(module: object) -> _Norm:
    norm = cast(nn.RMSNorm, module)
    return _Norm(norm.weight.detach().float(), cast(float, norm.eps))


Product = Callable[[Tensor], Tensor]
"""A matrix and what it is multiplied with: float32 `[1, in]` to `[1, out]`."""


def _product(weight: Tensor, form: Form, bias: Tensor | None = None) -> Product:
    if form == "float32":
        return _Exact(weight, bias)
    if form == "int8":
        return partial(times_int8, pack_int8(weight, bias))
    half = torch.ops.quantized.linear_prepack_fp16(weight.float(), bias)
    return lambda row: cast(Tensor, torch.ops.quantized.linear_dynamic_fp16(row, half))


_BANDS = 4
"""A batch of bands of rows is read half as fast again as one matrix, unless the input is wide."""


@dataclass(frozen=True, slots=True)
class _Exact:
    weight: Tensor
    bias: Tensor | None

    def __call__(self, row: Tensor) -> Tensor:
        rows, width = self.weight.shape
        if rows >= width and rows % _BANDS == 0:
            bands = self.weight.view(_BANDS, -1, width)
            found = torch.bmm(bands, row.t().expand(_BANDS, -1, 1)).view(1, rows)
        else:
            found = torch.mv(self.weight, row[0])[None]
        return found if self.bias is None else found.add_(self.bias)


@dataclass(frozen=True, slots=True)
class _StepLayer:
    qkv: Product
    out: Product
    gate_up: Product
    down: Product
    before: _Norm
    between: _Norm

    @classmethod
    def of(cls, layer: Layer, form: Form) -> Self:
        """Fuses a layer's matrices; in float32 the layer's own then lie inside the fused ones."""
        attention, mlp = layer.self_attn, layer.mlp
        inputs = (attention.q_proj, attention.k_proj, attention.v_proj)
        gates = (mlp.gate_proj, mlp.up_proj)
        qkv, gate_up = (
            torch.cat([part.weight.detach() for part in parts]) for parts in (inputs, gates)
        )
        if form == "float32":
            for parts, fused in ((inputs, qkv), (gates, gate_up)):
                for part, view in zip(parts, fused.chunk(len(parts)), strict=True):
                    part.weight = nn.Parameter(view, requires_grad=False)
        out, down = attention.o_proj.weight.detach(), mlp.down_proj.weight.detach()
        before, between = _norm(layer.input_layernorm), _norm(layer.post_attention_layernorm)
        return cls(
            _product(qkv, form),
            _product(out, form),
            _product(gate_up, form),
            _product(down, form),
            before,
            between,
        )


def _second_copy(decoder: SpeechDecoder, form: Form) -> int:
    """Bytes of weights that are there a second time; in float32 the decoder's own are used."""
    if form == "float32":
        return 0
    matrices = [part.weight for part in decoder.layers.modules() if isinstance(part, nn.Linear)]
    size = sum(matrix.numel() for matrix in matrices)
    scales = ROW_BYTES * sum(len(matrix) for matrix in matrices)
    inner = size + scales if form == "int8" else 2 * size
    return inner + 2 * decoder.out_fnn.weight.numel() + 4 * decoder.embedding.weight.numel()


class Steps:
    """What single steps read instead of the decoder's own weights.

    Attributes:
        nbytes: Memory taken beside the decoder's own weights.
    """

    def __init__(self, decoder: SpeechDecoder, form: Form, most_positions: int = 2048) -> None:
        config = decoder.config
        self._heads, self._width = config.heads, config.hidden_size // config.heads
        turn = rotation(torch.arange(most_positions), self._width, config.rope_theta)
        sign = torch.ones(self._width)
        sign[: self._width // 2] = -1
        self._cos, self._sin = turn.cos, turn.sin * sign
        self._layers = [_StepLayer.of(cast(Layer, layer), form) for layer in decoder.layers]
        self._norm = _norm(decoder.norm)
        self._table = decoder.embedding.weight.detach().float()
        head = decoder.out_fnn
        kept: Form = "bfloat16" if form == "int8" else form
        self._head = _product(head.weight.detach(), kept, head.bias.detach().float())
        self.nbytes = _second_copy(decoder, form)

    def can(self, ids: Sequence[int], state: SpeechState) -> bool:
        """Whether a step of these ids can be taken here: one row, not too far on."""
        return len(ids) == 1 and state.position < self._cos.shape[0]

    def __call__(self, code: int, state: SpeechState) -> Tensor:
        """Feed one id; returns the logits `[1, vocabulary]` of the next."""
        row = self._table[code : code + 1]
        cos, sin = self._cos[state.position], self._sin[state.position]
        for layer, store in zip(self._layers, state.stores, strict=True):
            qkv = layer.qkv(layer.before(row)).view(3, 1, self._heads, 1, self._width)
            both = qkv[:2]
            swapped = both.roll(self._width // 2, 4)
            both.mul_(cos).addcmul_(swapped, sin)
            keys, values = store.extend(qkv[1], qkv[2])
            mixed = F.scaled_dot_product_attention(qkv[0], keys, values)
            row = layer.out(mixed.view(1, -1)).add_(row)
            gate, up = layer.gate_up(layer.between(row)).chunk(2, dim=1)
            row = layer.down(F.silu(gate, inplace=True).mul_(up)).add_(row)
        state.position += 1
        return self._head(self._norm(row))


def pack_decoder(decoder: SpeechDecoder, form: Form) -> None:
    """Arrange a speech decoder on the CPU for inference, in place.

    A bfloat16 decoder computes in float32 afterwards, with bfloat16 products for the text and
    float16 weights for single codes; both copies together take what float32 weights would.
    """
    decoder.to(form_type(form))
    decoder.steps = Steps(decoder, form)
    pack(decoder.layers_pre_nn if form == "float32" else decoder, form)
    decoder.float()
