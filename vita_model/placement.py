"""Which part of a model goes to which device, in which type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import nn

from vita_model.checkpoint import CheckpointError, Device

DeviceMap = Device | Mapping[str, Device]
"""One device, or devices by the beginnings of tensor names; `auto` fills what is there."""

_WHOLE = ["Qwen2DecoderLayer", "Layer"]
"""Classes whose instances have inner shortcuts and therefore stay on one device."""


def device_named(name: str) -> torch.device | str:
    """A device that can be used here; `auto` stays as it is.

    Raises:
        CheckpointError: There is no such device.
    """
    if name == "auto":
        return name
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise CheckpointError(f"there is no device {name!r} here; cpu is always there") from error
    return device


def matrix_type() -> torch.dtype:
    """The type in which this machine's CPU multiplies matrices fastest.

    A CPU with AVX2 alone has no multiplication in bfloat16 and takes five times as long for it.
    """
    slow = torch.backends.cpu.get_cpu_capability() == "AVX2"
    return torch.float32 if slow else torch.bfloat16


def weight_type(name: str) -> torch.dtype | None:
    """The type of weights a name stands for; None for `auto`, which keeps the stored one.

    Raises:
        CheckpointError: There is no such type.
    """
    found = None if name == "auto" else getattr(torch, name.removeprefix("torch."), None)
    fits = isinstance(found, torch.dtype) and found.is_floating_point
    if name != "auto" and not fits:
        raise CheckpointError(f"torch has no type of weights called {name!r}")
    return found


def place(module: nn.Module, device_map: DeviceMap | None, dtype: torch.dtype | None) -> DeviceMap:
    """The devices of a module that is still on the meta device.

    Raises:
        CheckpointError: The map asks for accelerate, which is not installed.
    """
    if device_map is None:
        return "cpu"
    if device_map != "auto":
        return device_map
    try:
        from accelerate import infer_auto_device_map  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise CheckpointError(
            'device_map="auto" needs accelerate: install vita-agent[gpu], or name a device'
        ) from error
    found = infer_auto_device_map(module, dtype=dtype, no_split_module_classes=_WHOLE)
    return cast(dict[str, Device], found)


def dispatch(module: nn.Module, device_map: DeviceMap) -> None:
    """Let rows travel between the devices of a loaded module; nothing to do for a single one."""
    if not isinstance(device_map, Mapping) or len(set(map(str, device_map.values()))) < 2:
        return
    try:
        from accelerate import dispatch_model  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise CheckpointError(
            "a model on several devices needs accelerate: install vita-agent[gpu]"
        ) from error
    dispatch_model(module, dict(device_map))
