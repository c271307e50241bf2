"""Strict loading of safetensors files by tensor name and shape."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

Shape = tuple[int, ...]
Device = torch.device | str | int

_LAYER_NUMBER = re.compile(r"\.\d+\.")

_AT_ONCE = 40
"""One part in so many of a checkpoint is in memory twice while it is loaded."""

_SHARD_BYTES = 5 * 10**9


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
        """What differs, in at most `most` groups of each sort.

        Tensors of all layers that have the same name within their layer are one group.
        """
        shapes = [f"{name} is {found}, not {want}" for name, want, found in self.wrong_shape]
        sorts = (("missing", self.missing), ("surplus", self.surplus), ("wrong shape", shapes))
        lines = []
        for sort, names in sorts:
            if names:
                groups = _grouped(names)
                rest = f", and {len(groups) - most} more kinds" if len(groups) > most else ""
                lines.append(f"{len(names)} {sort}: " + ", ".join(groups[:most]) + rest)
        return "; ".join(lines) or "all tensors fit"


def _grouped(names: Iterable[str]) -> list[str]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_LAYER_NUMBER.sub(".*.", name)].append(name)
    return [
        members[0] if len(members) == 1 else f"{pattern} ({len(members)} times)"
        for pattern, members in groups.items()
    ]


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


class _Entry(NamedTuple):
    file: Path
    shape: Shape
    size: int  # elements


def _stored(
    files: Iterable[Path], prefix: str = "", ignore: tuple[str, ...] = ()
) -> dict[str, _Entry]:
    stored: dict[str, _Entry] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as source:
                for name in source.keys():  # noqa: SIM118 - not a mapping
                    inner = name.removeprefix(prefix)
                    if name.startswith(prefix) and not inner.startswith(ignore):
                        shape = tuple(source.get_slice(name).get_shape())
                        stored[inner] = _Entry(file, shape, math.prod(shape))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{file} is not a readable safetensors file, get it again: {error}"
            ) from error
    return stored


def stored_shapes(files: Iterable[Path]) -> dict[str, Shape]:
    """Name and shape of every tensor in some safetensors files; no weight is read."""
    return {name: entry.shape for name, entry in _stored(files).items()}


def load_checkpoint(
    module: nn.Module,
    path: Path,
    *,
    prefix: str = "",
    ignore: tuple[str, ...] = (),
    dtype: torch.dtype | None = None,
    device: Device | Mapping[str, Device] = "cpu",
) -> None:
    """Load a checkpoint into a module, which may have been built on the meta device.

    Names and shapes are compared before any weight is read. Weight norm is folded. Shards are read
    in small pieces, so that little is in memory twice. A tied weight may be stored under both names.

    Args:
        module: The module to fill.
        path: See `checkpoint_files`.
        prefix: Only tensors whose name starts so are taken, with the prefix cut off.
        ignore: Tensors whose name (without `prefix`) starts so are left aside.
        dtype: Type of floating-point weights; None keeps the stored one.
        device: Where the weights go; a mapping names devices by the beginnings of tensor names, and
            the longest one counts.

    Raises:
        CheckpointError: A file is unreadable, or tensors are missing, surplus or of another shape.
    """
    stored = _stored(checkpoint_files(path), prefix, ignore)
    aliases = _aliases(module)
    for alias, name in aliases.items():
        if alias in stored and name in stored:
            _check_tied(stored[alias].file, prefix + alias, stored[name].file, prefix + name)
            del stored[alias]
    shapes = fold_shapes({name: entry.shape for name, entry in stored.items()})
    outcome = compare(tensor_shapes(module), shapes)
    if not outcome.fits:
        raise CheckpointError(f"{path} does not fit the model: {outcome.report()}")
    halves: dict[str, Tensor] = {}
    for file, names in _pieces(stored):
        with safe_open(file, framework="pt") as source:
            tensors = halves | {name: source.get_tensor(prefix + name) for name in names}
        tensors = fold_weight_norm(tensors)
        halves = {name: tensors.pop(name) for name in list(tensors) if name not in shapes}
        for name in list(tensors):
            tensor = tensors.pop(name)
            kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
            _put(module, name, tensor.to(device=device_of(name, device), dtype=kind))
    for alias, name in aliases.items():
        owner, _, attribute = alias.rpartition(".")
        setattr(module.get_submodule(owner), attribute, module.get_parameter(name))


def _check_tied(file: Path, alias: str, other: Path, name: str) -> None:
    """Refuse two stored tensors that are one weight of the model and differ."""
    with safe_open(file, framework="pt") as one, safe_open(other, framework="pt") as two:
        if not torch.equal(one.get_tensor(alias), two.get_tensor(name)):
            raise CheckpointError(
                f"{file} does not fit the model: {alias} must equal {name}, they are one weight here"
            )


def _pieces(stored: Mapping[str, _Entry]) -> Iterator[tuple[Path, list[str]]]:
    """Names file by file, in pieces that hold a small part of all elements (or one tensor)."""
    most = sum(entry.size for entry in stored.values()) // _AT_ONCE
    by_file: dict[Path, list[str]] = defaultdict(list)
    for name, entry in stored.items():
        by_file[entry.file].append(name)
    for file, names in by_file.items():
        piece: list[str] = []
        size = 0
        for name in names:
            if piece and size + stored[name].size > most:
                yield file, piece
                piece, size = [], 0
            piece.append(name)
            size += stored[name].size
        yield file, piece


def device_of(name: str, device: Device | Mapping[str, Device]) -> Device:
    """The device of a tensor; see `load_checkpoint` for mappings."""
    if not isinstance(device, Mapping):
        return device
    fitting = [part for part in device if not part or f"{name}.".startswith(f"{part}.")]
    if not fitting:
        raise CheckpointError(f"the device map has no device for {name}")
    return device[max(fitting, key=len)]


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    owner, _, attribute = name.rpartition(".")
    place = module.get_submodule(owner)
    old = getattr(place, attribute)
    if isinstance(old, nn.Parameter):
        tensor = nn.Parameter(tensor, requires_grad=old.requires_grad)
    setattr(place, attribute, tensor)


def save_checkpoint(module: nn.Module, folder: Path, shard_bytes: int = _SHARD_BYTES) -> list[Path]:
    """Write a module as `model.safetensors`, or as shards with an index when it is larger than one.

    Tied tensors are written once. Returns the files.
    """
    state = module.state_dict()
    names = list(tensor_shapes(module))
    shards: list[list[str]] = [[]]
    size = 0
    for name in names:
        length = state[name].numel() * state[name].element_size()
        if shards[-1] and size + length > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += length
    if len(shards) == 1:
        return [_save(state, names, folder / "model.safetensors")]
    files: list[Path] = []
    places: dict[str, str] = {}
    for number, part in enumerate(shards, 1):
        file = folder / f"model-{number:05}-of-{len(shards):05}.safetensors"
        files.append(_save(state, part, file))
        places |= dict.fromkeys(part, file.name)
    total = sum(state[name].numel() * state[name].element_size() for name in names)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": places}))
    return [*files, index]


def save_module(module: nn.Module, file: Path) -> None:
    """Write a module into one safetensors file; tied tensors are written once."""
    _save(module.state_dict(), tensor_shapes(module), file)


def _save(state: Mapping[str, Tensor], names: Iterable[str], file: Path) -> Path:
    tensors = {name: state[name].detach().cpu().contiguous() for name in names}
    save_file(tensors, file, metadata={"format": "pt"})
    return file


def _flatten(value: Any, prefix: str = "") -> dict[str, Tensor]:
    if isinstance(value, Tensor):
        return {prefix: value.contiguous().clone()}
    if not isinstance(value, Mapping):
        return {}
    flat: dict[str, Tensor] = {}
    for name, inner in value.items():
        flat |= _flatten(inner, f"{prefix}.{name}" if prefix else str(name))
    return flat


def _torch_file(source: Path, device: str) -> dict[str, Tensor]:
    try:
        mapped = is_zipfile(source)  # what only training needs is not even read then
        content = torch.load(source, map_location=device, weights_only=True, mmap=mapped)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0] or "it breaks off"
        raise CheckpointError(f"{source} cannot be read as plain weights: {reason}") from error
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    tensors = _flatten(content)
    if not tensors:
        raise CheckpointError(f"{source} holds no tensors")
    return tensors


def torch_names(source: Path) -> set[str]:
    """Names of the tensors in a published `.pt` file; no weight is kept."""
    return set(_torch_file(source, "meta"))


def load_torch_file(
    module: nn.Module,
    source: Path,
    *,
    dtype: torch.dtype | None = None,
    device: Device = "cpu",
) -> None:
    """Load a published `.pt` file into a module, which may have been built on the meta device.

    Nothing but tensors is unpickled. Nested dictionaries become dotted names; of a training
    checkpoint only the part under `model` is taken. Weight norm is folded. Such files hold tensors
    that no computation needs, so surplus ones are left aside.

    Raises:
        CheckpointError: The file is unreadable, or tensors are missing or of another shape.
    """
    tensors = fold_weight_norm(_torch_file(source, "cpu"))
    expected = tensor_shapes(module)
    known = {name: tensors[name] for name in expected if name in tensors}
    outcome = compare(expected, {name: tuple(tensor.shape) for name, tensor in known.items()})
    if not outcome.fits:
        raise CheckpointError(f"{source} does not fit the model: {outcome.report()}")
    for name, tensor in known.items():
        kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        _put(module, name, tensor.to(device=device, dtype=kind))
