"""How much of one reply was generated, sent and heard.

A reply is made faster than it is spoken, and sent a little ahead of its playback. When the caller
interrupts, the conversation has to be cut where playback stood, which only the carrier's marks
tell. Positions count samples of the leg from the start of the reply.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class ReplyLedger:
    """Book of one reply. `generated >= sent >= heard` holds at all times; `rate` is the leg's."""

    rate: int = 8000
    generated: int = 0
    sent: int = 0
    heard: int = 0
    _text: list[tuple[int, str]] = field(default_factory=list)
    _marks: dict[str, int] = field(default_factory=dict)

    def add_audio(self, samples: int) -> None:
        """The model produced `samples` more."""
        self.generated += samples

    def add_text(self, piece: str) -> None:
        """The model wrote `piece`, spoken by the audio that follows this position."""
        if self._text and self._text[-1][0] == self.generated:
            piece = self._text.pop()[1] + piece
        self._text.append((self.generated, piece))

    def add_sent(self, samples: int) -> None:
        """`samples` more left for the caller.

        Raises:
            ValueError: More was sent than was generated.
        """
        if self.sent + samples > self.generated:
            raise ValueError(f"{self.sent + samples} samples sent of {self.generated} generated")
        self.sent += samples

    def add_mark(self, name: str) -> None:
        """A mark was sent after everything sent so far."""
        self._marks[name] = self.sent

    def played(self, name: str) -> bool:
        """A mark came back from playback. False when the mark is none of this reply's."""
        position = self._marks.pop(name, None)
        if position is None:
            return False
        self.heard = max(self.heard, position)
        return True

    def forget_marks(self) -> None:
        """Playback was cleared: marks that come back from now on say nothing about hearing."""
        self._marks.clear()

    @property
    def heard_ms(self) -> int:
        """Milliseconds of the reply that were played."""
        return self.heard * 1000 // self.rate

    @property
    def heard_fully(self) -> bool:
        """Whether everything generated so far was played."""
        return self.heard == self.generated

    @property
    def text(self) -> str:
        """Everything the model wrote."""
        return "".join(piece for _, piece in self._text)

    def heard_text(self) -> str:
        """The words whose audio had been played, cut between words.

        A piece that was played in part gives its share of characters, down to the last whole word.
        """
        if self.heard_fully:
            return self.text
        heard = ""
        ends = [start for start, _ in self._text[1:]] + [self.generated]
        for (start, piece), end in zip(self._text, ends, strict=True):
            if end > self.heard:
                share = max(self.heard - start, 0) / (end - start)
                return (heard + _whole_words(piece, int(len(piece) * share))).rstrip()
            heard += piece
        return heard


def _whole_words(piece: str, length: int) -> str:
    if length >= len(piece) or piece[length].isspace():
        return piece[:length]
    cut = max(piece.rfind(" ", 0, length), 0)
    return piece[:cut]
