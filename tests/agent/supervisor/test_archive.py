from __future__ import annotations

from datetime import timedelta, timezone
from pathlib import Path

import pytest

from agent.errors import InvalidRequestError, NotFoundError, PermissionDeniedError
from agent.supervisor.desk import SupervisorDesk
from agent.supervisor.scorecard import DEFAULT, ScoreItem
from agent.supervisor.views import CallFilter
from tests.agent.conftest import ManualClock
from tests.agent.supervisor.book import (
    ADMIN,
    OTHER,
    SUPERVISOR,
    VIEWER,
    CallBook,
    answered,
    said,
    used,
)

pytestmark = pytest.mark.integration

GOOD = {"understood": 5, "correct": 5, "tone": 5, "disclosed": 1, "solved": 1}


async def test_calls_are_found_by_what_is_known_of_them(
    desk: SupervisorDesk, book: CallBook, clock: ManualClock
):
    await book.write("c1", said(1, "caller", "Are you open on Monday?"))
    clock.advance(3600)
    await book.write("c2", *used(1, "lookup_order", '{"order":"4417"}', '{"state":"sent"}'))
    clock.advance(3600)
    await book.write("c3", line="+15550101", business="Corner Books", ended="transferred")
    clock.advance(3600)
    await book.write("c4", ended="")
    await desk.notes.add(SUPERVISOR, "c1", "look here", flag=True)

    async def found(**which: object) -> list[str]:
        page = await desk.calls.list(SUPERVISOR, CallFilter(**which))  # type: ignore[arg-type]
        return [call.id for call in page.items]

    noon = clock.now()
    assert await found() == ["c4", "c3", "c2", "c1"]
    assert await found(line="+15550101") == ["c3"]
    assert await found(outcome="transferred") == ["c3"]
    assert await found(state="connected") == ["c4"]
    assert await found(tool="lookup_order") == ["c2"]
    assert await found(flagged=True) == ["c1"]
    assert await found(flagged=False) == ["c4", "c3", "c2"]
    assert await found(text="monday open") == ["c1"]
    assert await found(text="tuesday") == []
    assert await found(text="?!") == []
    assert await found(caller="+15551234523") == ["c4", "c3", "c2", "c1"]
    assert await found(since=noon - timedelta(hours=2), until=noon) == ["c3", "c2"]


