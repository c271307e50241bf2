"""Finds a checkpoint folder: a local one, or a repository of the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from vita_model.checkpoint import CheckpointError

_WANTED = ("*.json", "*.safetensors", "*.txt", "*/train.yaml", "vita_tts_ckpt/*", "SHA256SUMS")
"""Leaves aside the superseded audio encoder and what a trainer left behind."""


def refuse_unknown(options: Mapping[str, object], owner: str) -> None:
    """Refuse options that would be ignored; what transformers' Auto classes say of all is let pass.

    Raises:
        CheckpointError: One that is set is not known.
    """
    harmless = ("trust_remote_code", "adapter_kwargs")
    unknown = [key for key, value in options.items() if value and key not in harmless]
    unknown = [key for key in unknown if not key.startswith("_")]
    if unknown:
        raise CheckpointError(f"{owner} does not know the options {', '.join(unknown)}")


def folder_of(
    name: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Path:
    """The folder `name` stands for; a repository is downloaded once.

    Args:
        name: A folder, or a hub id such as `VITA-MLLM/VITA-1.5`.
        revision: Branch, tag or commit of a repository. Give the commit, so that nobody can change
            what is loaded.
        cache_dir: Where downloads are kept; None takes the hub's own place.
        local_files_only: Take what was downloaded before, or fail.
        token: For repositories that are not public.

    Raises:
        CheckpointError: There is no such folder, and no such repository either.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    try:
        found = snapshot_download(
            str(name),
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            token=token,
            allow_patterns=list(_WANTED),
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{name} is neither a folder nor a repository that can be had: {reason}"
        ) from error
    return Path(found)
