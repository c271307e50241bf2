"""Signs what the twin sends, as Twilio does: by auth token (SHA1) or SharedKey (SHA256)."""

from __future__ import annotations

from collections.abc import Mapping

from twilio.request_validator import (  # type: ignore[import-untyped]
    HMAC_SHA1,
    HMAC_SHA256,
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
    RequestValidator,
)

from connectors.twilio.twin.account import TwinAccount


def signature_headers(account: TwinAccount, url: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Headers proving that `account` sent `fields` to exactly this `url`."""
    if account.signing == "auth_token":
        validator = RequestValidator(account.auth_token)
        return {SIGNATURE_HEADER: validator.compute_signature(url, dict(fields), HMAC_SHA1)}
    validator = RequestValidator(account.shared_key_secret)
    return {
        SIGNATURE_HEADER: validator.compute_signature(url, dict(fields), HMAC_SHA256),
        SIGNATURE_SETTINGS_HEADER: f"key={account.shared_key_id},algorithm={HMAC_SHA256}",
    }
