"""Checksums of checkpoint files, in the form `sha256sum` writes and reads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from vita_model.checkpoint import CheckpointError

SUMS_FILE = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")

PUBLISHED: Mapping[str, tuple[int, str]] = {
    "vita_tts_ckpt/codec/final.pt": (
        253_718_273,
        "1c04d618827b0e2778280d7c4701d6c8450c4104de4c1a1dca2b5c3120017c7a",
    ),
}
"""Size and SHA-256 of published files: one of that name and size has that content."""


def sha256(path: Path) -> str:
    """The checksum of a file in hexadecimal digits."""
    try:
        with path.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error


def read_sums(path: Path) -> dict[str, str]:
    """Checksums by file name.

    Raises:
        CheckpointError: The file is missing or a line of it is none of `sha256sum`.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    found = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise CheckpointError(f"line {number} of {path} is no checksum and file name")
        found[match[2]] = match[1].lower()
    return found


def write_sums(folder: Path, files: Iterable[Path]) -> None:
    """Pin the content of `files`, which are in `folder`."""
    lines = [f"{sha256(file)}  {file.relative_to(folder)}\n" for file in sorted(files)]
    (folder / SUMS_FILE).write_text("".join(lines))


def verify(folder: Path, sums: Mapping[str, str]) -> None:
    """Compare files with their checksums.

    Raises:
        CheckpointError: A file is missing or has another content.
    """
    for name, wanted in sums.items():
        found = sha256(folder / name)
        if found != wanted:
            raise CheckpointError(
                f"{folder / name} is not the file that was pinned: its SHA-256 is {found}, not "
                f"{wanted}; get it again"
            )


def verify_published(folder: Path) -> None:
    """`verify` the files whose published checksums are known, as far as they are in the folder."""
    known = {
        name: digest
        for name, (size, digest) in PUBLISHED.items()
        if (folder / name).is_file() and (folder / name).stat().st_size == size
    }
    verify(folder, known)
