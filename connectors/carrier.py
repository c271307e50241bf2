"""What every carrier offers the service."""

from __future__ import annotations

from typing import Protocol

from fastapi import APIRouter

from agent.api import CallControl


class Carrier(Protocol):
    """A phone company: its webhooks and media socket, and a hand on its side of each call."""

    name: str
    """Short, stable name, as in `IncomingCall.carrier`."""

    def router(self) -> APIRouter:
        """HTTP and WebSocket routes the carrier calls, all of them authenticated."""
        ...

    def control(self, carrier_call_id: str) -> CallControl:
        """Control over one call, by the carrier's own id of it."""
        ...

    async def close(self) -> None:
        """Free connections to the carrier."""
        ...
