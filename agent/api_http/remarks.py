"""Notes on calls, and reviews on a scorecard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from agent.api_http.parts import Parts, TaggedRoute, Who
from agent.supervisor.notes import LONGEST_NOTE, Note
from agent.supervisor.review import LONGEST_COMMENT, Review
from agent.supervisor.scorecard import Scale, Scorecard, ScoreItem

router = APIRouter(route_class=TaggedRoute, tags=["notes and reviews"])


class NewNote(BaseModel):
    """A note to write; `start_ms` ties it to a moment of the call."""

    text: str = Field("", max_length=LONGEST_NOTE)
    start_ms: int | None = Field(None, ge=0, lt=2**31)
    flag: bool = False


class NoteChange(BaseModel):
    """What to change of a note."""

    text: str | None = Field(None, max_length=LONGEST_NOTE)
    flag: bool | None = None


class NewReview(BaseModel):
    """Answers by item of the scorecard: 1 to 5 for `stars`, 0 or 1 for `yes_no`."""

    values: dict[Annotated[str, Field(max_length=64)], int] = Field(max_length=40)
    comment: str = Field("", max_length=LONGEST_COMMENT)


class NewItem(BaseModel):
    """One question of a scorecard."""

    key: str = Field(max_length=64)
    question: str = Field(max_length=300)
    scale: Scale = "stars"
    weight: float = Field(1.0, gt=0, le=100)


class NewScorecard(BaseModel):
    """The next version of the scorecard."""

    name: str = Field(max_length=80)
    items: list[NewItem] = Field(min_length=1, max_length=40)


@router.get("/calls/{call_id}/notes")
async def list_notes(parts: Parts, who: Who, call_id: str) -> Sequence[Note]:
    """The notes on a call."""
    return await parts.desk.notes.list(who, call_id)


@router.post("/calls/{call_id}/notes", status_code=201)
async def add_note(parts: Parts, who: Who, call_id: str, note: NewNote) -> Note:
    """Write a note. Needs `annotate`."""
    return await parts.desk.notes.add(
        who, call_id, note.text, start_ms=note.start_ms, flag=note.flag
    )


@router.patch("/notes/{note_id}")
async def edit_note(parts: Parts, who: Who, note_id: str, change: NoteChange) -> Note:
    """Change a note of one's own."""
    return await parts.desk.notes.edit(who, note_id, text=change.text, flag=change.flag)


@router.delete("/notes/{note_id}", status_code=204)
async def delete_note(parts: Parts, who: Who, note_id: str) -> None:
    """Take a note of one's own away."""
    await parts.desk.notes.delete(who, note_id)


@router.get("/calls/{call_id}/reviews")
async def list_reviews(parts: Parts, who: Who, call_id: str) -> Sequence[Review]:
    """The reviews of a call."""
    return await parts.desk.reviews.list(who, call_id)


@router.put("/calls/{call_id}/review")
async def submit_review(parts: Parts, who: Who, call_id: str, review: NewReview) -> Review:
    """Score a call, or score it again. Needs `review`."""
    return await parts.desk.reviews.submit(who, call_id, review.values, comment=review.comment)


@router.get("/scorecard")
async def get_scorecard(parts: Parts, who: Who) -> Scorecard:
    """What calls are reviewed by now."""
    return await parts.desk.reviews.scorecard(who)


@router.put("/scorecard")
async def change_scorecard(parts: Parts, who: Who, card: NewScorecard) -> Scorecard:
    """Make a new version of the scorecard. Needs `manage`."""
    items = [ScoreItem(**item.model_dump()) for item in card.items]
    return await parts.desk.reviews.change_scorecard(who, card.name, items)
