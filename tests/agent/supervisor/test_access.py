from __future__ import annotations

import re

import pytest
from sqlalchemy import select, update

from agent.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    NotSignedInError,
    PermissionDeniedError,
    TooManyRequestsError,
)
from agent.store.engine import Database
from agent.store.supervisor_tables import ApiKeyRow, AuditRow, UserRow, UserSessionRow
from agent.store.unit_of_work import reading, writing
from agent.supervisor.desk import SupervisorDesk
from tests.agent.conftest import ManualClock
from tests.agent.supervisor.book import ADMIN, COMMAND, SUPERVISOR, VIEWER

pytestmark = pytest.mark.integration

PASSWORD = "correct horse battery"


async def test_a_person_signs_in_and_is_known_by_the_session(
    desk: SupervisorDesk, clock: ManualClock
):
    user = await desk.users.create(
        ADMIN, email=" Ann@Example.com ", name="Ann", role="supervisor", password=PASSWORD
    )
    signed_in = await desk.sign_ins.sign_in("ann@example.com", PASSWORD, ip="10.0.0.9")
    assert (signed_in.actor.id, signed_in.actor.role) == (user.id, "supervisor")
    clock.advance(7 * 3600)
    assert (await desk.sign_ins.actor(signed_in.token)).name == "Ann"
    clock.advance(7 * 3600)
    assert (await desk.sign_ins.actor(signed_in.token)).name == "Ann"
    await desk.sign_ins.sign_out(signed_in.token)
    with pytest.raises(NotSignedInError):
        await desk.sign_ins.actor(signed_in.token)


async def test_a_session_ends_when_it_is_not_used_or_its_person_is_shut_out(
    desk: SupervisorDesk, clock: ManualClock
):
    user = await desk.users.create(
        ADMIN, email="ann@example.com", name="", role="viewer", password=PASSWORD
    )
    first = await desk.sign_ins.sign_in("ann@example.com", PASSWORD)
    clock.advance(9 * 3600)
    with pytest.raises(NotSignedInError):
        await desk.sign_ins.actor(first.token)
    second = await desk.sign_ins.sign_in("ann@example.com", PASSWORD)
    await desk.users.set_disabled(ADMIN, user.id, disabled=True)
    with pytest.raises(NotSignedInError):
        await desk.sign_ins.actor(second.token)
    with pytest.raises(NotSignedInError):
        await desk.sign_ins.sign_in("ann@example.com", PASSWORD)


async def test_five_wrong_passwords_lock_an_account_for_a_while(
    desk: SupervisorDesk, clock: ManualClock
):
    await desk.users.create(
        ADMIN, email="ann@example.com", name="", role="viewer", password=PASSWORD
    )
    for _ in range(5):
        with pytest.raises(NotSignedInError):
            await desk.sign_ins.sign_in("ann@example.com", "wrong password")
    with pytest.raises(TooManyRequestsError, match="15 minutes") as caught:
        await desk.sign_ins.sign_in("ann@example.com", PASSWORD)
    assert caught.value.retry_after_s == 15 * 60
    clock.advance(15 * 60 + 1)
    assert (await desk.sign_ins.sign_in("ann@example.com", PASSWORD)).token


async def test_one_address_may_try_twenty_times(desk: SupervisorDesk):
    for _ in range(20):
        with pytest.raises(NotSignedInError):
            await desk.sign_ins.sign_in("nobody@example.com", "wrong", ip="10.0.0.66")
    with pytest.raises(TooManyRequestsError):
        await desk.sign_ins.sign_in("nobody@example.com", "wrong", ip="10.0.0.66")
    with pytest.raises(NotSignedInError):
        await desk.sign_ins.sign_in("nobody@example.com", "wrong", ip="10.0.0.67")


async def test_neither_passwords_nor_secrets_are_kept(desk: SupervisorDesk, database: Database):
    await desk.users.create(ADMIN, email="a@b.c", name="", role="viewer", password=PASSWORD)
    session = (await desk.sign_ins.sign_in("a@b.c", PASSWORD)).token
    made = await desk.keys.create(ADMIN, name="reports", role="viewer")
    async with reading(database) as db:
        user = (await db.scalars(select(UserRow))).one()
        kept = [user.password_hash, (await db.scalars(select(UserSessionRow))).one().token_hash]
        kept.append((await db.scalars(select(ApiKeyRow))).one().secret_hash)
    assert user.password_hash.startswith("$argon2id$")
    secret = made.token.split("_", 2)[2]
    assert not [each for each in kept if PASSWORD in each or session in each or secret in each]


@pytest.mark.parametrize(
    ("email", "role", "password"),
    [("nobody", "viewer", PASSWORD), ("a@b.c", "king", PASSWORD), ("a@b.c", "viewer", "short")],
)
async def test_an_account_needs_an_address_a_role_and_a_password(
    desk: SupervisorDesk, email: str, role: str, password: str
):
    with pytest.raises(InvalidRequestError):
        await desk.users.create(ADMIN, email=email, name="", role=role, password=password)  # type: ignore[arg-type]


