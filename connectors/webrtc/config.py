"""What the call page's connector must know."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from agent.errors import ConfigurationError
from connectors.webrtc.ice import IceConfig


@dataclass(frozen=True, slots=True)
class WebCallConfig:
    """Settings of all call pages.

    Attributes:
        public_url: Where browsers reach the page when a proxy stands in front; may be empty.
        ice: STUN and TURN servers.
        sites: Origins whose pages may show a call page in a frame.
        calls_per_minute: Calls one address may begin in a minute.
        desk_s: Longest wait for the desk.
        offer_s: Longest wait for our own side of the connection to be described.
        connect_s: Longest wait for the browser's media after that.
        lost_s: A page of which nothing comes for so long is gone.

    Raises:
        ConfigurationError: A site is not a plain http(s) origin.
    """

    public_url: str = ""
    ice: IceConfig = field(default_factory=IceConfig)
    sites: tuple[str, ...] = ()
    calls_per_minute: int = 6
    desk_s: float = 5.0
    offer_s: float = 10.0
    connect_s: float = 15.0
    lost_s: float = 8.0

    def __post_init__(self) -> None:
        for site in self.sites:
            if origin(site) != site.rstrip("/").lower():
                raise ConfigurationError(
                    f"VITA_CALL_PAGE_SITES: {site!r} must look like https://www.example.com, "
                    "without a path."
                )

    def frame_ancestors(self) -> str:
        """The value of the content security policy's `frame-ancestors`."""
        return " ".join(["'self'", *self.sites])

    def trusts(self, sender: str, host: str) -> bool:
        """Whether a request of a page from `sender` may begin a call.

        Args:
            sender: The request's `Origin`.
            host: The request's `Host`, which a foreign page cannot choose.
        """
        own = {f"http://{host}".lower(), f"https://{host}".lower()}
        if self.public_url:
            own.add(origin(self.public_url))
        return sender.lower() in own


def origin(url: str) -> str:
    """Scheme, host and port of a URL; empty when it has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower()
