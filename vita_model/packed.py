"""Weights arranged for inference on an x86 CPU.

torch's linear layers read a weight as it lies in the checkpoint; oneDNN multiplies a fifth to a
third faster from its own blocked layout, and FBGEMM from one of its own for int8. `state_dict`
still holds the published names and plain tensors.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

Form = Literal["float32", "bfloat16", "int8"]

FORMS: tuple[Form, ...] = ("float32", "bfloat16", "int8")
"""Types of packed weights. With int8, only linear layers are rounded; the rest is float32."""

_ROWS = 128
"""Rows for which oneDNN arranges a weight; any other number works with it."""


def can_pack() -> bool:
    """Whether this machine's torch holds the libraries whose layouts are used here."""
    return torch.backends.mkldnn.is_available() and (
        "fbgemm" in torch.backends.quantized.supported_engines
    )


def form_type(form: Form) -> torch.dtype:
    """Type of the weights that are not rounded to int8."""
    return torch.bfloat16 if form == "bfloat16" else torch.float32


class Packed(nn.Module):
    """An `nn.Linear` in another layout; saves what it had."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._bias = None if linear.bias is None else linear.bias.detach()

    def _weight(self) -> Tensor:
        raise NotImplementedError

    @property
    def elements(self) -> int:
        """Weights, the bias included."""
        return self.out_features * (self.in_features + (self._bias is not None))

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        raise NotImplementedError

    @override
    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        destination[f"{prefix}weight"] = self._weight()
        if self._bias is not None:
            destination[f"{prefix}bias"] = self._bias


def can_lay_out(dtype: torch.dtype) -> bool:
    """Whether oneDNN has a layout of its own for the type: in bfloat16 only with AVX-512 or AVX-NE-CONVERT."""
    return torch.backends.mkldnn.is_available() and (
        dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - torch is pinned
    )


def lay_out(weight: Tensor) -> Tensor:
    """A weight `[out, in]` in oneDNN's layout, for `times_laid_out`; ask `can_lay_out` before."""
    found = torch.ops.mkldnn._reorder_linear_weight(  # noqa: SLF001 - torch is pinned
        weight.detach().contiguous(), _ROWS
    )
    return cast(Tensor, found)


def times_laid_out(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Rows `[..., in]` of the weight's type to `[..., out]`."""
    found = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001 - torch is pinned
        rows, weight, bias, "none", [], ""
    )
    return cast(Tensor, found)


class PackedLinear(Packed):
    """A linear layer whose weight lies in oneDNN's layout, or as it came where there is none for its type.

    It computes in the weight's type and gives back the type it was given.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        self.dtype = linear.weight.dtype
        self._laid_out = can_lay_out(self.dtype)
        weight = linear.weight
        self._packed = lay_out(weight) if self._laid_out else weight.detach().contiguous()

    @override
    def forward(self, rows: Tensor) -> Tensor:
        """`[..., in]` to `[..., out]`."""
        if not self._laid_out:
            return F.linear(rows.to(self.dtype), self._packed, self._bias).to(rows.dtype)
        return times_laid_out(rows.to(self.dtype), self._packed, self._bias).to(rows.dtype)

    @override
    def _weight(self) -> Tensor:
        return self._packed.to_dense() if self._laid_out else self._packed

    @property
    @override
    def nbytes(self) -> int:
        return self.elements * self.dtype.itemsize


ROW_BYTES = 12
"""Bytes that FBGEMM keeps beside a row of int8 weights: scale, zero point, sum."""


def pack_int8(weight: Tensor, bias: Tensor | None = None) -> object:
    """Round a weight `[out, in]` to int8, one scale for each of its rows, for `times_int8`."""
    rows = weight.detach().float()
    scales = rows.abs().amax(dim=1).clamp_min(1e-12).double() / 127
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the only way to FBGEMM's kernels, torch is pinned
        rounded = torch.quantize_per_channel(
            rows, scales, torch.zeros(len(rows), dtype=torch.int64), 0, torch.qint8
        )
    return torch.ops.quantized.linear_prepack(rounded, None if bias is None else bias.float())


def times_int8(packed: object, rows: Tensor) -> Tensor:
    """float32 `[..., in]` to `[..., out]`; activations are rounded to 8 bits as they come.

    Without VNNI instructions sums of products overflow, so one bit of the activations is left out.
    """
    narrow = not torch.cpu._is_vnni_supported()  # noqa: SLF001 - torch is pinned
    return cast(Tensor, torch.ops.quantized.linear_dynamic(rows, packed, narrow))


class Int8Linear(Packed):
    """A linear layer whose weight and activations are rounded to int8."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        self._packed = pack_int8(linear.weight, self._bias)

    @override
    def forward(self, rows: Tensor) -> Tensor:
        """`[..., in]` to `[..., out]`."""
        return times_int8(self._packed, rows.float()).to(rows.dtype)

    @override
    def _weight(self) -> Tensor:
        return cast(Tensor, torch.ops.quantized.linear_unpack(self._packed)[0].dequantize())

    @property
    @override
    def nbytes(self) -> int:
        beside = 0 if self._bias is None else self._bias.nbytes
        return self.out_features * (self.in_features + ROW_BYTES) + beside


def _lay_channels_together(convolution: nn.Conv1d | nn.ConvTranspose1d) -> None:
    laid = convolution.weight.detach().transpose(1, 2).contiguous().transpose(1, 2)
    convolution.weight = nn.Parameter(laid, requires_grad=False)


def pack(module: nn.Module, form: Form) -> None:
    """Arrange the weights of a module on the CPU, in place; it cannot be trained or moved afterwards.

    Linear layers are packed, and the kernels of convolutions over time get their channels next to
    each other.
    """
    if type(module) is nn.Linear:
        raise TypeError("a linear layer is packed within the module that holds it")
    module.to(form_type(form))
    packed = Int8Linear if form == "int8" else PackedLinear
    for child in list(module.modules()):
        if isinstance(child, nn.Conv1d | nn.ConvTranspose1d):
            _lay_channels_together(child)
        for name, inner in list(child.named_children()):
            if type(inner) is nn.Linear:
                setattr(child, name, packed(inner))