async def test_an_address_is_used_once(desk: SupervisorDesk):
    await desk.users.create(ADMIN, email="a@b.c", name="", role="viewer", password=PASSWORD)
    with pytest.raises(ConflictError):
        await desk.users.create(ADMIN, email="A@b.c", name="", role="viewer", password=PASSWORD)


async def test_the_last_admin_stays(desk: SupervisorDesk):
    assert await desk.users.is_empty()
    await desk.users.create(COMMAND, email="a@b.c", name="", role="admin", password=PASSWORD)
    assert not await desk.users.is_empty()
    admin = (await desk.sign_ins.sign_in("a@b.c", PASSWORD)).actor
    with pytest.raises(InvalidRequestError, match="yourself"):
        await desk.users.set_disabled(admin, admin.id, disabled=True)
    with pytest.raises(InvalidRequestError, match="last admin"):
        await desk.users.set_disabled(COMMAND, admin.id, disabled=True)
    with pytest.raises(InvalidRequestError, match="last admin"):
        await desk.users.set_role(COMMAND, admin.id, "viewer")


async def test_only_admins_manage_and_people_change_their_own_password(desk: SupervisorDesk):
    with pytest.raises(PermissionDeniedError, match="admin"):
        await desk.users.list(SUPERVISOR)
    with pytest.raises(PermissionDeniedError):
        await desk.keys.create(SUPERVISOR, name="x", role="viewer")
    with pytest.raises(PermissionDeniedError):
        await desk.audit.list(VIEWER)
    user = await desk.users.create(ADMIN, email="a@b.c", name="", role="viewer", password=PASSWORD)
    me = (await desk.sign_ins.sign_in("a@b.c", PASSWORD)).actor
    await desk.users.set_password(me, user.id, "another password")
    assert (await desk.sign_ins.sign_in("a@b.c", "another password")).actor.id == user.id
    with pytest.raises(PermissionDeniedError):
        await desk.users.set_password(SUPERVISOR, user.id, PASSWORD)


async def test_a_key_stands_for_its_role_until_it_is_revoked_or_has_expired(
    desk: SupervisorDesk, clock: ManualClock
):
    made = await desk.keys.create(ADMIN, name="reports", role="supervisor", days=2)
    assert re.fullmatch(r"va_[0-9a-f]{12}_[\w-]{43}", made.token)
    actor = await desk.keys.actor(made.token, ip="10.0.0.1")
    assert (actor.kind, actor.role, actor.name) == ("key", "supervisor", "reports")
    (listed,) = await desk.keys.list(ADMIN)
    assert listed.last_used_at == clock.now()
    clock.advance(2 * 86400)
    with pytest.raises(NotSignedInError, match="expired"):
        await desk.keys.actor(made.token)
    forever = await desk.keys.create(ADMIN, name="forever", role="viewer")
    await desk.keys.revoke(ADMIN, forever.key.prefix)
    with pytest.raises(NotSignedInError, match="revoked"):
        await desk.keys.actor(forever.token)
    with pytest.raises(NotFoundError):
        await desk.keys.revoke(ADMIN, "none")


async def test_a_changed_key_is_refused(desk: SupervisorDesk):
    token = (await desk.keys.create(ADMIN, name="k", role="admin")).token
    swapped = token[:-1] + ("A" if token[-1] != "A" else "B")
    for wrong in (swapped, token.replace("va_", "vb_"), "", "va_1_2", token + "x"):
        with pytest.raises(NotSignedInError):
            await desk.keys.actor(wrong)


async def test_the_audit_log_shows_what_was_changed_later(desk: SupervisorDesk, database: Database):
    for name in ("a", "b", "c"):
        await desk.keys.create(ADMIN, name=name, role="viewer")
    page = await desk.audit.list(ADMIN, limit=2)
    assert [entry.action for entry in page.items] == ["key.create"] * 2
    rest = await desk.audit.list(ADMIN, limit=2, cursor=page.next)
    assert [entry.seq for entry in (*page.items, *rest.items)] == [3, 2, 1]
    assert rest.next is None
    assert await desk.audit.broken_at() is None
    async with writing(database) as db:
        await db.execute(update(AuditRow).where(AuditRow.seq == 2).values(actor_id="someone else"))
    assert await desk.audit.broken_at() == 2


async def test_many_writers_make_one_chain(desk: SupervisorDesk):
    import asyncio

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(12):
            group.create_task(desk.audit.record(ADMIN, "look", f"call/{number}"))
    assert len((await desk.audit.list(ADMIN)).items) == 12
    assert await desk.audit.broken_at() is None
