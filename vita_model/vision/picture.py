"""Reads pictures from outside: JPEG and PNG, whatever their form, within limits."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from vita_model.engine.voice import PictureError

SMALLEST_SIDE = 8
MOST_PIXELS = 25_000_000
"""Pixels a picture may have before it is scaled down; a decoded one takes four bytes for each."""
_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)
"""What Pillow raises at broken files."""


def read_picture(data: bytes, side: int) -> Image.Image:
    """A JPEG or PNG as an RGB picture.

    Of an animation the first frame is taken, what is transparent becomes white, and a photo is
    turned as its camera says. Large JPEGs are decoded at a fraction of their size.

    Args:
        data: The file.
        side: The reader needs no more than this many pixels on the shorter side.

    Raises:
        PictureError: it cannot be read, or is too large or too small.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as file:
            _check_size(*file.size)
            file.draft("RGB", (4 * side, 4 * side))
            return _rgb(ImageOps.exif_transpose(file))
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise _too_large("far more") from None
    except _FAULTS as error:
        raise PictureError("The picture cannot be read; send a whole JPEG or PNG file.") from error


def checked(picture: Image.Image) -> Image.Image:
    """An already opened picture as RGB, held to the same limits.

    Raises:
        PictureError: it is too large or too small, or breaks off.
    """
    _check_size(*picture.size)
    try:
        return _rgb(picture)
    except _FAULTS as error:
        raise PictureError("The picture cannot be read; send a whole JPEG or PNG file.") from error


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, clear)
    return picture.convert("RGB")


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise _too_large(f"{width} x {height}")
    if min(width, height) < SMALLEST_SIDE:
        raise PictureError(
            f"The picture has {width} x {height} pixels; send at least {SMALLEST_SIDE} a side."
        )


def _too_large(size: str) -> PictureError:
    most = MOST_PIXELS // 1_000_000
    return PictureError(f"The picture has {size} pixels; send at most {most} million.")
