"""Browsers as a `Carrier`: the call pages and the calls that come from them."""

from __future__ import annotations

from fastapi import APIRouter

from agent.api import CallControl, CallDesk
from agent.errors import CarrierError
from connectors.webrtc.calls import CARRIER, WebCalls
from connectors.webrtc.config import WebCallConfig
from connectors.webrtc.signalling import Signalling


class WebCarrier:
    """All call pages in front of the desk. Implements `connectors.carrier.Carrier`."""

    name = CARRIER

    def __init__(self, desk: CallDesk, config: WebCallConfig) -> None:
        self._calls = WebCalls(desk, config)
        self._signalling = Signalling(desk, self._calls, config)

    def router(self) -> APIRouter:
        """Everything under `/call`."""
        return self._signalling.router()

    def control(self, carrier_call_id: str) -> CallControl:
        """Control over an open call.

        Raises:
            CarrierError: The call is not open here.
        """
        control = self._calls.control(carrier_call_id)
        if control is None:
            raise CarrierError("The web call is not open here: it has ended.")
        return control

    async def close(self) -> None:
        """End all calls."""
        await self._calls.close()
