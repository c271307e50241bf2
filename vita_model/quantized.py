"""The language model's weights in eight or four bits, for GPUs that cannot hold them whole."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import nn

from vita_model.checkpoint import CheckpointError, Device

Bits = Literal["int8", "int4"]
"""int8: a scale per row, outlying columns kept (LLM.int8, arXiv:2208.07339); int4: NF4 with a
scale per 64 weights (QLoRA, arXiv:2305.14314)."""

_OUTLIER = 6.0
"""Inputs beyond this are multiplied in the type of the activations (LLM.int8, section 3.2)."""


def quantize(layers: nn.Module, bits: Bits, device: Device) -> None:
    """Replace the linear layers below a module in place, one after another.

    Each is quantized on its way from the CPU to `device`, so that the device holds at no time more
    than what stays. Tables, norms and heads that are not below `layers` are not touched.

    Args:
        layers: The decoder layers, with float weights on the CPU.
        bits: Size of a weight.
        device: Where the layers run.

    Raises:
        CheckpointError: The library is not installed.
    """
    try:
        from bitsandbytes import nn as library  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise CheckpointError(
            f"weights in {bits} need bitsandbytes: install vita-agent[quantized]"
        ) from error
    for module in list(layers.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, _smaller(library, child, bits).to(device))
    layers.to(device)


def _smaller(library: Any, linear: nn.Linear, bits: Bits) -> nn.Module:
    """One layer with the weights of another; they are packed when it is moved."""
    sizes = linear.in_features, linear.out_features
    found: Any
    weight = linear.weight.detach()
    with torch.device("meta"):
        if bits == "int8":
            found = library.Linear8bitLt(
                *sizes, bias=False, has_fp16_weights=False, threshold=_OUTLIER
            )
        else:
            found = library.Linear4bit(
                *sizes, bias=False, quant_type="nf4", compute_dtype=weight.dtype
            )
    if bits == "int8":
        found.weight = library.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    else:
        found.weight = library.Params4bit(weight, requires_grad=False, quant_type="nf4")
    if linear.bias is not None:
        found.bias = nn.Parameter(linear.bias.detach(), requires_grad=False)
    return cast(nn.Module, found.eval())
