"""What weights are and take, whatever form they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from vita_model.packed import Packed


def count(modules: Iterable[nn.Module | None]) -> int:
    """Weights, each once, as if none were packed."""
    return sum(_elements(tensor) for tensor in _tensors(modules)) + sum(
        part.elements for part in _packed(modules)
    )


def memory(modules: Iterable[nn.Module | None]) -> int:
    """Bytes that weights and tables take, second arrangements of the same weights included."""
    tensors = [*_tensors(modules), *_tables(modules)]
    own = sum(tensor.nbytes + _scales(tensor) for tensor in tensors)
    return own + sum(part.nbytes for part in (*_packed(modules), *_second(modules)))


def _all(modules: Iterable[nn.Module | None]) -> Iterator[nn.Module]:
    return (part for module in modules if module is not None for part in module.modules())


def _tensors(modules: Iterable[nn.Module | None]) -> list[Tensor]:
    found = [tensor for part in _all(modules) for tensor in part.parameters(recurse=False)]
    return list({id(tensor): tensor for tensor in found}.values())


def _tables(modules: Iterable[nn.Module | None]) -> list[Tensor]:
    return [tensor for part in _all(modules) for tensor in part.buffers(recurse=False)]


def _packed(modules: Iterable[nn.Module | None]) -> list[Packed]:
    return [part for part in _all(modules) if isinstance(part, Packed)]


def _second(modules: Iterable[nn.Module | None]) -> list[Any]:
    """What the speech decoder reads in single steps."""
    steps = (getattr(part, "steps", None) for part in _all(modules))
    return [found for found in steps if found is not None]


def _elements(tensor: Tensor) -> int:
    state: Any = getattr(tensor, "quant_state", None)  # bitsandbytes packs two weights into a byte
    return tensor.numel() if state is None else int(state.shape.numel())


def _scales(tensor: Tensor) -> int:
    """Bytes of what bitsandbytes keeps beside a weight."""
    state: Any = getattr(tensor, "quant_state", None)
    rows: Any = getattr(tensor, "SCB", None)
    beside = [None if state is None else state.absmax, rows]
    return sum(part.nbytes for part in beside if isinstance(part, Tensor))
