"""What the caller shows to the camera, told to the model with the words it belongs to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from pathlib import Path

from agent.api import CameraLeg, MediaLeg, Still
from agent.calls.context import CallContext
from agent.log import get_logger
from agent.pipeline.observer import CallObserver
from agent.pipeline.timeline import CallTime

log = get_logger(__name__)

_LOOK_S = 1.0
"""A camera that gives no picture for so long is answered without."""


class Sight:
    """The camera of one call, if its leg has one and its line allows it."""

    def __init__(
        self, context: CallContext, leg: MediaLeg, time: CallTime, observer: CallObserver
    ) -> None:
        allowed = context.line.video and isinstance(leg, CameraLeg)
        self._leg = leg if allowed and isinstance(leg, CameraLeg) else None
        self._folder = context.stills_path
        self._time = time
        self._observer = observer
        self._kept = 0

    @property
    def possible(self) -> bool:
        """Whether the caller could show something, now or later in the call."""
        return self._leg is not None

    async def picture(self, at_ms: int) -> str:
        """What the camera saw `at_ms` into the call, as a data URI; empty while it is off."""
        if self._leg is None:
            return ""
        age_s = max(self._time.ms() - at_ms, 0) / 1000
        try:
            async with asyncio.timeout(_LOOK_S):
                still = await self._leg.still(age_s)
        except TimeoutError:
            log.warning("camera_too_slow", seconds=_LOOK_S)
            return ""
        if still is None:
            return ""
        if self._folder is not None:
            await self._keep(still, at_ms, self._folder)
        return f"data:image/jpeg;base64,{base64.b64encode(still.jpeg).decode('ascii')}"

    async def _keep(self, still: Still, at_ms: int, folder: Path) -> None:
        """A disk that fails loses the picture, never the answer."""
        self._kept += 1
        path = folder / f"{self._kept:03}.jpg"
        try:
            async with asyncio.timeout(_LOOK_S):
                await asyncio.to_thread(_write, path, still.jpeg)
        except (OSError, TimeoutError) as error:
            log.warning("still_not_kept", error=repr(error))
            return
        digest = hashlib.sha256(still.jpeg).hexdigest()
        self._observer.still(still, path, digest, at_ms)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
