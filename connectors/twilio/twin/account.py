"""The account the twin pretends to host, and SIDs of the right shape."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Literal, Self

Signing = Literal["auth_token", "shared_key"]


def new_sid(prefix: str) -> str:
    """A fresh SID: two letters (`CA` call, `MZ` stream, `AC` account…) and 32 hex digits."""
    return prefix + secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class TwinAccount:
    """Credentials of the twin's only account. The defaults are for a laptop, never for a network.

    Attributes:
        sid: Account SID.
        auth_token: Opens REST, signs webhooks.
        api_key_sid: `SK…`, a second way into REST.
        api_key_secret: Its secret.
        shared_key_id: Key named in webhooks signed the SharedKey way.
        shared_key_secret: Its secret.
        signing: Which of the two ways webhooks are signed.
    """

    sid: str = "AC" + "0" * 32
    auth_token: str = field(default="twin-auth-token", repr=False)
    api_key_sid: str = "SK" + "0" * 32
    api_key_secret: str = field(default="twin-api-key-secret", repr=False)
    shared_key_id: str = "webhooks_sharedkey_twin"
    shared_key_secret: str = field(default="twin-shared-key-secret", repr=False)
    signing: Signing = "auth_token"

    @classmethod
    def fresh(cls, signing: Signing = "auth_token") -> Self:
        """An account nobody else knows."""
        return cls(
            sid=new_sid("AC"),
            auth_token=secrets.token_hex(16),
            api_key_sid=new_sid("SK"),
            api_key_secret=secrets.token_hex(16),
            shared_key_id=f"webhooks_sharedkey_{secrets.token_hex(8)}",
            shared_key_secret=secrets.token_hex(32),
            signing=signing,
        )

    def opens(self, user: str, password: str) -> bool:
        """Whether these Basic credentials are the account's token or its API key."""
        pairs = ((self.sid, self.auth_token), (self.api_key_sid, self.api_key_secret))
        return any(
            hmac.compare_digest(f"{user}:{password}".encode(), f"{sid}:{secret}".encode())
            for sid, secret in pairs
        )
