"""Keys of those who may use a model server: what each may do, and how much of it.

A key is 256 random bits, so one round of SHA-256 hides it as well as any slow hash would, and the
server keeps nothing else. Several keys count at once: a new one is added, its users change over, the
old one is revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

Scope = Literal["sessions", "client_secrets", "metrics"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

PREFIX: Final = "vmk_"
"""Begins every key made here, so that tools that look for leaked secrets know it."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key, without the key.

    Attributes:
        name: What it is called; unique, and the only thing of it that is ever logged.
        digest: SHA-256 of the key, in hexadecimal digits.
        scopes: What it is good for: `sessions` to talk with the model, `client_secrets` to make
            short-lived keys for browsers, `metrics` to read measurements.
        sessions: Sessions it may hold at once; 0 for as many as there are.
        per_minute: Sessions it may open in a minute; 0 for any number.
        created: Day it was made, such as 2026-01-31.
    """

    name: str
    digest: str
    scopes: frozenset[Scope] = frozenset(SCOPES)
    sessions: int = 0
    per_minute: int = 0
    created: str = ""


class KeyRing:
    """The keys that count now. Without a ring a server is open to everybody who reaches it."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = tuple(keys)

    def find(self, shown: Sequence[str]) -> Key | None:
        """The first known one of the shown keys. How long it takes tells nothing about any."""
        found: Key | None = None
        for secret in shown:
            digest = digest_of(secret)
            for key in self._keys:
                if hmac.compare_digest(digest, key.digest) and found is None:
                    found = key
        return found

    def holds(self, key: Key) -> bool:
        """Whether a key found earlier has not been revoked since."""
        return any(known.digest == key.digest for known in self._keys)


def new_secret() -> str:
    """A fresh key."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def plain_key(name: str, secret: str) -> Key:
    """A key that is given as it is, for everything and without limits."""
    return Key(name, digest_of(secret))
