"""API keys: `va_PREFIX_SECRET`, shown once, kept as a hash, each with a role of its own."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from agent.clock import Clock
from agent.errors import InvalidRequestError, NotFoundError, NotSignedInError
from agent.store.engine import Database
from agent.store.supervisor_tables import ApiKeyRow
from agent.supervisor.access import ROLES, Actor, Role
from agent.supervisor.audit import AuditLog
from agent.supervisor.transactions import reading, writing

_FORM = re.compile(r"va_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
USED_EVERY = timedelta(minutes=1)
_WRONG = "Give a valid API key as `Authorization: Bearer va_…`: `vita keys create` makes one."


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without its secret."""

    id: str
    prefix: str
    name: str
    role: Role
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key just made. `token` is the whole key; it is not kept and cannot be shown again."""

    key: ApiKey
    token: str


class ApiKeys:
    """Makes, lists, revokes and checks keys."""

    def __init__(self, database: Database, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    async def create(
        self, actor: Actor, *, name: str, role: Role, days: int | None = None
    ) -> NewApiKey:
        """Make a key that holds for `days`; for ever when None.

        Raises:
            PermissionDeniedError: The actor may not `manage`.
            InvalidRequestError: The name, the role or the days will not do.
        """
        actor.need("manage")
        if role not in ROLES:
            raise InvalidRequestError(f"There is no role {role}: take one of {', '.join(ROLES)}.")
        if not name.strip() or len(name) > 80:
            raise InvalidRequestError("A key needs a name of at most 80 characters.")
        if days is not None and not 1 <= days <= 3650:
            raise InvalidRequestError("A key holds for 1 to 3650 days.")
        # 32 bytes in URL-safe base64 are 43 characters.
        prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        now = self._clock.now()
        row = ApiKeyRow(
            id=secrets.token_hex(16),
            prefix=prefix,
            secret_hash=_hash(secret),
            name=name.strip(),
            role=role,
            created_by=actor.name,
            created_at=now,
            expires_at=now + timedelta(days=days) if days else None,
        )
        async with writing(self._database) as db:
            db.add(row)
            await self._audit.add(db, actor, "key.create", f"key/{row.id}", {"role": role})
        return NewApiKey(_key(row), f"va_{prefix}_{secret}")

    async def list(self, actor: Actor) -> Sequence[ApiKey]:
        """All keys, newest first.

        Raises:
            PermissionDeniedError: The actor may not `manage`.
        """
        actor.need("manage")
        async with reading(self._database) as db:
            rows = await db.scalars(
                select(ApiKeyRow).order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id)
            )
            return [_key(row) for row in rows]

    async def revoke(self, actor: Actor, key: str) -> ApiKey:
        """Let a key, named by its id or prefix, never work again.

        Raises:
            PermissionDeniedError: The actor may not `manage`.
            NotFoundError: There is no such key.
        """
        actor.need("manage")
        async with writing(self._database) as db:
            row = await db.scalar(
                select(ApiKeyRow)
                .where((ApiKeyRow.id == key) | (ApiKeyRow.prefix == key))
                .with_for_update()
            )
            if row is None:
                raise NotFoundError(f"There is no key {key}: see `vita keys list`.")
            if row.revoked_at is None:
                row.revoked_at = self._clock.now()
                await self._audit.add(db, actor, "key.revoke", f"key/{row.id}")
        return _key(row)

    async def actor(self, token: str, *, ip: str = "") -> Actor:
        """Who a key stands for.

        Raises:
            NotSignedInError: It is unknown, expired or revoked.
        """
        form = _FORM.fullmatch(token)
        if form is None:
            raise NotSignedInError(_WRONG)
        now = self._clock.now()
        async with reading(self._database) as db:
            row = await db.scalar(select(ApiKeyRow).where(ApiKeyRow.prefix == form[1]))
        if row is None or not hmac.compare_digest(row.secret_hash, _hash(form[2])):
            raise NotSignedInError(_WRONG)
        if row.revoked_at is not None:
            raise NotSignedInError("This API key was revoked: `vita keys create` makes a new one.")
        if row.expires_at is not None and row.expires_at <= now:
            raise NotSignedInError("This API key has expired: `vita keys create` makes a new one.")
        if row.last_used_at is None or now - row.last_used_at > USED_EVERY:
            async with writing(self._database) as db:
                await db.execute(
                    update(ApiKeyRow).where(ApiKeyRow.id == row.id).values(last_used_at=now)
                )
        return Actor("key", row.id, row.name, _key(row).role, ip)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        prefix=row.prefix,
        name=row.name,
        role=next(role for role in ROLES if role == row.role),
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
