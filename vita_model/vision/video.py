"""Videos to the few frames the model looks at."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image

from vita_model.container import READ_FAULTS, opened
from vita_model.media import Source, VideoError, read_bytes
from vita_model.vision.picture import MOST_PIXELS
from vita_model.vision.tiling import video_frames

MOST_SECONDS = 600.0
MOST_FRAMES = 60 * 600
LIVE_FRAMES = 4
"""Of a live camera the model looks at this many frames."""
_FORMATS = "mov,mp4,m4a,3gp,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,gif,mjpeg"


def read_video(source: Source) -> list[Image.Image]:
    """The frames to look at, in order: one a second, at least 4 and at most 16, evenly spread.

    Args:
        source: A video file. Its sound is not used.

    Raises:
        VideoError: It cannot be read, has no frames, or is too long or too large.
        MediaError: It is no file at all.
    """
    data = read_bytes(source, "video")
    try:
        wanted = video_frames(*_measure(data))
        kept = _take(data, wanted)
    except VideoError:
        raise
    except READ_FAULTS as error:
        raise VideoError(
            "The video cannot be read; send a whole file, such as MP4 or WebM."
        ) from error
    if not kept:
        raise VideoError("The video has no frames; send one with pictures in it.")
    # A file that breaks off, or whose packets are not all frames, repeats its last picture.
    pictures, last = [], kept[min(kept)]
    for number in wanted:
        last = kept.get(number, last)
        pictures.append(last)
    return pictures


def live_frames(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Four frames of a camera's latest ones, evenly spread; fewer are repeated.

    Raises:
        VideoError: There are none.
    """
    if not frames:
        raise VideoError("The camera gave no frames; send at least one.")
    places = np.linspace(0, len(frames) - 1, LIVE_FRAMES).astype(int)
    return [frames[int(place)] for place in places]


def _measure(data: bytes) -> tuple[int, float]:
    """Frames and frames a second, from the packets: nothing is decoded."""
    with opened(data, _FORMATS) as container:
        if not container.streams.video:
            raise VideoError("There are no pictures in the file; send a video.")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise VideoError("The video's kind is not known; send MP4 or WebM.")
        if stream.codec_context.width * stream.codec_context.height > MOST_PIXELS:
            raise VideoError("The video's pictures are too large; send it in a lower resolution.")
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        count = 0
        for packet in container.demux(stream):
            count += packet.size > 0
            if count > MOST_FRAMES or count > MOST_SECONDS * rate:
                raise VideoError(
                    f"The video is too long; send at most {MOST_SECONDS:.0f} s at a time."
                )
    if not count:
        raise VideoError("The video has no frames; send one with pictures in it.")
    return count, rate


def _take(data: bytes, wanted: Sequence[int]) -> dict[int, Image.Image]:
    """The frames with the wanted numbers, as far as the file goes."""
    kept: dict[int, Image.Image] = {}
    with opened(data, _FORMATS) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        try:
            for number, frame in enumerate(container.decode(stream)):
                if number in wanted:
                    kept[number] = _picture(frame)
                if number >= wanted[-1]:
                    break
        except FFmpegError:
            if not kept:
                raise
    return kept


def _picture(frame: av.VideoFrame) -> Image.Image:
    if frame.width * frame.height > MOST_PIXELS:
        raise VideoError("The video's pictures are too large; send it in a lower resolution.")
    return Image.fromarray(frame.to_ndarray(format="rgb24"))
