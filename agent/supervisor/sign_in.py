"""Signing in with a password: opaque sessions, kept in the database, that slide and expire."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from sqlalchemy import delete, select, update

from agent.clock import Clock
from agent.errors import NotSignedInError, TooManyRequestsError
from agent.store.engine import Database
from agent.store.supervisor_tables import UserRow, UserSessionRow
from agent.supervisor.access import ROLES, Actor
from agent.supervisor.accounts import password_fits
from agent.supervisor.audit import AuditLog
from agent.supervisor.rate_limit import RateLimit
from agent.supervisor.transactions import reading, writing

IDLE = timedelta(hours=8)
LONGEST = timedelta(days=7)
SLIDE_EVERY = timedelta(minutes=5)
FAILURES = 5
LOCKED = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session. `token` goes into a cookie (HttpOnly, SameSite=Lax) and nowhere else."""

    token: str
    actor: Actor


class SignIns:
    """Opens sessions, finds who a session belongs to, and closes them."""

    def __init__(
        self, database: Database, audit: AuditLog, attempts: RateLimit, clock: Clock
    ) -> None:
        self._database = database
        self._audit = audit
        self._attempts = attempts
        self._clock = clock

    async def sign_in(self, email: str, password: str, *, ip: str = "") -> SignedIn:
        """Open a session.

        After five wrong passwords in a row an account is locked for 15 minutes.

        Raises:
            NotSignedInError: Address or password are wrong, or the account is shut.
            TooManyRequestsError: The account is locked, or this address tried too often.
        """
        await self._attempts.take(f"sign-in:{ip}")
        address = email.strip().casefold()
        async with reading(self._database) as db:
            user = await db.scalar(select(UserRow).where(UserRow.pii_email == address))
        now = self._clock.now()
        if user is not None and user.locked_until is not None and user.locked_until > now:
            left = (user.locked_until - now).total_seconds()
            raise TooManyRequestsError(
                f"Too many wrong passwords: try again in {ceil(left / 60)} minutes.", left
            )
        fits = await password_fits(user.password_hash if user else None, password)
        if user is None or user.disabled_at is not None or not fits:
            if user is not None and user.disabled_at is None:
                await self._failed(user, ip)
            raise NotSignedInError("The e-mail address or the password is wrong.")
        return await self._open(user, ip)

    async def actor(self, token: str, *, ip: str = "") -> Actor:
        """Who a session belongs to; being used, it lives on.

        Raises:
            NotSignedInError: The session is unknown, has expired, or its person is shut out.
        """
        now = self._clock.now()
        query = (
            select(UserSessionRow, UserRow)
            .join(UserRow, UserRow.id == UserSessionRow.user_id)
            .where(UserSessionRow.token_hash == _hash(token))
        )
        async with reading(self._database) as db:
            found = (await db.execute(query)).first()
        if found is None or found[0].expires_at <= now or found[1].disabled_at is not None:
            raise NotSignedInError("Sign in: your session has ended.")
        session, user = found
        if now - session.seen_at > SLIDE_EVERY:
            until = min(now + IDLE, session.created_at + LONGEST)
            async with writing(self._database) as db:
                await db.execute(
                    update(UserSessionRow)
                    .where(UserSessionRow.token_hash == session.token_hash)
                    .values(seen_at=now, expires_at=until)
                )
        return _actor(user, ip)

    async def sign_out(self, token: str) -> None:
        """Close a session, if there is one."""
        async with writing(self._database) as db:
            await db.execute(
                delete(UserSessionRow).where(UserSessionRow.token_hash == _hash(token))
            )

    async def _open(self, user: UserRow, ip: str) -> SignedIn:
        token, now = secrets.token_urlsafe(32), self._clock.now()
        actor = _actor(user, ip)
        async with writing(self._database) as db:
            await db.execute(delete(UserSessionRow).where(UserSessionRow.expires_at <= now))
            db.add(
                UserSessionRow(
                    token_hash=_hash(token),
                    user_id=user.id,
                    created_at=now,
                    seen_at=now,
                    expires_at=now + IDLE,
                )
            )
            await db.execute(
                update(UserRow)
                .where(UserRow.id == user.id)
                .values(failures=0, locked_until=None, last_sign_in_at=now)
            )
            await self._audit.add(db, actor, "sign_in", f"user/{user.id}")
        return SignedIn(token, actor)

    async def _failed(self, user: UserRow, ip: str) -> None:
        async with writing(self._database) as db:
            row = await db.get_one(UserRow, user.id, with_for_update=True)
            row.failures += 1
            if row.failures >= FAILURES:
                row.failures, row.locked_until = 0, self._clock.now() + LOCKED
            await self._audit.add(
                db,
                _actor(user, ip),
                "sign_in.refused",
                f"user/{user.id}",
                {"locked": row.locked_until is not None},
            )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _actor(user: UserRow, ip: str) -> Actor:
    role = next(role for role in ROLES if role == user.role)
    return Actor("user", user.id, user.pii_name, role, ip)
