"""Matrices in one byte a number: half the size of half precision on disk.

Every row of a matrix is stored as int8 with its own scale, so a row's largest number is met
exactly and the others within 1/254 of it. Nothing is computed in int8: loading gives floats.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = ".scale"
_LEAST = 4_096
"""Smaller tensors are not worth a scale."""


def pack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Large matrices and filters as int8 and scales, everything else as it is."""
    out: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if not value.is_floating_point() or value.dim() < 2 or value.numel() < _LEAST:
            out[name] = value
            continue
        rows = value.float().flatten(1)
        scale = (rows.abs().amax(1) / 127).clamp(min=1e-12)
        codes = (rows / scale[:, None]).round().clamp(-127, 127)
        out[name] = codes.to(torch.int8).view(value.shape).contiguous()
        out[name + SCALE] = scale
    return out


def unpack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `pack` was given, in single precision where it was packed."""
    out: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in tensors:
            continue
        scale = tensors.get(name + SCALE)
        if scale is None or value.dtype != torch.int8:
            out[name] = value
            continue
        out[name] = (value.float().flatten(1) * scale[:, None]).view(value.shape)
    return out
