"""How much memory it takes to load a checkpoint, against the weights that are there afterwards.

Every load has a fresh process. What counts is its highest resident memory from the moment all
libraries are imported until every weight was read once: files that are mapped into memory count as
far as they were touched, and so does what the loader had needed in between.
"""

from __future__ import annotations

import gc
import json
import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from vita_model.assembly import VitaModel, build_model, load_model, read_config
from vita_model.config import VitaConfig
from vita_model.placement import weight_type

BAR = 1.10
"""Loading may take this much of the size of the weights."""

SHARDS = 4


class UnmeasurableError(RuntimeError):
    """This machine does not tell how much memory a process had at most."""


@dataclass(frozen=True, slots=True)
class Load:
    """One load in a process of its own.

    Attributes:
        dtype: Type the weights were asked for; `auto` keeps the stored one.
        weights: Bytes of all tensors of the loaded model.
        peak: Bytes of resident memory at most, beyond those of the imported libraries.
        cpu: Seconds of the process's CPU time, reading every weight once included.
        wall: The same by the clock.
    """

    dtype: str
    weights: int
    peak: int
    cpu: float
    wall: float

    @property
    def ratio(self) -> float:
        """Peak against weights."""
        return self.peak / self.weights


def measure(
    folder: Path, dtypes: Iterable[str] = ("auto",), step: Callable[[str], object] = lambda _: None
) -> list[Load]:
    """Load a checkpoint folder once for each type of weights.

    Args:
        folder: See `vita_model.assembly.load_model`.
        dtypes: Names in torch, or `auto` for the stored type.
        step: Told the type that comes next.

    Raises:
        CheckpointError: The folder cannot be loaded, or there is no such type.
        UnmeasurableError: Linux alone tells the peak.
    """
    read_config(folder)
    kinds = {dtype: weight_type(dtype) for dtype in dtypes}
    found = []
    for dtype, kind in kinds.items():
        step(dtype)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            found.append(fresh.submit(_load, folder, dtype, kind).result())
    return found


def write_random(folder: Path, share: float = 0.125, config: VitaConfig | None = None) -> Path:
    """Write weights in shards, for where the published ones are not at hand.

    Layers and vocabulary are that share of those of `config`, so that single tensors are as large
    a part of the whole as they are there. The parts that speak are left whole, they are small.
    Weights are stored in bfloat16, the codec's in float32, as published; all of them are nil.

    Args:
        folder: An empty folder.
        share: Of layers and words; 1 writes 17 GB.
        config: Sizes; None takes those of VITA-1.5.
    """
    config = _smaller(config or VitaConfig(), share)
    with torch.device("meta"):
        model = build_model(config)
    for part, dtype in (
        (model.language, torch.bfloat16),
        (model.speech, torch.bfloat16),
        (model.codec, torch.float32),
    ):
        if part is not None:
            nn.Module.to(part, dtype).to_empty(device="cpu")
    with torch.no_grad():
        for tensor in _tensors(model):
            tensor.zero_()
    size = sum(tensor.nbytes for tensor in model.language.parameters())
    model.language.whole = model
    model.language.save_pretrained(folder, max_shard_bytes=size // SHARDS + 1)
    return folder


def as_json(loads: Iterable[Load]) -> str:
    """The figures for programs."""
    rows = [asdict(load) | {"ratio": load.ratio} for load in loads]
    return json.dumps({"bar": BAR, "loads": rows}, indent=2)


def as_markdown(loads: Iterable[Load]) -> str:
    """The figures as a table for a document."""
    lines = [
        "| weights as | weights | peak | peak to weights | CPU | wall |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {load.dtype} | {load.weights / 1e9:.3f} GB | {load.peak / 1e9:.3f} GB "
        f"| {load.ratio:.3f} x | {load.cpu:.1f} s | {load.wall:.1f} s |"
        for load in loads
    ]
    return "\n".join(lines)


def _smaller(config: VitaConfig, share: float) -> VitaConfig:
    def of(part: BaseModel | None, *names: str) -> BaseModel | None:
        sizes = {name: max(1, round(getattr(part, name) * share)) for name in names}
        return part and part.model_copy(update=sizes)

    parts = {
        "language": of(config.language, "layers", "vocab_size"),
        "vision": of(config.vision, "layers"),
        "audio": of(config.audio, "layers"),
    }
    return config.model_copy(update=parts)


def _load(folder: Path, dtype: str, kind: torch.dtype | None) -> Load:
    """In the fresh process."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the highest memory counts from now on
        before = _status("VmRSS")
    except (OSError, LookupError) as error:
        raise UnmeasurableError(
            "This machine does not tell how much memory a process had at most; measure on Linux."
        ) from error
    wall, cpu = time.perf_counter(), time.process_time()
    model = load_model(folder, dtype=kind)
    tensors = _tensors(model)
    for tensor in tensors:
        tensor.sum()  # a mapped file is in memory only where somebody looked
    return Load(
        dtype=dtype,
        weights=sum(tensor.nbytes for tensor in tensors),
        peak=_status("VmHWM") - before,
        cpu=time.process_time() - cpu,
        wall=time.perf_counter() - wall,
    )


def _tensors(model: VitaModel) -> list[Tensor]:
    """Every tensor of all parts, tied ones once."""
    parts = [model.language, model.speech, model.codec]
    found = {
        tensor.data_ptr(): tensor
        for module in parts
        if module is not None
        for tensor in (*module.parameters(), *module.buffers())
    }
    return list(found.values())


def _status(name: str) -> int:
    """Bytes, from the kernel's account of this process."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(name)
    return int(found[1]) * 1024
