"""Full-text search over what was said: the same answers on SQLite and PostgreSQL.

What is indexed is the masked text, folded: a number that is masked cannot be found either. Hits come
newest first, since the two engines would rank them differently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Integer, and_, column, false, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from agent.errors import InvalidRequestError
from agent.store.engine import Database
from agent.store.tables import CallRow, UtteranceRow
from agent.supervisor.access import Actor
from agent.supervisor.audit import AuditLog
from agent.supervisor.cursor import SIZE, cursor, page_size, read_cursor
from agent.supervisor.transactions import reading
from agent.supervisor.views import Page, SearchHit, SnippetPart
from agent.transcripts.folding import Term, matches, parse_query
from agent.transcripts.redact import redact

AROUND = 60
"""Characters of a snippet before its first and behind its last hit."""
LONGEST_QUERY = 200


class Search:
    """Finds utterances by their words. Every method needs `read`."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def find(
        self,
        actor: Actor,
        query: str,
        *,
        line: str = "",
        limit: int = SIZE,
        cursor_after: str | None = None,
        reveal: bool = False,
    ) -> Page[SearchHit]:
        """Utterances with all words of the query, newest first.

        Quotes hold words together, a `*` behind the beginning of a word finds its endings.

        Raises:
            PermissionDeniedError: The actor may not.
            InvalidRequestError: There is no word in the query, or the cursor is none of ours.
            CallLogUnavailableError: The database is away.
        """
        actor.need("read")
        terms = parse_query(query[:LONGEST_QUERY])
        if not terms:
            raise InvalidRequestError("Give at least one word to look for.")
        if reveal:
            actor.need("reveal")
            await self._audit.record(actor, "search.reveal", "utterances")
        size = page_size(limit)
        statement = (
            select(UtteranceRow, CallRow.to_number, CallRow.business)
            .outerjoin(CallRow, CallRow.id == UtteranceRow.call_id)
            .order_by(UtteranceRow.at.desc(), UtteranceRow.id.desc())
            .limit(size + 1)
        )
        if line:
            statement = statement.where(CallRow.to_number == line)
        if cursor_after is not None:
            statement = statement.where(_after(cursor_after))
        async with reading(self._database) as db:
            rows = (await db.execute(statement.where(contains(db, terms)))).all()
        hits = await asyncio.to_thread(
            lambda: [_hit(row[0], row[1], row[2], terms, reveal=reveal) for row in rows[:size]]
        )
        last: UtteranceRow | None = rows[size - 1][0] if len(rows) > size else None
        return Page(hits, cursor(last.at, last.id) if last else None)


def contains(db: AsyncSession, terms: Sequence[Term]) -> ColumnElement[bool]:
    """A condition on `utterances`: its text has all the terms. Nothing has no terms."""
    if not terms:
        return false()
    if db.get_bind().dialect.name == "postgresql":
        vector = func.to_tsvector(text("'simple'::regconfig"), UtteranceRow.search_text)
        asked = " & ".join(_postgres_term(term) for term in terms)
        return vector.op("@@")(func.to_tsquery(text("'simple'::regconfig"), asked))
    asked = " AND ".join(_sqlite_term(term) for term in terms)
    found = (
        select(column("rowid", Integer))
        .select_from(text("utterance_words"))
        .where(text("utterance_words MATCH :asked").bindparams(asked=asked))
    )
    return UtteranceRow.id.in_(found)


def _sqlite_term(term: Term) -> str:
    return f'"{" ".join(term.words)}"' + (" *" if term.prefix else "")


def _postgres_term(term: Term) -> str:
    words = [f"'{word}'" for word in term.words]
    if term.prefix:
        words[-1] += ":*"
    return f"({' <-> '.join(words)})"


def _after(mark: str) -> ColumnElement[bool]:
    at, key = read_cursor(mark)
    if not key.isdecimal():
        raise InvalidRequestError("This cursor is unknown: start without one.")
    same = and_(UtteranceRow.at == at, UtteranceRow.id < int(key))
    return or_(UtteranceRow.at < at, same)


def _hit(
    row: UtteranceRow,
    line: str | None,
    business: str | None,
    terms: Sequence[Term],
    *,
    reveal: bool,
) -> SearchHit:
    said = row.pii_text if reveal else redact(row.pii_text)
    return SearchHit(
        call_id=row.call_id,
        seq=row.seq,
        role=row.role,
        start_ms=row.start_ms,
        at=row.at,
        line=line or "",
        business=business or "",
        snippet=snippet(said, terms),
    )


def snippet(said: str, terms: Sequence[Term]) -> list[SnippetPart]:
    """The part of a text around its hits, cut at words, in pieces."""
    found = matches(said, terms)
    start, end = 0, len(said)
    if found and found[0][0] > AROUND:
        start = said.rfind(" ", 0, found[0][0] - AROUND) + 1
    reach = (found[-1][1] if found else 0) + 2 * AROUND
    if reach < len(said):
        end = said.find(" ", reach)
        end = len(said) if end < 0 else end
    parts, at = [SnippetPart("…", hit=False)] if start else [], start
    for first, last in found:
        if first > at:
            parts.append(SnippetPart(said[at:first], hit=False))
        parts.append(SnippetPart(said[first:last], hit=True))
        at = last
    if at < end:
        parts.append(SnippetPart(said[at:end], hit=False))
    if end < len(said):
        parts.append(SnippetPart("…", hit=False))
    return parts
