"""Is this request really from Twilio? Checked over the configured public URL, in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import ImmutableMultiDict
from twilio.request_validator import (  # type: ignore[import-untyped]
    HMAC_SHA1,
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
    RequestValidator,
)

from connectors.twilio.config import TwilioConfig

FormFields = Iterable[tuple[str, str]]

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class SignatureCheck:
    """Verifies the signature of webhooks and of media socket upgrades."""

    def __init__(self, config: TwilioConfig) -> None:
        self._public_url = config.public_url.rstrip("/")
        self._tokens = (config.auth_token, *config.older_auth_tokens)
        self._shared_keys = dict(config.shared_keys)

    def webhook(
        self, raw_path: bytes, query: bytes, fields: FormFields, headers: Mapping[str, str]
    ) -> bool:
        """Check a form post. `headers` must ignore case, as starlette's do."""
        url = self._url(self._public_url, raw_path, query)
        return self._matches(_candidates(url), fields, headers)

    def upgrade(self, raw_path: bytes, query: bytes, headers: Mapping[str, str]) -> bool:
        """Check a WebSocket upgrade: it has no fields, and its URL is `wss` (or `ws` in dev)."""
        url = self._url("ws" + self._public_url.removeprefix("http"), raw_path, query)
        return self._matches([*_candidates(url), *_candidates(url + "/")], (), headers)

    @staticmethod
    def _url(origin: str, raw_path: bytes, query: bytes) -> str:
        path = raw_path.decode("latin-1")
        return f"{origin}{path}?{query.decode('latin-1')}" if query else origin + path

    def _matches(self, urls: Sequence[str], fields: FormFields, headers: Mapping[str, str]) -> bool:
        given = headers.get(SIGNATURE_HEADER, "")
        if not given.isascii():
            return False
        algorithm, secrets = self._keys(headers.get(SIGNATURE_SETTINGS_HEADER, ""))
        form = ImmutableMultiDict(list(fields))
        matches = False
        for secret in secrets:
            validator = RequestValidator(secret)
            for url in urls:
                expected: str = validator.compute_signature(url, form, algorithm)
                matches |= hmac.compare_digest(expected, given)
        return matches

    def _keys(self, settings: str) -> tuple[str, tuple[str, ...]]:
        """Algorithm and secrets to try; no secret when the key is not one of ours."""
        if not settings:
            return HMAC_SHA1, self._tokens
        named = dict(part.strip().partition("=")[::2] for part in settings.split(","))
        algorithm = named.get("algorithm", "").upper()
        secret = self._shared_keys.get(named.get("key", ""))
        if secret is None or algorithm != "HMAC_SHA256":
            return HMAC_SHA1, ()
        return algorithm, (secret,)


def _candidates(url: str) -> list[str]:
    """The URL with and without its port: Twilio's side is not consistent about it."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return list(dict.fromkeys((url, _with_port(parts, None), _with_port(parts, port))))


def _with_port(parts: SplitResult, port: int | None) -> str:
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return parts._replace(netloc=host if port is None else f"{host}:{port}").geturl()
