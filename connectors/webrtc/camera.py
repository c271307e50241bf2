"""The last seconds of a caller's camera, a few pictures a second."""

from __future__ import annotations

import io
from collections import deque

from av import VideoFrame

from agent.api import Still

PICTURES_PER_S = 4
KEPT_S = 4
LONGEST_SIDE = 640
_QUALITY = 88


class Camera:
    """Keeps decoded pictures as they are; one is made a JPEG only when it is asked for."""

    def __init__(self) -> None:
        self.on = False
        self._pictures: deque[tuple[float, VideoFrame]] = deque(maxlen=PICTURES_PER_S * KEPT_S)

    def switch(self, *, on: bool) -> None:
        """The caller turned the camera on or off; what it saw before is forgotten."""
        self.on = on
        self._pictures.clear()

    def see(self, picture: VideoFrame, now: float) -> None:
        """A picture arrived at `now`, in seconds of any steady clock."""
        if not self.on:
            return
        if not self._pictures or now - self._pictures[-1][0] >= 1 / PICTURES_PER_S:
            self._pictures.append((now, picture))

    def at(self, moment: float) -> VideoFrame | None:
        """The newest picture that is not younger than `moment`, else the oldest there is."""
        if not self._pictures:
            return None
        older = [picture for seen_at, picture in self._pictures if seen_at <= moment]
        return older[-1] if older else self._pictures[0][1]


def jpeg(picture: VideoFrame) -> Still:
    """The picture as a file, its longer side at most 640 pixels. Blocks for milliseconds."""
    image = picture.to_image()  # type: ignore[no-untyped-call]
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return Still(file.getvalue(), image.width, image.height)
