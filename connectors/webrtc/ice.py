"""STUN and TURN servers, and short-lived credentials for the latter.

Credentials follow the TURN REST convention, which coturn calls `use-auth-secret`: the user name is
the moment they expire at, the password its HMAC-SHA1 under a secret shared with the TURN server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from agent.errors import ConfigurationError

SHORTEST_TTL_S = 60


@dataclass(frozen=True, slots=True)
class IceServer:
    """One entry for a browser's `RTCConfiguration`."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = field(default="", repr=False)

    def public(self) -> dict[str, object]:
        """The entry as JSON."""
        if not self.username:
            return {"urls": list(self.urls)}
        return {
            "urls": list(self.urls),
            "username": self.username,
            "credential": self.credential,
        }


@dataclass(frozen=True, slots=True)
class IceConfig:
    """Which servers help a call through a firewall.

    Attributes:
        stun_urls: `stun:` URLs, also asked by our own side for its public address.
        turn_urls: `turn:` and `turns:` URLs that relay for browsers.
        turn_secret: Secret shared with the TURN servers.
        turn_ttl_s: Life of a credential; a call that is connected outlives it.

    Raises:
        ConfigurationError: A URL is of another kind, or TURN has no secret.
    """

    stun_urls: tuple[str, ...] = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret: str = field(default="", repr=False)
    turn_ttl_s: int = 600

    def __post_init__(self) -> None:
        _require("VITA_STUN_URLS", self.stun_urls, ("stun:", "stuns:"))
        _require("VITA_TURN_URLS", self.turn_urls, ("turn:", "turns:"))
        if self.turn_urls and not self.turn_secret:
            raise ConfigurationError(
                "VITA_TURN_URLS needs VITA_TURN_SECRET, the TURN server's static-auth-secret."
            )
        if self.turn_ttl_s < SHORTEST_TTL_S:
            raise ConfigurationError(f"VITA_TURN_TTL_S is at least {SHORTEST_TTL_S} seconds.")

    def servers(self, now: float, who: str) -> list[IceServer]:
        """The servers for one browser.

        Args:
            now: Seconds since 1970.
            who: Names the user in the TURN server's log; nothing personal.
        """
        found = [IceServer(self.stun_urls)] if self.stun_urls else []
        if self.turn_urls:
            username = f"{int(now) + self.turn_ttl_s}:{who}"
            found.append(IceServer(self.turn_urls, username, self._password(username)))
        return found

    def _password(self, username: str) -> str:
        digest = hmac.new(self.turn_secret.encode(), username.encode(), hashlib.sha1)
        return base64.b64encode(digest.digest()).decode("ascii")


def split_urls(setting: str) -> tuple[str, ...]:
    """URLs separated by commas or spaces."""
    return tuple(setting.replace(",", " ").split())


def _require(setting: str, urls: tuple[str, ...], schemes: tuple[str, ...]) -> None:
    for url in urls:
        if not url.startswith(schemes):
            raise ConfigurationError(
                f"{setting}: {url!r} must begin with {' or '.join(schemes)}, "
                f"such as {schemes[0]}ice.example.com:3478."
            )
