"""The leg on a real connection, with a peer in the browser's place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pytest
from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection

from agent.api import (
    CameraLeg,
    Caption,
    CaptionedLeg,
    DigitPressed,
    LegEvent,
    MarkPlayed,
    MediaFrame,
    TextTyped,
)
from connectors.webrtc.peer import WebCallControl, WebRtcLeg

pytestmark = pytest.mark.integration

TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype("<i2").tobytes()


@dataclass
class Browser:
    """The far side: what it was told, how loud what it heard was, and the events of the leg."""

    leg: WebRtcLeg
    peer: RTCPeerConnection
    channel: RTCDataChannel
    told: list[dict[str, object]] = field(default_factory=list)
    events: list[LegEvent] = field(default_factory=list)
    loudest: int = 0

    def tell(self, **message: object) -> None:
        self.channel.send(json.dumps(message))

    def marks(self) -> list[str]:
        return [event.name for event in self.events if isinstance(event, MarkPlayed)]

    async def listen(self) -> None:
        track = self.peer.getTransceivers()[0].receiver.track
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.loudest = max(self.loudest, int(np.abs(frame.to_ndarray()).max()))

    async def collect(self) -> None:
        async for event in self.leg.events():
            self.events.append(event)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition has no event of its own
            await asyncio.sleep(0.01)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    peer = RTCPeerConnection()
    peer.addTrack(AudioStreamTrack())
    channel = peer.createDataChannel("vita")
    await peer.setLocalDescription(await peer.createOffer())
    connection = SmallWebRTCConnection([], 60)
    await connection.initialize(peer.localDescription.sdp, "offer")
    leg = WebRtcLeg(connection, lost_s=8, video=False)
    await connection.connect()
    far = Browser(leg, peer, channel)
    channel.on("message", lambda text: far.told.append(json.loads(text)))
    answer = connection.pc.localDescription
    await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, answer.type))
    async with asyncio.TaskGroup() as group:
        work = [group.create_task(run()) for run in (leg.run, far.listen, far.collect)]
        async with asyncio.timeout(10):
            await leg.connected.wait()
        await until(lambda: channel.readyState == "open")
        yield far
        for task in work:
            task.cancel()
        await leg.drop()
        await peer.close()


async def test_what_is_sent_is_heard_and_its_marks_come_back_in_order(browser: Browser) -> None:
    leg = browser.leg
    browser.tell(type="alive", playout_ms=40)
    await leg.send_mark("nothing")
    await leg.send_audio(TONE[:9600])
    await leg.send_mark("first")
    await leg.send_audio(TONE[:9600])
    await leg.send_mark("second")
    await until(lambda: browser.marks() == ["nothing", "first", "second"])
    await until(lambda: browser.loudest > 2000)
    assert {"type": "alive"} in browser.told


async def test_a_clear_brings_the_marks_back_at_once_and_the_rest_is_not_played(
    browser: Browser,
) -> None:
    for _ in range(30):
        await browser.leg.send_audio(TONE)
    await browser.leg.send_mark("far away")
    await browser.leg.clear()
    await until(lambda: browser.marks() == ["far away"])


async def test_sound_words_and_keys_arrive_and_captions_leave(browser: Browser) -> None:
    browser.tell(type="typed", text="hello")
    browser.tell(type="digit", digit="5")
    browser.tell(type="nonsense")
    await until(lambda: TextTyped("hello") in browser.events)
    await until(lambda: DigitPressed("5") in browser.events)
    await until(lambda: sum(isinstance(e, MediaFrame) for e in browser.events) > 5)
    frames = [event for event in browser.events if isinstance(event, MediaFrame)]
    assert [frame.timestamp_ms for frame in frames] == sorted(f.timestamp_ms for f in frames)
    assert isinstance(browser.leg, CaptionedLeg)
    browser.leg.show_caption(Caption("agent", "t", "Hi.", final=True))
    await until(lambda: any(told.get("text") == "Hi." for told in browser.told))
    assert isinstance(browser.leg, CameraLeg)
    assert await browser.leg.still(0) is None


async def test_a_transfer_ends_the_leg_and_tells_the_number(browser: Browser) -> None:
    await WebCallControl(browser.leg).transfer("+15550199")
    assert browser.leg.end == ("transfer", "+15550199")
    await browser.leg.part("transfer", "+15550199")
    ended = {"type": "ended", "reason": "transfer", "number": "+15550199"}
    await until(lambda: ended in browser.told)


async def test_a_goodbye_of_the_page_ends_the_leg(browser: Browser) -> None:
    browser.tell(type="bye")
    await until(lambda: browser.leg.end == ("you", ""))
