"""Strict loading of safetensors files by tensor name and shape."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

Shape = tuple[int, ...]


class CheckpointError(ValueError):
    """A checkpoint cannot be read or does not fit the model; the text says why."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the tensors of a checkpoint differ from those of a model."""

    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    wrong_shape: tuple[tuple[str, Shape, Shape], ...]

    @property
    def fits(self) -> bool:
        """True when nothing differs."""
        return not (self.missing or self.surplus or self.wrong_shape)

    def report(self, most: int = 8) -> str:
        """What differs, at most `most` names of each sort."""
        shapes = [f"{name} is {found}, not {want}" for name, want, found in self.wrong_shape]
        sorts = (("missing", self.missing), ("surplus", self.surplus), ("wrong shape", shapes))
        lines = []
        for sort, names in sorts:
            if names:
                rest = f", and {len(names) - most} more" if len(names) > most else ""
                lines.append(f"{len(names)} {sort}: " + ", ".join(names[:most]) + rest)
        return "; ".join(lines) or "all tensors fit"


def _aliases(module: nn.Module) -> dict[str, str]:
    """Names of tied parameters, each with the first name of the same parameter."""
    first: dict[int, str] = {}
    aliases: dict[str, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        known = first.setdefault(id(parameter), name)
        if known != name:
            aliases[name] = known
    return aliases


def tensor_shapes(module: nn.Module) -> dict[str, Shape]:
    """Name and shape of every tensor a checkpoint of `module` holds; works on the meta device.

    A tied parameter stands under its first name only.
    """
    aliases = _aliases(module)
    state = module.state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items() if name not in aliases}


def compare(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> Comparison:
    """Compare the tensors a model wants with those a checkpoint has."""
    both = expected.keys() & found.keys()
    return Comparison(
        missing=tuple(sorted(expected.keys() - both)),
        surplus=tuple(sorted(found.keys() - both)),
        wrong_shape=tuple(
            (name, expected[name], found[name])
            for name in sorted(both)
            if expected[name] != found[name]
        ),
    )


def checkpoint_files(path: Path) -> list[Path]:
    """The safetensors files of a checkpoint.

    `path` is a file, an index (`*.safetensors.index.json`), or a folder with an index or a
    `model.safetensors`.
    """
    index = path
    if path.is_dir():
        indexes = sorted(path.glob("*.safetensors.index.json"))
        single = path / "model.safetensors"
        if not indexes and not single.is_file():
            raise CheckpointError(f"{path} holds neither model.safetensors nor an index of shards")
        index = indexes[0] if indexes else single
    if index.suffix != ".json":
        if not index.is_file():
            raise CheckpointError(f"there is no checkpoint at {index}")
        return [index]
    try:
        names = set(json.loads(index.read_text())["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{index} is not a readable index of shards") from error
    files = [index.parent / name for name in sorted(names)]
    for file in files:
        if file.parent != index.parent or not file.is_file():
            raise CheckpointError(f"{index} names {file.name}, which is not beside it")
    return files


def fold_weight_norm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace each pair `x.weight_g`, `x.weight_v` by the weight `g v / |v|`.

    The norm runs over all axes but the first, as torch's `weight_norm` does by default.
    """
    folded = dict(tensors)
    for name in tensors:
        if name.endswith(".weight_v") and name[:-1] + "g" in tensors:
            direction, gain = folded.pop(name), folded.pop(name[:-1] + "g")
            axes = tuple(range(1, direction.ndim))
            length = torch.linalg.vector_norm(direction, dim=axes, keepdim=True)
            folded[name.removesuffix("_v")] = direction * (gain / length)
    return folded


def fold_shapes(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """What `fold_weight_norm` does, for shapes alone."""
    folded = dict(shapes)
    for name in shapes:
        if name.endswith(".weight_v") and name[:-1] + "g" in shapes:
            del folded[name[:-1] + "g"]
            folded[name.removesuffix("_v")] = folded.pop(name)
    return folded


def _stored(
    files: Iterable[Path], prefix: str = "", ignore: tuple[str, ...] = ()
) -> dict[str, tuple[Path, Shape]]:
    stored: dict[str, tuple[Path, Shape]] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as source:
                for name in source.keys():  # noqa: SIM118 - not a mapping
                    inner = name.removeprefix(prefix)
                    if name.startswith(prefix) and not inner.startswith(ignore):
                        stored[inner] = (file, tuple(source.get_slice(name).get_shape()))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{file} is not a readable safetensors file: {error}") from error
    return stored


def stored_shapes(files: Iterable[Path]) -> dict[str, Shape]:
    """Name and shape of every tensor in some safetensors files; no weight is read."""
    return {name: shape for name, (_, shape) in _stored(files).items()}


def load_checkpoint(
    module: nn.Module,
    path: Path,
    *,
    prefix: str = "",
    ignore: tuple[str, ...] = (),
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> None:
    """Load a checkpoint into a module, which may have been built on the meta device.

    Names and shapes are compared before any weight is read. Weight norm is folded. Shards are read
    one after another.

    Args:
        module: The module to fill.
        path: See `checkpoint_files`.
        prefix: Only tensors whose name starts so are taken, with the prefix cut off.
        ignore: Tensors whose name (without `prefix`) starts so are left aside.
        dtype: Type of floating-point weights; None keeps the stored one.
        device: Where the weights go.

    Raises:
        CheckpointError: A file is unreadable, or tensors are missing, surplus or of another shape.
    """
    files = checkpoint_files(path)
    stored = _stored(files, prefix, ignore)
    shapes = fold_shapes({name: shape for name, (_, shape) in stored.items()})
    aliases = _aliases(module)
    outcome = compare(tensor_shapes(module), shapes)
    if not outcome.fits:
        raise CheckpointError(f"{path} does not fit the model: {outcome.report()}")
    by_file: dict[Path, list[str]] = defaultdict(list)
    for name, (file, _) in stored.items():
        by_file[file].append(name)
    halves: dict[str, Tensor] = {}
    for file, names in by_file.items():
        with safe_open(file, framework="pt", device=str(device)) as source:
            tensors = halves | {name: source.get_tensor(prefix + name) for name in names}
        tensors = fold_weight_norm(tensors)
        halves = {name: tensors.pop(name) for name in list(tensors) if name not in shapes}
        if dtype is not None:
            tensors = {
                name: tensor.to(dtype) if tensor.is_floating_point() else tensor
                for name, tensor in tensors.items()
            }
        module.load_state_dict(tensors, strict=False, assign=True)
    for alias, name in aliases.items():
        owner, _, attribute = alias.rpartition(".")
        setattr(module.get_submodule(owner), attribute, module.get_parameter(name))


def _flatten(value: Any, prefix: str = "") -> dict[str, Tensor]:
    if isinstance(value, Tensor):
        return {prefix: value.contiguous().clone()}
    if not isinstance(value, Mapping):
        return {}
    flat: dict[str, Tensor] = {}
    for name, inner in value.items():
        flat |= _flatten(inner, f"{prefix}.{name}" if prefix else str(name))
    return flat


def convert_torch_file(source: Path, target: Path) -> int:
    """Turn a published `.pt` file into safetensors, once and offline; returns the tensor count.

    Nothing but tensors is unpickled. Nested dictionaries become dotted names; of a training
    checkpoint only the part under `model` is kept.
    """
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{source} cannot be read as plain weights: {error}") from error
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    tensors = _flatten(content)
    if not tensors:
        raise CheckpointError(f"{source} holds no tensors")
    save_file(tensors, target)
    return len(tensors)
