"""Pictures of the conversation that the model still has to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vita_model.engine.voice import Seen
from vita_model.serving.effects import Effect, See
from vita_model.serving.events import ProtocolError
from vita_model.serving.items import ImagePart, Message

MOST_WAITING = 16


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture being looked at, and the client's event that brought it."""

    part: ImagePart
    event_id: str | None


class Pictures:
    """Follows every picture from its item to what the eye made of it."""

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        self._waiting: dict[str, Picture] = {}

    def make_room(self, count: int) -> None:
        """Refuse pictures that come faster than they are seen: they would fill the memory.

        Raises:
            ProtocolError: too many would wait.
        """
        if len(self._waiting) + count > MOST_WAITING:
            raise ProtocolError(
                f"More than {MOST_WAITING} pictures wait to be seen; send fewer at a time.",
                "rate_limit_exceeded",
                "item.content",
            )

    def show(self, item: Message, data: Sequence[bytes], event_id: str | None) -> list[Effect]:
        """Look at the pictures of a new item; `data` is in the order of its picture parts."""
        effects: list[Effect] = []
        parts = [part for part in item.parts if isinstance(part, ImagePart)]
        for part, picture in zip(parts, data, strict=True):
            seeing_id = self._new_id("see")
            self._waiting[seeing_id] = Picture(part, event_id)
            effects.append(See(seeing_id, picture))
        return effects

    def take(self, seeing_id: str, seen: Seen | None) -> Picture | None:
        """The model has looked at it, or could not: None. Gives the picture this belongs to."""
        picture = self._waiting.pop(seeing_id, None)
        if picture is not None:
            picture.part.seen, picture.part.failed = seen, seen is None
        return picture
