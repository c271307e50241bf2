"""An answer begun in the silence that may end a turn. Nobody hears of it until the turn is over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vita_model.engine.voice import Done, Entry, ReplyEvent, Request, UserImage, UserSpeech


@dataclass(slots=True)
class EarlyReply:
    """What the model has given so far; a tool call among it waits like the rest."""

    id: str
    request: Request
    events: list[ReplyEvent] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """The model has said all."""
        return bool(self.events) and isinstance(self.events[-1], Done)

    def answers(self, wanted: Request) -> bool:
        """It is what the model would be asked now."""
        mine, theirs = self.request.entries, wanted.entries
        alike = replace(self.request, entries=()) == replace(wanted, entries=())
        return (
            alike
            and len(mine) == len(theirs)
            and all(_same(a, b) for a, b in zip(mine, theirs, strict=True))
        )


def _same(mine: Entry, other: Entry) -> bool:
    """Rows of the model are compared by identity: they may be tensors."""
    if isinstance(mine, UserSpeech) and isinstance(other, UserSpeech):
        return mine.heard is other.heard
    if isinstance(mine, UserImage) and isinstance(other, UserImage):
        return mine.seen is other.seen
    return type(mine) is type(other) and mine == other
