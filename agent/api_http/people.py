"""Accounts, keys and the audit log: for admins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, SecretStr

from agent.api_http.parts import PAGE, Cursor, Limit, Parts, TaggedRoute, Who
from agent.errors import InvalidRequestError
from agent.supervisor.access import PERMISSIONS, Role
from agent.supervisor.accounts import User
from agent.supervisor.audit import AuditEntry
from agent.supervisor.keys import ApiKey, NewApiKey
from agent.supervisor.views import Page

router = APIRouter(route_class=TaggedRoute, tags=["people and keys"])


class Me(BaseModel):
    """Who the key stands for, and what it may do."""

    kind: str
    id: str
    name: str
    role: Role
    permissions: list[str]


class NewUser(BaseModel):
    """A person to add."""

    email: str = Field(max_length=254)
    name: str = Field("", max_length=120)
    role: Role
    password: SecretStr


class UserChange(BaseModel):
    """What to change of a person; a new password ends their sessions."""

    role: Role | None = None
    disabled: bool | None = None
    password: SecretStr | None = None


class KeyOrder(BaseModel):
    """A key to make; it holds for `days`, for ever without."""

    name: str = Field(min_length=1, max_length=80)
    role: Role
    days: int | None = Field(None, ge=1, le=3650)


@router.get("/me")
async def me(who: Who) -> Me:
    """Who you are."""
    return Me(
        kind=who.kind,
        id=who.id,
        name=who.name,
        role=who.role,
        permissions=sorted(PERMISSIONS[who.role]),
    )


@router.get("/users")
async def list_users(parts: Parts, who: Who) -> Sequence[User]:
    """Everybody, by name."""
    return await parts.desk.users.list(who)


@router.post("/users", status_code=201)
async def add_user(parts: Parts, who: Who, new: NewUser) -> User:
    """Add a person."""
    return await parts.desk.users.create(
        who,
        email=new.email,
        name=new.name,
        role=new.role,
        password=new.password.get_secret_value(),
    )


@router.patch("/users/{user_id}")
async def change_user(parts: Parts, who: Who, user_id: str, change: UserChange) -> User:
    """Change a person's role or password, shut them out, or let them in again."""
    users, user = parts.desk.users, None
    if change.password is not None:
        await users.set_password(who, user_id, change.password.get_secret_value())
    if change.role is not None:
        user = await users.set_role(who, user_id, change.role)
    if change.disabled is not None:
        user = await users.set_disabled(who, user_id, disabled=change.disabled)
    if user is None:
        user = next((each for each in await users.list(who) if each.id == user_id), None)
    if user is None or change == UserChange():
        raise InvalidRequestError("Say what to change: role, disabled or password.")
    return user


@router.get("/keys")
async def list_keys(parts: Parts, who: Who) -> Sequence[ApiKey]:
    """All keys, newest first, without their secrets."""
    return await parts.desk.keys.list(who)


@router.post("/keys", status_code=201)
async def create_key(parts: Parts, who: Who, order: KeyOrder) -> NewApiKey:
    """Make a key. Its `token` is shown this once."""
    return await parts.desk.keys.create(who, name=order.name, role=order.role, days=order.days)


@router.delete("/keys/{key}")
async def revoke_key(parts: Parts, who: Who, key: str) -> ApiKey:
    """Let a key, named by its id or prefix, never work again."""
    return await parts.desk.keys.revoke(who, key)


@router.get("/audit")
async def list_audit(
    parts: Parts,
    who: Who,
    *,
    about: Annotated[str, Query(max_length=80, description="Such as `call/ID`.")] = "",
    action: Annotated[str, Query(max_length=32, description="Such as `call.reveal`.")] = "",
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Page[AuditEntry]:
    """Who did what, newest first."""
    return await parts.desk.audit.list(who, about=about, action=action, limit=limit, cursor=cursor)
