"""Twilio as a `Carrier`: its routes and its call control in one hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from agent.api import CallControl, CallDesk
from agent.errors import CarrierError
from agent.log import get_logger
from agent.metrics import webhook_timed
from connectors.twilio.call_control import TwilioCallControl, TwilioRest
from connectors.twilio.config import (
    AFTER_PATH,
    AMD_PATH,
    MEDIA_PATH,
    STATUS_PATH,
    STREAM_PATH,
    VOICE_PATH,
    TwilioConfig,
)
from connectors.twilio.signature import SignatureCheck
from connectors.twilio.socket import MediaDoor
from connectors.twilio.webhook import CARRIER, Webhooks

log = get_logger(__name__)


class TwilioCarrier:
    """One Twilio account in front of the desk. Implements `connectors.carrier.Carrier`."""

    name = CARRIER

    def __init__(self, desk: CallDesk, config: TwilioConfig) -> None:
        signatures = SignatureCheck(config)
        self._config = config
        self._rest = TwilioRest(config)
        self._webhooks = Webhooks(desk, config, signatures)
        self._door = MediaDoor(desk, config, signatures)

    def router(self) -> APIRouter:
        """The webhooks and the media socket."""
        router = APIRouter(include_in_schema=False)
        router.add_route(VOICE_PATH, _timed("voice", self._webhooks.voice), methods=["POST"])
        router.add_route(AFTER_PATH, _timed("after", self._webhooks.after), methods=["POST"])
        router.add_route(STATUS_PATH, _timed("status", self._webhooks.status), methods=["POST"])
        router.add_route(AMD_PATH, _timed("amd", self._amd), methods=["POST"])
        router.add_route(STREAM_PATH, _timed("stream", self._webhooks.stream), methods=["POST"])
        router.add_websocket_route(MEDIA_PATH, self._media)
        return router

    def control(self, carrier_call_id: str) -> CallControl:
        """Control over the call with this SID."""
        return TwilioCallControl(self._rest, self._config, carrier_call_id)

    async def close(self) -> None:
        """Close the REST connections."""
        await self._rest.close()

    async def _amd(self, request: Request) -> Response:
        """Hang up on a machine that nobody here talks to any more, or yet."""
        answer, machine = await self._webhooks.answered_by(request)
        if machine:
            try:
                await self.control(machine).hang_up()
            except CarrierError as error:
                log.warning("machine_not_hung_up", reason=str(error))
        return answer

    async def _media(self, websocket: WebSocket) -> None:
        welcomed = await self._door.welcome(websocket)
        if welcomed is not None:
            started, leg, call_id = welcomed
            await self._door.serve(call_id, leg, self.control(started.call_sid))


Answer = Callable[[Request], Awaitable[Response]]


def _timed(webhook: str, answer: Answer) -> Answer:
    async def timed(request: Request) -> Response:
        with webhook_timed(webhook):
            return await answer(request)

    return timed
