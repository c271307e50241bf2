from __future__ import annotations

import pytest

from agent.errors import InvalidRequestError, PermissionDeniedError
from agent.supervisor.desk import SupervisorDesk
from agent.supervisor.views import SearchHit
from tests.agent.conftest import ManualClock
from tests.agent.supervisor.book import ADMIN, SUPERVISOR, VIEWER, CallBook, said

pytestmark = pytest.mark.integration


def shown(hit: SearchHit) -> str:
    return "".join(f"[{part.text}]" if part.hit else part.text for part in hit.snippet)


@pytest.fixture
async def corpus(book: CallBook, clock: ManualClock) -> None:
    await book.write(
        "c1",
        said(1, "caller", "Do you have crème brûlée today?"),
        said(2, "agent", "We do, and it is fresh."),
        said(3, "caller", "Then I would like a table for two."),
    )
    clock.advance(60)
    await book.write(
        "c2",
        said(1, "caller", "你好，我想预约星期一的牙医"),
        said(2, "agent", "星期一上午九点可以吗？"),
        line="+15550101",
    )
    clock.advance(60)
    await book.write(
        "c3",
        said(1, "caller", "It's order no. 44-17b, e-mail ann.lee@example.com, don't hurry."),
        said(2, "caller", "My card is 4111 1111 1111 1111; the table's booked."),
        said(3, "caller", "ΣΊΣΥΦΟΣ waits in the STRASSE, 3.5 km away"),
    )


QUERIES = [
    ("creme BRULEE", ["c1"]),
    ("crème brûlée", ["c1"]),
    ("table", ["c3", "c1"]),
    ('"table for two"', ["c1"]),
    ('"two for table"', []),
    ("table fresh", []),
    ("fre*", ["c1"]),
    ("fre", []),
    ("预约", ["c2"]),
    ("星期一", ["c2", "c2"]),
    ("吗", ["c2"]),
    ("医", ["c2"]),
    ("约星期", ["c2"]),
    ("午牙", []),
    ("17b", ["c3"]),
    ("don't", ["c3"]),
    ("e-mail", ["c3"]),
    ("Straße", ["c3"]),
    ("σισυφος", ["c3"]),
    ("3.5", ["c3"]),
    ("OR AND NOT NEAR", []),
    ("card's (table) AND: *'\\", []),
    ("lee", []),
    ("4111", []),
    ("1111", ["c3"]),
]


@pytest.mark.usefixtures("corpus")
async def test_both_engines_give_the_same_answers(desk: SupervisorDesk):
    for query, calls in QUERIES:
        found = (await desk.search.find(VIEWER, query)).items
        assert [hit.call_id for hit in found] == calls, query


@pytest.mark.usefixtures("corpus")
async def test_a_hit_shows_where_and_leads_there(desk: SupervisorDesk):
    (hit,) = (await desk.search.find(VIEWER, '"table for" like')).items
    assert shown(hit) == "Then I would [like] a [table] [for] two."
    assert (hit.call_id, hit.role, hit.start_ms) == ("c1", "caller", 3000)
    (hit,) = (await desk.search.find(VIEWER, "预约")).items
    assert shown(hit) == "你好，我想[预约]星期一的牙医"


@pytest.mark.usefixtures("corpus")
async def test_what_is_masked_is_not_shown_unless_revealed(desk: SupervisorDesk):
    (hit,) = (await desk.search.find(VIEWER, "card booked")).items
    assert shown(hit) == "My [card] is •••• •••• •••• 1111; the table's [booked]."
    with pytest.raises(PermissionDeniedError):
        await desk.search.find(VIEWER, "card", reveal=True)
    (hit,) = (await desk.search.find(SUPERVISOR, "card", reveal=True)).items
    assert "4111 1111" in shown(hit)
    (entry,) = (await desk.audit.list(ADMIN)).items
    assert entry.action == "search.reveal"


@pytest.mark.usefixtures("corpus")
async def test_hits_come_in_pages_and_of_one_line(desk: SupervisorDesk):
    first = await desk.search.find(VIEWER, "星期一", limit=1)
    assert first.next is not None
    second = await desk.search.find(VIEWER, "星期一", limit=1, cursor_after=first.next)
    assert second.next is None
    assert [hit.start_ms for hit in (*first.items, *second.items)] == [2000, 1000]
    assert not (await desk.search.find(VIEWER, "星期一", line="+15550100")).items
    for query, cursor in (("?!", None), ("", None), ("table", "bad"), ("table", "MjAyNg")):
        with pytest.raises(InvalidRequestError):
            await desk.search.find(VIEWER, query, cursor_after=cursor)


async def test_a_long_text_is_cut_at_words(desk: SupervisorDesk, book: CallBook):
    await book.write("c1", said(1, "caller", f"{'before ' * 30}needle{' behind' * 60}"))
    (hit,) = (await desk.search.find(VIEWER, "needle")).items
    text = shown(hit)
    assert text.startswith("…before ")
    assert text.endswith(" behind…")
    assert "[needle]" in text
    assert len(text) < 300
