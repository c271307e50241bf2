"""The calls of all pages that are open, from an offer to their end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtcconfiguration import RTCIceServer
from aiortc.sdp import candidate_from_sdp
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection

from agent.api import CallDesk
from agent.errors import VitaError
from agent.log import bound_call, get_logger
from agent.tasks import TaskOwner
from connectors.webrtc.config import WebCallConfig
from connectors.webrtc.messages import EndReason
from connectors.webrtc.peer import WebCallControl, WebRtcLeg

log = get_logger(__name__)

CARRIER = "web"

_BAD_SDP = (
    ValueError,
    LookupError,
    AttributeError,
    AssertionError,
    InvalidAccessError,
    InvalidStateError,
    OperationError,
)
"""What aiortc raises for a description or a candidate that makes no sense."""


class BadOfferError(VitaError):
    """What the browser sent cannot be connected to."""

    code = "bad_offer"
    http_status = 400


@dataclass(frozen=True, slots=True)
class Answer:
    """Our side of a connection, for the browser."""

    peer: str
    sdp: str


@dataclass(frozen=True, slots=True)
class _OpenCall:
    call_id: str
    carrier_call_id: str
    connection: SmallWebRTCConnection
    leg: WebRtcLeg


class WebCalls:
    """Every browser's call of this process."""

    def __init__(self, desk: CallDesk, config: WebCallConfig) -> None:
        self._desk = desk
        self._config = config
        self._tasks = TaskOwner("webrtc")
        self._open: dict[str, _OpenCall] = {}

    async def answer(self, call_id: str, carrier_call_id: str, sdp: str, *, video: bool) -> Answer:
        """Connect to a browser whose token was claimed, and serve its call from then on.

        Raises:
            BadOfferError: The description makes no sense, or has no sound in the first place.
        """
        stun = [RTCIceServer(urls=url) for url in self._config.ice.stun_urls]
        # Its own limit, once reached, breaks off the closing it has begun: ours comes first.
        connection = SmallWebRTCConnection(stun, int(4 * self._config.connect_s))
        try:
            leg = await self._connect(connection, sdp, video=video)
        except (BadOfferError, asyncio.CancelledError):
            await connection.disconnect()
            raise
        call = _OpenCall(call_id, carrier_call_id, connection, leg)
        self._open[connection.pc_id] = call
        _ = self._tasks.spawn(self._serve(call), name=call_id)
        return Answer(connection.pc_id, connection.pc.localDescription.sdp)

    async def add_candidates(self, peer: str, candidates: list[tuple[str, str, int]]) -> bool:
        """Tell a connection where else the browser can be reached: (candidate, mid, line index).

        False when there is no such connection.

        Raises:
            BadOfferError: A candidate makes no sense.
        """
        call = self._open.get(peer)
        if call is None:
            return False
        for text, mid, index in candidates:
            if not text:
                continue  # the browser has no more: aiortc need not know
            try:
                candidate = candidate_from_sdp(text.removeprefix("candidate:"))
                candidate.sdpMid, candidate.sdpMLineIndex = mid, index
                await call.connection.add_ice_candidate(candidate)
            except _BAD_SDP as error:
                raise BadOfferError("An ICE candidate makes no sense.") from error
        return True

    def control(self, carrier_call_id: str) -> WebCallControl | None:
        """Control over a call that is open here."""
        for call in self._open.values():
            if call.carrier_call_id == carrier_call_id:
                return WebCallControl(call.leg)
        return None

    async def close(self) -> None:
        """End all calls."""
        await self._tasks.close()

    async def _connect(
        self, connection: SmallWebRTCConnection, sdp: str, *, video: bool
    ) -> WebRtcLeg:
        try:
            async with asyncio.timeout(self._config.offer_s):
                await connection.initialize(sdp, "offer")
        except (*_BAD_SDP, TimeoutError) as error:
            raise BadOfferError("The browser's offer makes no sense.") from error
        transceivers = connection.pc.getTransceivers()
        if not transceivers or transceivers[0].kind != "audio":
            raise BadOfferError("The browser's offer has no sound in the first place.")
        leg = WebRtcLeg(connection, lost_s=self._config.lost_s, video=video)
        await connection.connect()
        return leg

    async def _serve(self, call: _OpenCall) -> None:
        with bound_call(call.call_id):
            try:
                reason, number = await self._talk(call)
                await call.leg.part(reason, number)
                log.info("web_call_ended", reason=reason)
            except BaseException:
                await call.leg.drop()
                raise
            finally:
                del self._open[call.connection.pc_id]

    async def _talk(self, call: _OpenCall) -> tuple[EndReason, str]:
        """Serve the call; returns why it is over and whom the caller may call instead."""
        leg = call.leg
        try:
            async with asyncio.timeout(self._config.connect_s):
                await leg.connected.wait()
        except TimeoutError:
            log.info("never_connected")
            await self._desk.ended(CARRIER, call.carrier_call_id, "never_connected")
            return "lost", ""
        async with asyncio.TaskGroup() as group:
            beside = group.create_task(leg.run(), name="webrtc.leg")
            outcome = await self._desk.serve(call.call_id, leg, WebCallControl(leg))
            beside.cancel()
        log.info("media_ended", outcome=outcome)
        if outcome != "failed":
            return leg.end or ("agent", "")
        step = await self._desk.next_step(CARRIER, call.carrier_call_id)
        return "failed", step.target
