"""Opens files of sound and moving pictures from outside, and nothing besides."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import av
from av.container import InputContainer
from av.error import FFmpegError

READ_FAULTS = (FFmpegError, EOFError, ValueError, IndexError, OverflowError, MemoryError)
"""What broken files make the decoder raise."""


@contextmanager
def opened(data: bytes, formats: str) -> Iterator[InputContainer]:
    """A container of sound or pictures, opened for reading.

    Only the listed formats are tried and no address is ever followed: playlists and the like would
    make the reader open files of the sender's choosing.

    Args:
        data: The file.
        formats: Names of demultiplexers, with commas between.

    Raises:
        FFmpegError: It is of another format or broken.
        EOFError, ValueError: Likewise.
    """
    stream: BinaryIO = io.BytesIO(data)
    options = {"format_whitelist": formats, "protocol_whitelist": "none"}
    with av.open(stream, "r", options=options, metadata_errors="ignore") as container:
        yield container
