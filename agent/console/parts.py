"""What the pages stand on."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from agent.console.about import About
from agent.console.line_list import LineList
from agent.console.visitor import Visitor
from agent.console.watch import Watch
from agent.supervisor.access import Actor
from agent.supervisor.desk import SupervisorDesk
from agent.tools.registry import ToolRegistry


@dataclass(frozen=True, slots=True)
class Parts:
    """The services the pages ask, and what the footer says."""

    desk: SupervisorDesk
    watch: Watch
    lines: LineList
    registry: ToolRegistry
    about: About

    async def authenticate(self, token: str, ip: str) -> Actor:
        """Who a session belongs to.

        Raises:
            NotSignedInError: To nobody.
        """
        return await self.desk.sign_ins.actor(token, ip=ip)

    def visitor(self, request: Request) -> Visitor:
        """Who looks at the page that is being built."""
        return Visitor.of(request, self.authenticate)
