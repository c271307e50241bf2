"""Who looks at a page, in which light and in which time zone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from functools import wraps
from typing import Any, ParamSpec

from nicegui import ui
from starlette.requests import Request

from agent.clock import SystemClock
from agent.console.gate import Authenticate
from agent.console.words import exactly, when, zone
from agent.errors import NotSignedInError, VitaError
from agent.supervisor.access import Actor

P = ParamSpec("P")


@dataclass(slots=True)
class Visitor:
    """The person behind one open page.

    Attributes:
        actor: Who it is, as of the last check.
        token: Token of their session.
        dark: Their choice of light or dark; None follows the machine.
        place: Their time zone.
    """

    actor: Actor
    token: str
    dark: bool | None
    place: tzinfo
    authenticate: Authenticate

    @classmethod
    def of(cls, request: Request, authenticate: Authenticate) -> Visitor:
        """The visitor of a request that the gate let in."""
        scheme = request.cookies.get("vita_scheme")
        return cls(
            actor=request.state.actor,
            token=request.state.token,
            dark={"dark": True, "light": False}.get(scheme or ""),
            place=zone(request.cookies.get("vita_zone", "")),
            authenticate=authenticate,
        )

    async def check(self) -> Actor:
        """Who it is now: a page may stay open after its session or its rights have ended.

        Raises:
            NotSignedInError: The session has ended.
        """
        self.actor = await self.authenticate(self.token, self.actor.ip)
        return self.actor

    def today(self) -> tuple[datetime, datetime]:
        """Beginning and end of the visitor's day."""
        begun = datetime.combine(
            SystemClock().now().astimezone(self.place).date(), time(), self.place
        )
        return begun, begun + timedelta(days=1)

    def when(self, at: datetime, *, mid: bool = False) -> str:
        """A moment in the visitor's time zone, as a person says it; `mid` inside a sentence."""
        said = when(at, SystemClock().now(), self.place)
        return said.replace("Today", "today").replace("Yesterday", "yesterday") if mid else said

    def exactly(self, at: datetime) -> str:
        """A moment in the visitor's time zone, to the second."""
        return exactly(at, self.place)


def handled(visitor: Visitor, work: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
    """An event handler that checks the session first and shows an expected error as its sentence."""

    @wraps(work)
    async def handler(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await visitor.check()
            await work(*args, **kwargs)
        except NotSignedInError:
            ui.navigate.to("/sign-in")
        except VitaError as error:
            say(str(error), good=False)

    return handler


def say(text: str, *, good: bool = True) -> None:
    """A short message at the page's lower edge."""
    options: dict[str, Any] = {"position": "bottom", "timeout": 3500}
    ui.notify(text, type="positive" if good else "negative", **options)
