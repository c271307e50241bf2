"""Keys for one session each, made by a business's own server and given to a browser."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vita_model.serving.events import Json, ProtocolError, explain
from vita_model.serving.keys import Key, digest_of
from vita_model.serving.session import Session

PREFIX: Final = "ek_"
"""Browser clients take keys that begin so without a warning."""
MOST: Final = 1_000
"""So many unused secrets are kept: one that nobody uses costs memory until it expires."""


class _Lifetime(BaseModel):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Field(ge=10, le=7_200)] = 600


def _never_null(value: object) -> object:
    return {} if value is None else value


class _Wish(BaseModel):
    model_config = ConfigDict(extra="ignore")

    expires_after: Annotated[_Lifetime, BeforeValidator(_never_null)] = _Lifetime()
    session: Annotated[Json, BeforeValidator(_never_null)] = {}


@dataclass(frozen=True, slots=True)
class Secret:
    """What one secret opens.

    Attributes:
        parent: The key it was made with, whose limits count for it; None on an open server.
        session: Settings its session begins with.
        expires_at: When it stops counting, in seconds since 1970.
    """

    parent: Key | None
    session: Session
    expires_at: int


class ClientSecrets:
    """The secrets nobody has used yet. Each opens one session.

    Args:
        clock: Seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._unused: dict[str, Secret] = {}

    def make(self, body: bytes, parent: Key | None, model: str) -> tuple[str, Secret]:
        """Make a secret as a request's body wishes it; gives the value, kept nowhere else.

        Raises:
            ProtocolError: the body is of no use, or too many secrets wait to be used.
        """
        try:
            wish = _Wish.model_validate_json(body or b"{}")
        except ValidationError as error:
            raise explain(error, "body") from None
        session = Session(model=model).updated(wish.session)
        self._forget_expired()
        if len(self._unused) >= MOST:
            raise ProtocolError(
                f"{MOST} secrets wait to be used; make them when they are needed.",
                "rate_limit_exceeded",
            )
        value = PREFIX + secrets.token_urlsafe(32)
        secret = Secret(parent, session, int(self._clock()) + wish.expires_after.seconds)
        self._unused[digest_of(value)] = secret
        return value, secret

    def find(self, shown: Sequence[str]) -> Secret | None:
        """The secret somebody shows, if it still counts."""
        self._forget_expired()
        found = (self._unused.get(digest_of(value)) for value in shown)
        return next((secret for secret in found if secret is not None), None)

    def use_up(self, secret: Secret) -> None:
        """It has opened its session."""
        self._unused = {d: kept for d, kept in self._unused.items() if kept is not secret}

    def _forget_expired(self) -> None:
        now = self._clock()
        self._unused = {d: kept for d, kept in self._unused.items() if kept.expires_at > now}
