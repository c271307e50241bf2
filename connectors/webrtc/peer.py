"""One browser on a call: its connection as the agent's media leg, and the control of its call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame
from av.frame import Frame
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection, SmallWebRTCTrack

from agent.api import Caption, DigitPressed, LegEvent, MarkPlayed, Still, TextTyped
from agent.audio import WIDEBAND, AudioFormat
from agent.log import get_logger
from connectors.webrtc.camera import Camera, jpeg
from connectors.webrtc.messages import (
    Alive,
    Bye,
    CameraSwitched,
    Digit,
    EndReason,
    Json,
    Typed,
    caption_message,
    ended_message,
    read_message,
)
from connectors.webrtc.microphone import Microphone
from connectors.webrtc.playout import Playout
from connectors.webrtc.rates import RateLimit
from connectors.webrtc.track import PlayoutTrack

log = get_logger(__name__)

MOST_EVENTS = 1000
"""Events that may wait to be read: about 20 seconds of sound."""
LEAVE_S = 1.5
CLOSE_S = 5.0
LONGEST_DELAY_S = 1.0
WATCH_S = 0.5
ASK_AGAIN_S = 1.0
TYPED_PER_MINUTE = 30
"""Every typed turn costs an answer; nobody types faster."""


class WebRtcLeg:
    """A connected browser. Implements `MediaLeg`, `CaptionedLeg` and `CameraLeg` of `agent.api`.

    `run` has to run beside the call. The leg is over when the page says goodbye, when its
    connection closes, or when nothing has come from it for `lost_s` seconds.

    Args:
        connection: Pipecat's connection, already answered.
        lost_s: A page of which nothing comes for so long is gone.
        video: Whether the line lets callers show something.
    """

    def __init__(self, connection: SmallWebRTCConnection, *, lost_s: float, video: bool) -> None:
        self.connected = asyncio.Event()
        self.end: tuple[EndReason, str] | None = None
        """Why the leg is over and whom to call instead; None while it is not."""
        self._connection = connection
        self._lost_s = lost_s
        self._video = video
        self._gone = asyncio.Event()
        self._wanted = asyncio.Event()
        self._typed = RateLimit(TYPED_PER_MINUTE)
        self._heard_at = time.monotonic()
        self._events: asyncio.Queue[LegEvent | None] = asyncio.Queue()
        self._microphone = Microphone(WIDEBAND)
        self._camera = Camera()
        self._playout = Playout(WIDEBAND.rate)
        self._delay_s = 0.1
        self._passing: dict[str, asyncio.TimerHandle] = {}
        self._track = PlayoutTrack(self._playout, WIDEBAND.rate, self._passed)
        connection.replace_audio_track(self._track)
        connection.event_handler("connected")(self._on_connected)
        connection.event_handler("app-message")(self._on_message)
        for state in ("closed", "failed", "disconnected"):
            connection.event_handler(state)(self._on_closed)

    # What the agent does

    @property
    def audio(self) -> AudioFormat:
        """Linear samples at 24 kHz: nothing a browser sends or plays is worth more here."""
        return WIDEBAND

    async def events(self) -> AsyncIterator[LegEvent]:
        """Sound, played marks, keys and typed words, until the leg is over."""
        self._wanted.set()
        while (event := await self._events.get()) is not None:
            yield event

    async def send_audio(self, payload: bytes) -> None:
        """Queue sound for the browser."""
        self._playout.add(payload)

    async def send_mark(self, name: str) -> None:
        """Tell when everything sent so far has been played."""
        self._playout.mark(name)

    async def clear(self) -> None:
        """Play nothing of what was sent. What the browser has already got is a tenth of a second."""
        for name in [*self._passing, *self._playout.clear()]:
            self._played(name)

    async def close(self) -> None:
        """The agent has done with the caller. The page is told why by `part`."""
        self._finish("agent")

    def show_caption(self, caption: Caption) -> None:
        """Show words on the page."""
        self._send(caption_message(caption))

    async def still(self, age_s: float) -> Still | None:
        """What the camera saw `age_s` seconds ago."""
        picture = self._camera.at(time.monotonic() - age_s)
        return None if picture is None else await asyncio.to_thread(jpeg, picture)

    # What the connector does

    async def run(self) -> None:
        """Listen, look and watch until the leg is over."""
        async with asyncio.TaskGroup() as group:
            work = [group.create_task(self._listen(), name="webrtc.listen")]
            if self._video:
                work.append(group.create_task(self._look(), name="webrtc.look"))
            await self._watch()
            for task in work:
                task.cancel()

    def leave(self, reason: EndReason, number: str = "") -> None:
        """End the leg for a reason that the page is told."""
        self._finish(reason, number)

    async def drop(self) -> None:
        """Disconnect without a word: the page then goes on with the call elsewhere."""
        self._finish("lost")
        for handle in self._passing.values():
            handle.cancel()
        self._track.stop()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._connection.disconnect()
        except TimeoutError:
            log.warning("connection_not_closed_in_time")

    async def part(self, reason: EndReason, number: str = "") -> None:
        """Tell the page why the call is over, give it a moment to leave, and disconnect."""
        self._finish(reason, number)
        self._send(ended_message(reason, number))
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._gone.wait()
        except TimeoutError:
            log.info("page_left_behind")
        await self.drop()

    # What the browser does

    async def _listen(self) -> None:
        """Sound from before somebody listens would be late, and all that follows with it."""
        await self._wanted.wait()
        async for frame in self._frames(self._connection.audio_input_track()):
            if isinstance(frame, AudioFrame):
                self._heard_at = time.monotonic()
                for media in self._microphone.frames(frame):
                    self._put(media)

    async def _look(self) -> None:
        async for frame in self._frames(self._connection.video_input_track()):
            if isinstance(frame, VideoFrame):
                self._camera.see(frame, time.monotonic())

    @staticmethod
    async def _frames(track: SmallWebRTCTrack | None) -> AsyncIterator[Frame]:
        """What a track receives. Asked again every second: a track that waits longer is put to sleep."""
        while track is not None:
            try:
                async with asyncio.timeout(ASK_AGAIN_S):
                    frame = await track.recv()
            except TimeoutError:
                continue
            except MediaStreamError:
                return
            if frame is not None:
                yield frame

    async def _watch(self) -> None:
        """Returns when the leg is over; ends it when the page has fallen silent."""
        while self.end is None:
            silent_s = time.monotonic() - self._heard_at
            if silent_s >= self._lost_s:
                log.info("page_lost", silent_s=round(silent_s, 1))
                self._finish("lost")
            await asyncio.sleep(WATCH_S)

    async def _on_connected(self, _: SmallWebRTCConnection) -> None:
        self._heard_at = time.monotonic()
        self.connected.set()

    async def _on_closed(self, _: SmallWebRTCConnection) -> None:
        self._gone.set()
        self._finish("you")

    async def _on_message(self, _: SmallWebRTCConnection, raw: Any) -> None:
        self._heard_at = time.monotonic()
        match read_message(raw):
            case Alive(playout_ms=playout_ms):
                self._delay_s = min(playout_ms / 1000, LONGEST_DELAY_S)
                self._send({"type": "alive"})
            case CameraSwitched(on=on):
                self._camera.switch(on=on and self._video)
            case Typed(text=text) if self._typed.allows("", self._heard_at):
                self._put(TextTyped(text))
            case Digit(digit=digit):
                self._put(DigitPressed(digit))
            case Bye():
                self._finish("you")
            case _:
                log.debug("page_message_ignored")

    # Small things

    def _passed(self, name: str) -> None:
        """A mark's audio has left; the browser's own buffer delays its playback."""
        loop = asyncio.get_running_loop()
        self._passing[name] = loop.call_later(self._delay_s, self._played, name)

    def _played(self, name: str) -> None:
        handle = self._passing.pop(name, None)
        if handle is not None:
            handle.cancel()
        self._put(MarkPlayed(name))

    def _put(self, event: LegEvent) -> None:
        if self.end is None and self._events.qsize() < MOST_EVENTS:
            self._events.put_nowait(event)

    def _finish(self, reason: EndReason, number: str = "") -> None:
        """The first reason counts."""
        if self.end is None:
            self.end = (reason, number)
            self._events.put_nowait(None)

    def _send(self, message: Json) -> None:
        if not self._gone.is_set():
            self._connection.send_app_message(message)


class WebCallControl:
    """What can be done to a browser's call. Implements `agent.api.CallControl`."""

    def __init__(self, leg: WebRtcLeg) -> None:
        self._leg = leg

    async def hang_up(self) -> None:
        """End the call."""
        self._leg.leave("agent")

    async def transfer(self, target: str) -> None:
        """No network carries a browser's call on: the page shows the number to call."""
        self._leg.leave("transfer", target)
