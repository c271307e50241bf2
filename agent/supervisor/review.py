"""Reviews: a call scored on a scorecard, once by each reviewer."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from agent.clock import Clock
from agent.errors import InvalidRequestError
from agent.store.engine import Database
from agent.store.supervisor_tables import ReviewRow, ScorecardRow
from agent.supervisor.access import Actor
from agent.supervisor.audit import AuditLog
from agent.supervisor.notes import must_exist
from agent.supervisor.scorecard import DEFAULT, Scorecard, ScoreItem, checked
from agent.supervisor.transactions import reading, writing

LONGEST_COMMENT = 4000


@dataclass(frozen=True, slots=True)
class Review:
    """What one reviewer made of a call. `total` is from 0 to 100."""

    id: str
    call_id: str
    scorecard: str
    scorecard_version: int
    reviewer: str
    reviewer_id: str
    values: Mapping[str, int]
    comment: str
    total: float
    created_at: datetime
    edited_at: datetime | None


class Reviews:
    """Scores calls. Each reviewer has one review of a call; writing it again replaces it."""

    def __init__(self, database: Database, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    async def scorecard(self, actor: Actor) -> Scorecard:
        """The scorecard that calls are reviewed by now: the newest version, or the built-in one.

        Raises:
            PermissionDeniedError: The actor may not `read`.
        """
        actor.need("read")
        async with reading(self._database) as db:
            row = await _newest(db)
        return _scorecard(row) if row else DEFAULT

    async def change_scorecard(
        self, actor: Actor, name: str, items: Sequence[ScoreItem]
    ) -> Scorecard:
        """Make the next version of the scorecard.

        Raises:
            PermissionDeniedError: The actor may not `manage`.
            InvalidRequestError: The name or the items will not do.
        """
        actor.need("manage")
        title = checked(name, items)
        async with writing(self._database) as db:
            await _ensure_default(db, self._clock.now())
            used = func.max(ScorecardRow.version)
            last = await db.scalar(select(used).where(ScorecardRow.name == title))
            card = Scorecard(title, (last or 0) + 1, tuple(items))
            row = _card_row(card, self._clock.now())
            db.add(row)
            await self._audit.add(db, actor, "scorecard.change", f"scorecard/{row.id}")
        return card

    async def submit(
        self, actor: Actor, call_id: str, values: Mapping[str, int], *, comment: str = ""
    ) -> Review:
        """Score a call on the current scorecard.

        Raises:
            PermissionDeniedError: The actor may not `review`.
            NotFoundError: The log has no such call.
            InvalidRequestError: An answer is missing, unknown or off its scale.
        """
        actor.need("review")
        if len(comment) > LONGEST_COMMENT:
            raise InvalidRequestError(f"A comment has at most {LONGEST_COMMENT} characters.")
        now = self._clock.now()
        async with writing(self._database) as db:
            await must_exist(db, call_id)
            card_row = await _newest(db) or await _ensure_default(db, now)
            total = _scorecard(card_row).total(values)
            row = await db.scalar(
                select(ReviewRow)
                .where(
                    ReviewRow.call_id == call_id,
                    ReviewRow.scorecard_id == card_row.id,
                    ReviewRow.reviewer_id == actor.id,
                )
                .with_for_update()
            )
            if row is None:
                row = ReviewRow(
                    id=secrets.token_hex(16),
                    call_id=call_id,
                    scorecard_id=card_row.id,
                    reviewer_id=actor.id,
                    reviewer=actor.name,
                    created_at=now,
                )
                db.add(row)
            else:
                row.edited_at = now
            row.values, row.pii_comment, row.total = dict(values), comment.strip(), total
            await self._audit.add(db, actor, "review.submit", f"call/{call_id}", {"total": total})
        return _review(row, card_row)

    async def list(self, actor: Actor, call_id: str) -> Sequence[Review]:
        """A call's reviews, oldest first.

        Raises:
            PermissionDeniedError: The actor may not `read`.
            NotFoundError: The log has no such call.
        """
        actor.need("read")
        async with reading(self._database) as db:
            await must_exist(db, call_id)
            rows = await db.execute(
                select(ReviewRow, ScorecardRow)
                .join(ScorecardRow, ScorecardRow.id == ReviewRow.scorecard_id)
                .where(ReviewRow.call_id == call_id)
                .order_by(ReviewRow.created_at, ReviewRow.id)
            )
            return [_review(review, card) for review, card in rows]


async def _newest(db: AsyncSession) -> ScorecardRow | None:
    query = select(ScorecardRow).order_by(
        ScorecardRow.created_at.desc(), ScorecardRow.version.desc()
    )
    return (await db.scalars(query.limit(1))).first()


async def _ensure_default(db: AsyncSession, now: datetime) -> ScorecardRow:
    found = await _newest(db)
    if found is None:
        found = _card_row(DEFAULT, now)
        db.add(found)
        await db.flush()
    return found


def _card_row(card: Scorecard, now: datetime) -> ScorecardRow:
    return ScorecardRow(
        id=secrets.token_hex(16),
        name=card.name,
        version=card.version,
        items=[asdict(item) for item in card.items],
        created_at=now,
    )


def _scorecard(row: ScorecardRow) -> Scorecard:
    return Scorecard(row.name, row.version, tuple(ScoreItem(**item) for item in row.items))


def _review(row: ReviewRow, card: ScorecardRow) -> Review:
    return Review(
        id=row.id,
        call_id=row.call_id,
        scorecard=card.name,
        scorecard_version=card.version,
        reviewer=row.reviewer,
        reviewer_id=row.reviewer_id,
        values=row.values,
        comment=row.pii_comment,
        total=row.total,
        created_at=row.created_at,
        edited_at=row.edited_at,
    )
