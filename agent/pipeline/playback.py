"""What of each reply the caller has heard. Pure: time is handed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.audio import TELEPHONE, AudioFormat
from agent.pipeline.pacer import MARKS, Chunk, Mark
from agent.transcripts.ledger import ReplyLedger


@dataclass(slots=True)
class Reply:
    """One spoken reply on its way to the caller.

    Attributes:
        item_id: Id of the conversation item.
        book: Generated, sent and heard positions, and the text.
        complete: Whether the model has ended the reply.
        first_sent_at: When its first piece left; None before.
        told_at: When playback was last heard of: the first piece sent, or a mark that came back.
    """

    item_id: str
    book: ReplyLedger = field(default_factory=ReplyLedger)
    complete: bool = False
    first_sent_at: float | None = None
    told_at: float = 0.0

    @property
    def over(self) -> bool:
        """Whether the caller has heard all there will be."""
        return self.complete and self.book.heard_fully


class Playback:
    """The replies that are not over yet, oldest first."""

    def __init__(self, audio: AudioFormat = TELEPHONE) -> None:
        self._rate = audio.rate
        self._replies: dict[str, Reply] = {}

    @property
    def quiet(self) -> bool:
        """Whether nothing is being played or waits to be."""
        return not self._replies

    @property
    def audible(self) -> bool:
        """Whether there is sound the caller has not heard yet."""
        return any(reply.book.heard < reply.book.generated for reply in self._replies.values())

    @property
    def playing(self) -> list[Reply]:
        """The replies of which the caller hears something."""
        return [reply for reply in self._replies.values() if reply.first_sent_at is not None]

    def reply(self, item_id: str) -> Reply:
        """The reply of a conversation item, begun if it is new."""
        return self._replies.setdefault(item_id, Reply(item_id, ReplyLedger(self._rate)))

    def complete(self, item_id: str) -> list[Reply]:
        """The model has ended a reply. Returns the replies that are over by it."""
        if item_id in self._replies:
            self._replies[item_id].complete = True
        return self._take_over()

    def sent(self, chunk: Chunk) -> bool:
        """A piece was handed to the leg. True when it is the first of its reply."""
        reply = self._replies.get(chunk.item_id)
        if reply is None:
            return False
        reply.book.add_sent(chunk.samples)
        if reply.first_sent_at is not None:
            return False
        reply.first_sent_at = reply.told_at = chunk.plays_at
        return True

    def mark_sent(self, mark: Mark) -> None:
        """A mark was handed to the leg."""
        if mark.item_id in self._replies:
            self._replies[mark.item_id].book.add_mark(mark.name)

    def played(self, name: str, now: float) -> list[Reply]:
        """A mark came back. Returns the replies that are over by it."""
        for reply in self._replies.values():
            if reply.book.played(name):
                reply.told_at = now
        return self._take_over()

    def cut(self, now: float) -> list[Reply]:
        """The caller interrupts: every reply ends where its playback stands, and is returned.

        Between two marks playback is taken to run in real time, short of the next mark, which
        would have come back otherwise.
        """
        replies = list(self._replies.values())
        self._replies.clear()
        for reply in replies:
            book = reply.book
            if reply.first_sent_at is not None and not book.heard_fully:
                since = int((now - reply.told_at) * self._rate)
                book.heard += min(max(since, 0), self._rate // MARKS - 1, book.sent - book.heard)
        return replies

    def _take_over(self) -> list[Reply]:
        over = [reply for reply in self._replies.values() if reply.over]
        for reply in over:
            del self._replies[reply.item_id]
        return over
