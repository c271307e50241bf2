"""Makes a downloaded VITA-1.5 folder safe and quick to load, once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from vita_model.assembly import build_model
from vita_model.checkpoint import load_torch_file, save_module
from vita_model.config import CONFIG_FILE, VisionConfig, VitaConfig
from vita_model.hashes import SUMS_FILE, read_sums, verify, verify_published, write_sums
from vita_model.published import CODEC_FOLDER, SPEECH_FOLDER, folder_config

_PINNED = ("*.json", "*.safetensors", "*/train.yaml", "vita_tts_ckpt/*/*")


def convert(
    folder: Path, *, sums: Mapping[str, str] | None = None, vision: VisionConfig | None = None
) -> VitaConfig:
    """Convert the `.pt` parts of a folder to safetensors, gather its configuration, pin its files.

    The shards stay as they are. Beside them come `speech.safetensors` and `codec.safetensors` with
    weight norm folded and without training leftovers, `vita.json` and `SHA256SUMS`. Nothing but
    tensors is unpickled. In a folder that was converted before, the pinned files are verified.

    Args:
        folder: A copy of the published repository.
        sums: SHA-256 of files of the folder, verified before any of them is opened.
        vision: Sizes of the vision tower; see `published.folder_config`.

    Raises:
        CheckpointError: A file is missing, unreadable or not the pinned one.
        UnsupportedVariantError: A part has a form this model does not know.
    """
    verify_published(folder)
    verify(folder, sums or {})
    if (folder / SUMS_FILE).is_file():
        verify(folder, read_sums(folder / SUMS_FILE))
    config = folder_config(folder, vision)
    with torch.device("meta"):
        model = build_model(config)
    for part, source, name in (
        (model.speech, SPEECH_FOLDER, "speech"),
        (model.codec, CODEC_FOLDER, "codec"),
    ):
        target = folder / f"{name}.safetensors"
        if part is not None and not target.is_file():
            _convert_part(part, folder / source / "final.pt", target)
    (folder / CONFIG_FILE).write_text(json.dumps(config.to_json(), indent=2))
    write_sums(folder, {file for pattern in _PINNED for file in folder.glob(pattern)})
    return config


def _convert_part(part: nn.Module, source: Path, target: Path) -> None:
    load_torch_file(part, source)
    # Under another name first: a half-written file must not be taken for a whole one.
    written = target.with_suffix(".partial")
    save_module(part, written)
    written.replace(target)
