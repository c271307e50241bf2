"""What the connector must know of one Twilio account and of its own public address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from agent.errors import ConfigurationError

VOICE_PATH = "/twilio/voice"
AFTER_PATH = "/twilio/after"
STATUS_PATH = "/twilio/status"
AMD_PATH = "/twilio/amd"
STREAM_PATH = "/twilio/stream"
MEDIA_PATH = "/twilio/media"

TRIES = "#ct=1000&rt=4000&rc=2&rp=ct,rt,5xx"
"""Twilio asks a worker that does not answer twice more, which a load balancer gives to others."""


@dataclass(frozen=True, slots=True)
class TwilioConfig:
    """One Twilio account.

    Attributes:
        account_sid: `AC…`, the account calls come in on.
        auth_token: Its primary auth token: signs webhooks, opens the REST interface.
        public_url: Where Twilio reaches this service, such as `https://voice.example.com`.
            Signatures are checked against it, never against request headers.
        older_auth_tokens: Further tokens accepted in signatures while one is being rotated.
        shared_keys: Secrets of SharedKey signatures, by key id.
        api_base_url: Another host for the REST interface (a carrier twin); None is Twilio's own.
        webhook_timeout_s: Longest wait for the desk in a webhook; Twilio tries again after 4 s.
        start_timeout_s: Longest wait for the first two messages of a media stream.
        media_timeout_s: A stream silent for so long is dead: Twilio sends 50 frames a second.
        send_timeout_s: Longest wait for the far side to take a message.
        rest_timeout_s: Longest wait for one REST answer.

    Raises:
        ConfigurationError: `public_url` or `api_base_url` is not a plain http(s) origin.
    """

    account_sid: str
    auth_token: str = field(repr=False)
    public_url: str
    older_auth_tokens: tuple[str, ...] = field(default=(), repr=False)
    shared_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_base_url: str | None = None
    webhook_timeout_s: float = 3.0
    start_timeout_s: float = 5.0
    media_timeout_s: float = 2.5
    send_timeout_s: float = 5.0
    rest_timeout_s: float = 3.0

    def __post_init__(self) -> None:
        if not self.account_sid or not self.auth_token:
            raise ConfigurationError("set the Twilio account SID and its auth token")
        _require_origin("public URL", self.public_url)
        if self.api_base_url is not None:
            _require_origin("Twilio API base URL", self.api_base_url)

    def url(self, path: str) -> str:
        """Public address of one of our paths, and how often Twilio is to try it."""
        return self.public_url.rstrip("/") + path + TRIES

    @property
    def media_url(self) -> str:
        """Public address of the media socket: `wss`, or `ws` when the public URL is plain http."""
        return "ws" + self.public_url.rstrip("/").removeprefix("http") + MEDIA_PATH


def _require_origin(what: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number
        parts, whole = urlsplit(""), False
    if not whole or parts.username or parts.query or parts.fragment or parts.path.strip("/"):
        raise ConfigurationError(
            f"the {what} {url!r} must look like https://voice.example.com, without a path"
        )
