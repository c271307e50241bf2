"""The pipeline's mouth: sends reply audio to the leg, paced on an absolute clock."""

from __future__ import annotations

import asyncio

from pipecat.frames.frames import Frame, InterruptionFrame, TTSStoppedFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from typing_extensions import override

from agent.api import MediaLeg
from agent.metrics import FRAME_LAG
from agent.pipeline.clips import ITEM_PREFIX
from agent.pipeline.pacer import Chunk, Mark, Pacer
from agent.pipeline.parts import CallParts, ReplyAudioFrame

_SEND_S = 5.0
"""A leg that takes no data for so long has failed the call."""


class PacedOutput(FrameProcessor):
    """Last processor of a call's pipeline."""

    def __init__(self, leg: MediaLeg, parts: CallParts) -> None:
        super().__init__()
        self._leg = leg
        self._parts = parts
        self._pacer = Pacer(parts.audio)
        self._more = asyncio.Event()
        self._wire = asyncio.Lock()

    @override
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Queue reply audio; drop it all on an interruption; pass everything else on."""
        await super().process_frame(frame, direction)
        match frame:
            case ReplyAudioFrame(context_id=str(item_id), payload=payload):
                self._pacer.add(item_id, payload)
                self._more.set()
            case TTSStoppedFrame(context_id=str(item_id)):
                self._pacer.end(item_id)
                self._more.set()
            case InterruptionFrame():
                await self._clear()
                await self.push_frame(frame, direction)
            case _:
                await self.push_frame(frame, direction)

    async def run(self) -> None:
        """Send until cancelled.

        Raises:
            TimeoutError: The leg takes no more data.
        """
        while True:
            self._more.clear()
            await self._send_due()
            now = self._parts.time.now()
            wait_s = self._pacer.wait_s(now)
            try:
                async with asyncio.timeout(wait_s):
                    await self._more.wait()
            except TimeoutError:
                lag_s = self._parts.time.now() - now - (wait_s or 0.0)
                FRAME_LAG.observe(max(lag_s, 0.0))

    async def _send_due(self) -> None:
        """One thing at a time, so that a clear waits for one send at most and overtakes the rest."""
        while True:
            async with self._wire, asyncio.timeout(_SEND_S):
                thing = self._pacer.next(self._parts.time.now())
                if thing is None:
                    return
                await self._send(thing)

    async def _send(self, thing: Chunk | Mark) -> None:
        if isinstance(thing, Mark):
            self._parts.playback.mark_sent(thing)
            await self._leg.send_mark(thing.name)
            return
        first = self._parts.playback.sent(thing)
        payload = self._parts.volume.apply(thing.payload)
        await self._leg.send_audio(payload)
        if first and not thing.item_id.startswith(ITEM_PREFIX):  # no answer, only words meanwhile
            self._parts.observer.first_audio()
        if self._parts.recorder is not None:
            position = self._parts.time.sample(thing.plays_at)
            self._parts.recorder.agent(position, self._parts.audio.decode(payload))

    async def _clear(self) -> None:
        now = self._parts.time.now()
        self._pacer.clear(now)
        self._parts.volume.reset()
        if self._parts.recorder is not None:
            self._parts.recorder.cut(self._parts.time.sample(now))
        async with self._wire, asyncio.timeout(_SEND_S):
            await self._leg.clear()
