"""Pictures to normalised tiles, and which frames of a video to look at."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@lru_cache(maxsize=32)
def _grids(most: int) -> tuple[tuple[int, int], ...]:
    pairs = [(i, j) for i in range(1, most + 1) for j in range(1, most // i + 1)]
    return tuple(sorted(pairs, key=lambda pair: pair[0] * pair[1]))


def grid(width: int, height: int, most: int = 12, size: int = 448) -> tuple[int, int]:
    """Columns and rows of tiles for a picture: the nearest aspect ratio of at most `most` tiles.

    Of equally near grids a larger one is taken only when the picture has more than half its pixels.
    """
    best, difference = (1, 1), float("inf")
    for columns, rows in _grids(most):
        distance = abs(width / height - columns / rows)
        roomy = width * height > 0.5 * size * size * columns * rows
        if distance < difference or (distance == difference and roomy):
            best, difference = (columns, rows), distance
    return best


def tiles(picture: Image.Image, most: int = 12, size: int = 448) -> list[Image.Image]:
    """Cut a picture into square tiles, row by row; a thumbnail of the whole comes last.

    A picture that fits one tile gives just that tile. `most=1` is right for live video: more tiles
    per frame would flood the context.
    """
    picture = picture.convert("RGB")
    columns, rows = grid(*picture.size, most, size)
    resized = picture.resize((size * columns, size * rows), Image.Resampling.BICUBIC)
    cut = [
        resized.crop((column * size, row * size, (column + 1) * size, (row + 1) * size))
        for row in range(rows)
        for column in range(columns)
    ]
    if len(cut) > 1:
        cut.append(picture.resize((size, size), Image.Resampling.BICUBIC))
    return cut


def pixels(picture: Image.Image, size: int = 448) -> Tensor:
    """Normalised pixels `[3, size, size]` float32.

    The shorter edge is brought to `size` and the longer cropped about its centre; for a tile
    neither happens.
    """
    picture = picture.convert("RGB")
    width, height = picture.size
    if width < height:
        target = (size, int(size * height / width))
    else:
        target = (int(size * width / height), size)
    if target != picture.size:
        picture = picture.resize(target, Image.Resampling.BICUBIC)
    left, top = (target[0] - size) // 2, (target[1] - size) // 2
    picture = picture.crop((left, top, left + size, top + size))
    values = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255.0
    mean, std = torch.tensor(_MEAN)[:, None, None], torch.tensor(_STD)[:, None, None]
    return (values - mean) / std


def batch(pictures: list[Image.Image], size: int = 448) -> Tensor:
    """`pixels` of several tiles, `[n, 3, size, size]`."""
    return torch.stack([pixels(picture, size) for picture in pictures])


def video_frames(count: int, rate: float, least: int = 4, most: int = 16) -> list[int]:
    """Indices of the frames to look at: one a second, between `least` and `most`, evenly spread.

    Args:
        count: Frames in the video, at least one.
        rate: Frames a second.
        least: Fewest frames (a short video repeats some).
        most: Most frames.
    """
    if count < 1:
        raise ValueError("a video needs at least one frame")
    positions = np.arange(0, count, max(1, round(rate)))
    if len(positions) > most:
        positions = positions[np.linspace(0, len(positions) - 1, most).astype(int)]
    elif len(positions) < least:
        positions = np.linspace(0, count - 1, least).astype(int)
    return [int(position) for position in positions]
