"""Finds out what a folder of weights holds and builds the voice model for it."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vita_model.checkpoint import CheckpointError
from vita_model.config import CONFIG_FILE
from vita_model.engine.tiny import TinyVoice
from vita_model.engine.voice import VoiceModel
from vita_model.tiny import FOLDER, load_parts

if TYPE_CHECKING:
    from vita_model.engine.vllm_settings import VllmSettings
    from vita_model.packed import Form
    from vita_model.quantized import Bits

TINY_TYPE = "vita-tiny"
LARGE_TYPE = "vita-Qwen2"


def load_voice_model(
    folder: Path | None = None,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    fast: Form | None = None,
    bits: Bits | None = None,
    vllm: VllmSettings | None = None,
) -> VoiceModel:
    """The model in a folder, vita-tiny when none is given.

    Args:
        folder: vita-tiny, or VITA-1.5 as published or as `vita_model.convert` left it.
        device: Where a large model runs; `auto` takes a GPU where there is one.
        dtype: Its type of weights; `auto` keeps the stored one.
        fast: See `load_model`.
        bits: See `load_model`.
        vllm: Run a large model's language model on vLLM, with these settings.

    Raises:
        CheckpointError: No readable weights there, or they cannot be had in this way.
        VllmMissingError: vLLM is wanted and not installed.
        EngineStoppedError: vLLM did not start.
        UnsupportedVariantError: A part has a form this model does not know.
    """
    if _kind(folder) == TINY_TYPE:
        if vllm is not None:
            raise CheckpointError("vita-tiny runs in the torch engine; leave the engine out")
        if (device, dtype, fast, bits) != ("cpu", "auto", None, None):
            raise CheckpointError(
                "vita-tiny runs on the CPU in a form of its own; leave device, type, bits and fast"
                " form out"
            )
        voice: VoiceModel = TinyVoice(load_parts(folder or FOLDER))
    else:
        assert folder is not None  # noqa: S101 - vita-tiny is what there is without a folder
        voice = _large(folder, device=device, dtype=dtype, fast=fast, bits=bits, vllm=vllm)
    _give_memory_back()
    return voice


def _large(
    folder: Path,
    *,
    device: str,
    dtype: str,
    fast: Form | None,
    bits: Bits | None,
    vllm: VllmSettings | None,
) -> VoiceModel:
    """VITA-1.5. What it takes is imported here: transformers would be 100 MB more for vita-tiny."""
    import torch  # noqa: PLC0415

    from vita_model.assembly import load_model  # noqa: PLC0415
    from vita_model.engine.licence import licence_of  # noqa: PLC0415
    from vita_model.engine.thinker import vllm_thinker  # noqa: PLC0415
    from vita_model.engine.vita import VitaVoice  # noqa: PLC0415
    from vita_model.placement import device_named, weight_type  # noqa: PLC0415
    from vita_model.processor import VitaProcessor  # noqa: PLC0415

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    where, kind = str(device_named(device)), weight_type(dtype)
    processor, licence = VitaProcessor.from_pretrained(folder), licence_of(folder)
    if vllm is None:
        whole = load_model(folder, device=where, dtype=kind, fast=fast, bits=bits)
        return VitaVoice(whole, processor, licence)
    if bits is not None:
        raise CheckpointError("vLLM takes whole weights; leave bits out")
    thinker = vllm_thinker(folder, processor, vllm, dtype)  # first, while the GPU is empty
    try:
        whole = load_model(folder, device=where, dtype=kind, fast=fast, thinks=False)
        return VitaVoice(whole, processor, licence, thinker=thinker)
    except BaseException:
        thinker.engine.stop()
        raise


def _kind(folder: Path | None) -> str:
    """The type of model a folder says it holds."""
    if folder is None:
        return TINY_TYPE
    if (folder / CONFIG_FILE).is_file():
        return LARGE_TYPE
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"there is no readable {path}; give the folder of vita-tiny or of VITA-1.5"
        ) from error
    kind = found.get("model_type") if isinstance(found, dict) else None
    if kind not in (TINY_TYPE, LARGE_TYPE):
        raise CheckpointError(
            f"{path} says model_type {kind!r}; give a folder of {TINY_TYPE} or {LARGE_TYPE}"
        )
    return str(kind)


def _give_memory_back() -> None:
    """Unpacking the weights leaves 400 MB of freed pages with the allocator on Linux."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
