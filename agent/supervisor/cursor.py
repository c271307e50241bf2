"""Opaque marks that continue a list after its last item."""

from __future__ import annotations

import base64
from datetime import datetime

from agent.errors import InvalidRequestError

SIZE = 50
LARGEST = 200


def cursor(at: datetime, key: str | int) -> str:
    """A mark behind the item with this time and key."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{key}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[datetime, str]:
    """Time and key of a mark.

    Raises:
        InvalidRequestError: It is none of ours.
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        at, _, key = base64.urlsafe_b64decode(padded.encode("ascii")).decode().partition("|")
        when = datetime.fromisoformat(at)
    except ValueError as error:
        raise InvalidRequestError("This cursor is unknown: start without one.") from error
    if when.tzinfo is None or not key:
        raise InvalidRequestError("This cursor is unknown: start without one.")
    return when, key


def page_size(limit: int) -> int:
    """A page's size within its bounds."""
    return max(1, min(limit, LARGEST))
