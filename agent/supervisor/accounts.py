"""People with a password and a role."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from agent.clock import Clock
from agent.errors import ConflictError, InvalidRequestError, NotFoundError
from agent.store.engine import Database
from agent.store.supervisor_tables import UserRow, UserSessionRow
from agent.supervisor.access import ROLES, Actor, Role
from agent.supervisor.audit import AuditLog
from agent.supervisor.transactions import reading, writing

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")

# Each takes 64 MiB and a core.
_hashing = asyncio.Semaphore(2)
_hasher = PasswordHasher()


@cache
def _nobody() -> str:
    """Checked against where there is no such user, so that the answer takes as long."""
    return _hasher.hash(secrets.token_urlsafe())


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in."""

    id: str
    email: str
    name: str
    role: Role
    disabled: bool
    created_at: datetime
    last_sign_in_at: datetime | None


class Users:
    """Makes, lists and changes the people. Only who may `manage` can, and themselves a password."""

    def __init__(self, database: Database, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    async def create(
        self, actor: Actor, *, email: str, name: str, role: Role, password: str
    ) -> User:
        """Add a person.

        Raises:
            PermissionDeniedError: The actor may not `manage`.
            InvalidRequestError: The address, the role or the password will not do.
            ConflictError: There is somebody with this address.
        """
        actor.need("manage")
        address = _address(email)
        _check_role(role)
        hashed = await hash_password(password)
        async with writing(self._database) as db:
            if await db.scalar(select(UserRow).where(UserRow.pii_email == address)):
                raise ConflictError("There is a user with this e-mail address already.")
            row = UserRow(
                id=secrets.token_hex(16),
                pii_email=address,
                pii_name=name.strip() or address.split("@")[0],
                password_hash=hashed,
                role=role,
                created_at=self._clock.now(),
                failures=0,
            )
            db.add(row)
            await self._audit.add(db, actor, "user.create", f"user/{row.id}", {"role": role})
        return _user(row)

    async def list(self, actor: Actor) -> Sequence[User]:
        """Everybody, by name.

        Raises:
            PermissionDeniedError: The actor may not `manage`.
        """
        actor.need("manage")
        async with reading(self._database) as db:
            rows = await db.scalars(select(UserRow).order_by(UserRow.pii_name, UserRow.id))
            return [_user(row) for row in rows]

    async def is_empty(self) -> bool:
        """Whether nobody has an account yet."""
        async with reading(self._database) as db:
            return not await db.scalar(select(func.count()).select_from(UserRow))

    async def find(self, actor: Actor, email: str) -> User:
        """The person with an address.

        Raises:
            PermissionDeniedError: The actor may not `manage`.
            NotFoundError: There is nobody.
        """
        actor.need("manage")
        async with reading(self._database) as db:
            row = await db.scalar(select(UserRow).where(UserRow.pii_email == _address(email)))
        if row is None:
            raise NotFoundError("There is no user with this e-mail address: see `vita users list`.")
        return _user(row)

    async def set_disabled(self, actor: Actor, user_id: str, *, disabled: bool) -> User:
        """Shut a person out, and end their sessions; or let them in again.

        Raises:
            PermissionDeniedError: The actor may not `manage`.
            NotFoundError: There is nobody with this id.
            InvalidRequestError: It is the actor, or the last admin.
        """
        actor.need("manage")
        if disabled and user_id == actor.id:
            raise InvalidRequestError("You cannot disable yourself: ask another admin.")
        async with writing(self._database) as db:
            row = await _locked(db, user_id)
            if disabled:
                await _keep_an_admin(db, row)
                await _end_sessions(db, user_id)
            row.disabled_at = self._clock.now() if disabled else None
            row.failures, row.locked_until = 0, None
            action = "user.disable" if disabled else "user.enable"
            await self._audit.add(db, actor, action, f"user/{user_id}")
        return _user(row)

    async def set_role(self, actor: Actor, user_id: str, role: Role) -> User:
        """Give a person another role.

        Raises:
            PermissionDeniedError: The actor may not `manage`.
            NotFoundError: There is nobody with this id.
            InvalidRequestError: There is no such role, or it is the last admin.
        """
        actor.need("manage")
        _check_role(role)
        async with writing(self._database) as db:
            row = await _locked(db, user_id)
            if role != "admin":
                await _keep_an_admin(db, row)
            row.role = role
            await self._audit.add(db, actor, "user.role", f"user/{user_id}", {"role": role})
        return _user(row)

    async def set_password(self, actor: Actor, user_id: str, password: str) -> None:
        """Give a person a new password and end their sessions.

        Raises:
            PermissionDeniedError: It is not the actor, and they may not `manage`.
            NotFoundError: There is nobody with this id.
            InvalidRequestError: The password will not do.
        """
        if not (actor.kind == "user" and actor.id == user_id):
            actor.need("manage")
        hashed = await hash_password(password)
        async with writing(self._database) as db:
            row = await _locked(db, user_id)
            row.password_hash = hashed
            row.failures, row.locked_until = 0, None
            await _end_sessions(db, user_id)
            await self._audit.add(db, actor, "user.password", f"user/{user_id}")


async def hash_password(password: str) -> str:
    """An argon2id hash.

    Raises:
        InvalidRequestError: The password is too short or too long.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidRequestError(
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters."
        )
    async with _hashing:
        return await asyncio.to_thread(_hasher.hash, password)


async def password_fits(hashed: str | None, password: str) -> bool:
    """Whether a password is the one that was hashed; takes as long where there is none."""
    async with _hashing:
        return await asyncio.to_thread(_fits, hashed, password)


def _fits(hashed: str | None, password: str) -> bool:
    try:
        _hasher.verify(hashed or _nobody(), password[: LONGEST_PASSWORD + 1])
    except (Argon2Error, InvalidHashError):
        return False
    return hashed is not None


def _address(email: str) -> str:
    address = email.strip().casefold()
    if not _EMAIL.fullmatch(address):
        raise InvalidRequestError("This is not an e-mail address: it needs the form name@host.")
    return address


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise InvalidRequestError(f"There is no role {role}: take one of {', '.join(ROLES)}.")


async def _locked(db: AsyncSession, user_id: str) -> UserRow:
    row = await db.get(UserRow, user_id, with_for_update=True)
    if row is None:
        raise NotFoundError(f"There is no user {user_id}: see `vita users list`.")
    return row


async def _keep_an_admin(db: AsyncSession, row: UserRow) -> None:
    others = select(func.count()).where(
        UserRow.role == "admin", UserRow.disabled_at.is_(None), UserRow.id != row.id
    )
    if row.role == "admin" and not await db.scalar(others):
        raise InvalidRequestError("This is the last admin: make another one first.")


async def _end_sessions(db: AsyncSession, user_id: str) -> None:
    await db.execute(delete(UserSessionRow).where(UserSessionRow.user_id == user_id))


def _user(row: UserRow) -> User:
    role = next(role for role in ROLES if role == row.role)
    return User(
        id=row.id,
        email=row.pii_email,
        name=row.pii_name,
        role=role,
        disabled=row.disabled_at is not None,
        created_at=row.created_at,
        last_sign_in_at=row.last_sign_in_at,
    )
