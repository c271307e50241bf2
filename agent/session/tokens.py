"""One-use tokens that open a call's media stream.

The token itself is only ever in the carrier's hands; the store keeps its hash.
"""

from __future__ import annotations

import hashlib
import json
import secrets

from agent.errors import TokenRejectedError
from agent.session.store import SessionStore

TOKEN_BYTES = 16


class StreamTokens:
    """Issues tokens and takes each back at most once."""

    def __init__(self, store: SessionStore, ttl_s: float) -> None:
        self._store = store
        self._ttl_s = ttl_s

    async def issue(self, call_id: str, carrier_call_id: str) -> str:
        """A fresh token of 128 random bits for one call.

        Raises:
            SessionStoreError: The store is out of reach.
        """
        token = secrets.token_urlsafe(TOKEN_BYTES)
        bound = json.dumps({"call_id": call_id, "carrier_call_id": carrier_call_id})
        await self._store.within_budget(
            self._store.redis.set(_key(token), bound, px=int(self._ttl_s * 1000))
        )
        return token

    async def claim(self, token: str, carrier_call_id: str) -> str:
        """Use a token up and return its `call_id`. A wrong claim uses it up as well.

        Raises:
            TokenRejectedError: Unknown, expired, used, or issued for another call.
            SessionStoreError: The store is out of reach.
        """
        found = await self._store.within_budget(self._store.redis.getdel(_key(token)))
        if found is None:
            raise TokenRejectedError("The stream token is unknown, expired or already used.")
        bound: dict[str, str] = json.loads(found)
        if not secrets.compare_digest(bound["carrier_call_id"], carrier_call_id):
            raise TokenRejectedError("The stream token was issued for another call.")
        return bound["call_id"]


def _key(token: str) -> str:
    return f"va:tok:{hashlib.sha256(token.encode()).hexdigest()}"
