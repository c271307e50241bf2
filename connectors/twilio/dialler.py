"""Outbound calls through Twilio: placed by REST, answered like any other call."""

from __future__ import annotations

from agent.api import DialOrder
from connectors.twilio.call_control import TwilioRest
from connectors.twilio.config import AMD_PATH, STATUS_PATH, VOICE_PATH, TwilioConfig
from connectors.twilio.webhook import CARRIER


class TwilioDialler:
    """Places calls of one account. Implements `agent.api.Dialler`."""

    name = CARRIER

    def __init__(self, config: TwilioConfig) -> None:
        self._config = config
        self._rest = TwilioRest(config)

    async def dial(self, order: DialOrder) -> str:
        """Place a call; returns its SID. Who answered is told later, and nothing waits for it.

        Raises:
            CarrierError: Refused, or no answer in time.
        """
        config = self._config
        return await self._rest.create_call(
            to=order.to_number,
            from_=order.from_number,
            url=config.url(VOICE_PATH),
            method="POST",
            status_callback=config.url(STATUS_PATH),
            status_callback_method="POST",
            status_callback_event=["completed"],
            timeout=order.ring_s,
            time_limit=order.longest_s,
            machine_detection="DetectMessageEnd" if order.wait_for_tone else "Enable",
            async_amd="true",
            async_amd_status_callback=config.url(AMD_PATH),
            async_amd_status_callback_method="POST",
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._rest.close()
