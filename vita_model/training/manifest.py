"""What a folder of corpora holds: shards with their hashes, how they were made, whose voices they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vita_model.training.corpora import Setting

MANIFEST = "manifest.json"
LICENCES = {
    "text": "hand-written for this project, Apache-2.0",
    "flite": "CMU, BSD-like",
    "festival": "Edinburgh and CMU, BSD-like",
    "espeak": "program GPL-3, its output is free",
    "joe": "voice data CC0, fine-tuned from lessac, whose data has a research licence",
    "kokoro": "Apache-2.0",
    "audio_encoder": "Whisper tiny.en, MIT",
}
SPLIT = {
    "wordings": "15 of 100 hand-written lines are only in tests, by a hash of their wording",
    "businesses": "names and values of tests are drawn from other lists than those of training",
    "voices": "flite slt and two Kokoro voices are only in tests",
}
WIDTH = 384
FEATURES = 82


class ShardError(ValueError):
    """A shard is not what it should be; the message names file and row."""


def write_manifest(folder: Path, setting: Setting, plan: Sequence[tuple[str, int]]) -> Path:
    """Describe a folder's shards; run again when more were made."""
    shards = {
        path.name: {"rows": _rows(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.glob("*.pt"))
    }
    used = {"text", "audio_encoder", "flite", "espeak", *setting.names}
    used |= {name for name in ("kokoro", "joe") for kind, _ in plan if name in kind}
    used |= {"joe" for kind, _ in plan if kind.startswith("speaker")}
    told = {
        "made": {**asdict(setting), "plan": [list(entry) for entry in plan]},
        "licences": {name: LICENCES[name] for name in sorted(used)},
        "split": SPLIT,
        "shards": shards,
    }
    file = folder / MANIFEST
    file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return file


def check(folder: Path) -> int:
    """Look at every row of every shard, and at the hashes of the manifest; how many rows there are.

    Raises:
        ShardError: The first fault, with file and row.
    """
    file = folder / MANIFEST
    try:
        known = json.loads(file.read_text(encoding="utf-8"))["shards"]
    except (OSError, ValueError, KeyError) as error:
        raise ShardError(f"{file} cannot be read; vita data synth writes it: {error}") from error
    total = 0
    for name, told in known.items():
        path = folder / name
        if not path.exists():
            raise ShardError(f"{path} is in the manifest and not in the folder.")
        for number, fault in enumerate(_faults(path)):
            if fault:
                raise ShardError(f"{path}, row {number + 1}: {fault}.")
            total += 1
        if hashlib.sha256(path.read_bytes()).hexdigest() != told["sha256"]:
            raise ShardError(f"{path} is not what the manifest says; make it again.")
    return total


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        found = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise ShardError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict) or not found:
        raise ShardError(f"{path} is no shard.")
    return found


def _rows(path: Path) -> int:
    return len(next(iter(_read(path).values())))


def _faults(path: Path) -> Iterator[str]:
    """What is wrong with each row; empty if nothing is."""
    items = _read(path)
    if len({len(column) for column in items.values()}) != 1:
        raise ShardError(f"{path}: its columns have different lengths.")
    spoken = "features" in items
    for row in zip(*items.values(), strict=True):
        yield (_spoken if spoken else _heard)(dict(zip(items, row, strict=True)))


def _heard(row: dict[str, Any]) -> str:
    fault = _matrix(row.get("rows"), WIDTH)
    said = row.get("said")
    if not fault and (not isinstance(said, str) or said != said.lower()):
        return "what is said must be words in lower case"
    return fault


def _spoken(row: dict[str, Any]) -> str:
    fault = _matrix(row.get("features"), FEATURES)
    if not fault and len(row.get("phonemes", ())) != len(row.get("lengths", ())):
        return "every phoneme needs a length"
    return fault


def _matrix(value: object, width: int) -> str:
    if not isinstance(value, Tensor) or value.dim() != 2 or value.shape[1] != width:
        return f"it needs a matrix of {width} columns"
    if not len(value) or not bool(torch.isfinite(value.float()).all()):
        return "its matrix is empty or holds what is no number"
    return ""