async def test_a_list_goes_on_where_it_stopped(
    desk: SupervisorDesk, book: CallBook, clock: ManualClock
):
    for number in range(5):
        await book.write(f"c{number}")  # two each start at the same moment
        if number % 2:
            clock.advance(60)
    seen, cursor = [], None
    while True:
        page = await desk.calls.list(VIEWER, limit=2, cursor_after=cursor)
        assert len(page.items) <= 2
        seen += [call.id for call in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == ["c4", "c3", "c2", "c1", "c0"]
    with pytest.raises(InvalidRequestError, match="cursor"):
        await desk.calls.list(VIEWER, cursor_after="nonsense!")


async def test_personal_data_is_masked_until_it_is_revealed_and_that_is_kept(
    desk: SupervisorDesk, book: CallBook
):
    await book.write(
        "c1",
        said(1, "caller", "My number is 555-123-4567."),
        said(2, "agent", "Thank you, 555-123-4567.", pii_heard="Thank you", interrupted=True),
        *used(3, "book_appointment", '{"phone": "+15551234567", "day": "Monday"}', '"ok"'),
        answered(2, 640),
    )
    details = await desk.calls.get(VIEWER, "c1")
    shown = repr(details) + repr(await desk.calls.events(VIEWER, "c1"))
    assert "123" not in shown
    assert details.summary.caller == "+1 555 ••• ••23"
    assert details.utterances[1].heard == "Thank you"
    assert details.tools[0].arguments == '{"phone": "+1 555 ••• ••67", "day": "Monday"}'
    assert (details.turns[0].at_ms, details.turns[0].latency_ms) == (2000, 640)
    assert details.summary.duration_ms == 4040

    with pytest.raises(PermissionDeniedError, match="supervisor"):
        await desk.calls.get(VIEWER, "c1", reveal=True)
    assert (await desk.audit.list(ADMIN)).items == []
    revealed = await desk.calls.get(SUPERVISOR, "c1", reveal=True)
    assert revealed.utterances[0].text == "My number is 555-123-4567."
    assert await desk.calls.reveal_caller(SUPERVISOR, "c1") == "+15551234523"
    entries = (await desk.audit.list(ADMIN, about="call/c1")).items
    assert [(entry.action, entry.actor_id, entry.ip) for entry in entries] == [
        ("call.reveal", SUPERVISOR.id, SUPERVISOR.ip)
    ] * 2
    assert "555" not in repr(entries)


async def test_what_is_not_there_is_one_sentence(desk: SupervisorDesk):
    for asking in (
        desk.calls.get(VIEWER, "none"),
        desk.notes.list(VIEWER, "none"),
        desk.notes.add(SUPERVISOR, "none", "text"),
        desk.notes.edit(SUPERVISOR, "none", text="text"),
        desk.reviews.list(VIEWER, "none"),
        desk.reviews.submit(SUPERVISOR, "none", GOOD),
        desk.recordings.open(SUPERVISOR, "none"),
        desk.live.check(VIEWER, "none"),
    ):
        with pytest.raises(NotFoundError, match="none"):
            await asking


async def test_notes_belong_to_who_wrote_them(desk: SupervisorDesk, book: CallBook):
    await book.write("c1")
    with pytest.raises(PermissionDeniedError):
        await desk.notes.add(VIEWER, "c1", "me too")
    late = await desk.notes.add(SUPERVISOR, "c1", " wrong price ", start_ms=4200)
    await desk.notes.add(OTHER, "c1", "", flag=True)
    notes = await desk.notes.list(VIEWER, "c1")
    assert [(note.text, note.start_ms) for note in notes] == [("", None), ("wrong price", 4200)]
    with pytest.raises(PermissionDeniedError, match="somebody else"):
        await desk.notes.edit(OTHER, late.id, text="right price")
    edited = await desk.notes.edit(SUPERVISOR, late.id, text="wrong day")
    assert (edited.text, edited.edited_at is not None) == ("wrong day", True)
    await desk.notes.delete(ADMIN, late.id)
    assert [note.author for note in await desk.notes.list(VIEWER, "c1")] == ["Olga Other"]
    for text, start_ms in (("", None), ("x" * 4001, None), ("x", -1)):
        with pytest.raises(InvalidRequestError):
            await desk.notes.add(SUPERVISOR, "c1", text, start_ms=start_ms)


async def test_a_call_is_scored_once_by_each_reviewer(desk: SupervisorDesk, book: CallBook):
    await book.write("c1")
    card = await desk.reviews.scorecard(VIEWER)
    assert card == DEFAULT
    first = await desk.reviews.submit(SUPERVISOR, "c1", GOOD, comment="well done")
    assert first.total == 100
    again = await desk.reviews.submit(SUPERVISOR, "c1", GOOD | {"solved": 0})
    assert (again.id, again.total) == (first.id, 70)
    await desk.reviews.submit(OTHER, "c1", GOOD)
    reviews = await desk.reviews.list(VIEWER, "c1")
    assert sorted(review.total for review in reviews) == [70, 100]
    (call,) = (await desk.calls.list(VIEWER)).items
    assert call.score == 85

    with pytest.raises(PermissionDeniedError):
        await desk.reviews.change_scorecard(SUPERVISOR, "Mine", [ScoreItem("a", "A?")])
    changed = await desk.reviews.change_scorecard(ADMIN, card.name, [ScoreItem("a", "A?")])
    assert (changed.version, await desk.reviews.scorecard(VIEWER)) == (2, changed)
    await desk.reviews.submit(SUPERVISOR, "c1", {"a": 3})
    versions = [review.scorecard_version for review in await desk.reviews.list(VIEWER, "c1")]
    assert sorted(versions) == [1, 1, 2]


async def test_figures_of_a_day(desk: SupervisorDesk, book: CallBook, clock: ManualClock):
    start = clock.now().replace(minute=0)
    await book.write("c1", *(answered(n, 100 * n) for n in range(1, 11)))
    await book.write("c2", *used(9, "lookup_order", "{}", "{}", "failed"), line="+15550101")
    clock.advance(3600)
    await book.write("c3", ended="transferred")
    clock.advance(86400)
    await book.write("c4")

    day = await desk.statistics.between(VIEWER, start, start + timedelta(hours=3))
    assert (day.calls, day.answered) == (3, 3)
    assert [(hour.hour, hour.calls) for hour in day.hours] == [
        (start, 2),
        (start + timedelta(hours=1), 1),
        (start + timedelta(hours=2), 0),
    ]
    assert day.outcomes == {"caller_hung_up": 2, "transferred": 1}
    latency = day.latency_ms
    assert (latency.count, latency.p50, latency.p90, latency.p99) == (10, 500, 900, 1000)
    assert day.duration_ms.p99 == 11_000
    assert [(use.tool, use.calls, use.failed, use.mean_ms) for use in day.tools] == [
        ("lookup_order", 1, 1, 40)
    ]
    one = await desk.statistics.between(VIEWER, start, start + timedelta(hours=3), line="+15550101")
    assert (one.calls, one.latency_ms.p50, one.duration_ms.count) == (1, None, 1)
    kolkata = timezone(timedelta(hours=5, minutes=30))
    local = start.astimezone(kolkata).replace(hour=0, minute=0)
    shifted = await desk.statistics.between(VIEWER, local, local + timedelta(days=1))
    full = [hour.hour for hour in shifted.hours if hour.calls]
    assert full == [start.astimezone(kolkata) - timedelta(minutes=30 - 60 * n) for n in (1, 2)]
    for until in (start, start + timedelta(days=93)):
        with pytest.raises(InvalidRequestError, match="range"):
            await desk.statistics.between(VIEWER, start, until)


async def test_a_database_that_is_away_is_one_sentence(
    desk: SupervisorDesk, tmp_path: Path, store: object
):
    from agent.errors import CallLogUnavailableError
    from agent.session.store import SessionStore
    from agent.store.engine import Database
    from agent.supervisor.desk import supervisor_desk

    away = Database("postgresql://vita@127.0.0.1:1/none?connect_timeout=2")
    assert isinstance(store, SessionStore)
    async with supervisor_desk(away, store, tmp_path) as lonely:
        with pytest.raises(CallLogUnavailableError, match="try again"):
            await lonely.calls.list(VIEWER)
    await away.close()
