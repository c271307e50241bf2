"""The language model of a checkpoint as a folder of plain Qwen2, which is what vLLM loads.

A checkpoint of VITA keeps it in one set of files with what hears and sees. It is copied out once;
the copy is made anew when the checkpoint's files change.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2Config

from vita_model.checkpoint import CheckpointError, checkpoint_files
from vita_model.processor import VitaProcessor
from vita_model.qwen2 import qwen2_config

TABLE = "model.embed_tokens.weight"
PLAIN = ("model.embed_tokens.", "model.layers.", "model.norm.", "lm_head.")
"""Beginnings of the names of a plain Qwen2's tensors."""
SOURCE_FILE = "copied-from.json"
INDEX_FILE = "model.safetensors.index.json"


def plain_weights(checkpoint: Path, target: Path, processor: VitaProcessor) -> Path:
    """Copy the language model out of a checkpoint, unless that has been done.

    Args:
        checkpoint: A folder of VITA-1.5; one file of it after the other is in memory.
        target: The folder of the copy. It is made or, if it holds an older copy, replaced.
        processor: Of the checkpoint.

    Raises:
        CheckpointError: The checkpoint is incomplete, or the copy cannot be written there.
    """
    files = checkpoint_files(checkpoint)
    source = {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
    try:
        if _source(target) == source:
            return target
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _copy(files, partial)
        _describe(partial, processor)
        (partial / SOURCE_FILE).write_text(json.dumps(source))
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(
            f"its language model cannot be copied to {target} ({reason}); name another folder with"
            " --language-folder"
        ) from error
    return target


def _source(target: Path) -> object:
    """What a copy was made of; None when there is nothing."""
    if not target.exists():
        return None
    try:
        return json.loads((target / SOURCE_FILE).read_text())
    except (OSError, ValueError):
        raise CheckpointError(
            f"{target} holds something else than a copy of the language model; name another folder"
            " with --language-folder"
        ) from None


def _copy(files: list[Path], target: Path) -> None:
    places: dict[str, str] = {}
    size = 0
    for number, file in enumerate(files):
        name = f"model-{number:05}.safetensors"
        with safe_open(file, framework="pt") as weights:
            keys = [key for key in weights.keys() if key.startswith(PLAIN)]  # noqa: SIM118 - no mapping
            kept = {key: weights.get_tensor(key) for key in keys}
        if kept:
            save_file(kept, target / name, metadata={"format": "pt"})
            places |= dict.fromkeys(kept, name)
            size += sum(tensor.nbytes for tensor in kept.values())
    if TABLE not in places:
        raise CheckpointError(f"{files[0].parent} is incomplete: it has no {TABLE}")
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (target / INDEX_FILE).write_text(json.dumps(index, indent=2))


def _describe(target: Path, processor: VitaProcessor) -> None:
    """Configuration and tokenizer, as transformers and vLLM read them."""
    settings = qwen2_config(processor.config).to_dict()
    for key in ("vita", "model_type", "architectures"):
        settings.pop(key, None)
    Qwen2Config(**settings, architectures=["Qwen2ForCausalLM"]).save_pretrained(target)
    tokenizer = processor.tokenizer
    end = tokenizer.id_to_token(processor.state().end)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end).save_pretrained(target)


def read_table(folder: Path) -> Tensor:
    """The embedding table of plain Qwen2 weights, `[vocabulary, width]`.

    Raises:
        CheckpointError: No safetensors file of the folder has one.
    """
    for file in checkpoint_files(folder):
        with safe_open(file, framework="pt") as weights:
            if TABLE in weights.keys():  # noqa: SIM118 - it is no mapping
                return weights.get_tensor(TABLE)
    raise CheckpointError(f"{folder} has no weights with {TABLE}")
