"""The pipeline's ear: turns what a media leg delivers into frames."""

from __future__ import annotations

import asyncio

from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import Frame, InputDTMFFrame, StartFrame, TranscriptionFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from typing_extensions import override

from agent.api import DigitPressed, LegEvent, MarkPlayed, MediaFrame, MediaLeg, TextTyped
from agent.log import get_logger
from agent.pipeline.parts import CallerAudioFrame, CallParts, MarkPlayedFrame

log = get_logger(__name__)


class LegInput(FrameProcessor):
    """First processor of a call's pipeline.

    Args:
        leg: Where the caller is.
        parts: What the call's processors share.
        silent_s: A leg that delivers nothing for so long is taken as gone.
    """

    def __init__(self, leg: MediaLeg, parts: CallParts, silent_s: float) -> None:
        super().__init__()
        self._leg = leg
        self._parts = parts
        self._silent_s = silent_s
        self._started = asyncio.Event()

    @override
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything on; the start frame lets `run` begin."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._started.set()

    async def run(self) -> None:
        """Read the leg until it is closed, or silent for too long."""
        await self._started.wait()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._silent_s) as patience:
                async for event in self._leg.events():
                    patience.reschedule(loop.time() + self._silent_s)
                    await self.push_frame(self._frame(event))
        except TimeoutError:
            log.warning("leg_silent", seconds=self._silent_s)

    def _frame(self, event: LegEvent) -> Frame:
        match event:
            case MediaFrame(payload=payload, timestamp_ms=timestamp_ms):
                return self._audio(payload, timestamp_ms)
            case MarkPlayed(name=name):
                return MarkPlayedFrame(mark=name)
            case DigitPressed(digit=digit):
                self._parts.observer.digit(digit)
                return InputDTMFFrame(button=KeypadEntry(digit))
            case TextTyped(text=text):
                self._parts.observer.typed(text)
                return TranscriptionFrame(text=text, user_id="", timestamp="")

    def _audio(self, payload: bytes, timestamp_ms: int) -> CallerAudioFrame:
        audio = self._parts.audio
        at_ms = self._parts.time.caller_ms(timestamp_ms, audio.ms(payload))
        samples = audio.decode(payload)
        if self._parts.recorder is not None:
            self._parts.recorder.caller(at_ms * audio.rate // 1000, samples)
        return CallerAudioFrame(
            audio=samples.tobytes(),
            sample_rate=audio.rate,
            num_channels=1,
            payload=payload,
            at_ms=at_ms,
        )
