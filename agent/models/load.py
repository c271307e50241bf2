"""How full a model server is, as it says itself."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import httpx

ASK_LIMIT_S: Final = 2.0
UNLIMITED: Final = 10_000
"""Places of a Realtime server of another make, which does not tell."""


@dataclass(frozen=True, slots=True)
class Load:
    """One server at one time.

    Attributes:
        limit: Sessions it takes at once; 0 while it takes none.
        active: Sessions it has.
    """

    limit: int
    active: int = 0

    @property
    def ready(self) -> bool:
        """Whether it takes sessions as long as it has places."""
        return self.limit > 0


def http_address(url: str, path: str) -> str:
    """Address of a page beside a Realtime endpoint."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, "http")
    return f"{scheme}://{parts.netloc}{path}"


async def ask(client: httpx.AsyncClient, url: str, api_key: str) -> Load:
    """Ask the server of a Realtime endpoint.

    One of another make knows no `/load`: any answer but 503 means that it takes sessions.

    Raises:
        httpx.HTTPError: It does not answer.
    """
    shown = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    answer = await client.get(http_address(url, "/load"), headers=shown)
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        return Load(0)
    if answer.is_success:
        try:
            said = answer.json()
            active, free = int(said["active"]), int(said["free"])
            if not said["ready"]:
                return Load(0, active)
            # Without a free place it counts as full, whatever the reason.
            return Load(max(active + free, 1), max(active, 1 - free))
        except (ValueError, KeyError, TypeError):
            pass
    return Load(UNLIMITED)
