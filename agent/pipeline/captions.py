"""Shows what both sides say, the agent's words as they are heard.

Who reads them: a caller on a leg that can show them, and supervisors who follow the call live.
"""

from __future__ import annotations

from typing import Literal

from agent.api import Caption, CaptionedLeg, MediaLeg
from agent.calls.context import Journal
from agent.pipeline.effects import CallerHeard, CallerSaid
from agent.pipeline.playback import Reply


class Captions:
    """Captions of one call."""

    def __init__(self, leg: MediaLeg, journal: Journal) -> None:
        self._leg = leg if isinstance(leg, CaptionedLeg) else None
        self._journal = journal
        self._open_turn = ""
        self._last = ("", "", False)

    def caller_started(self, at_ms: int) -> None:
        """The caller began to speak. A sound before it that became no words is taken back."""
        self.noise()
        self._open_turn = _turn(at_ms)
        self._show("caller", self._open_turn, "", final=False)

    def caller_heard(self, heard: CallerHeard) -> None:
        """Some of the caller's words are known, unless what is open is another turn by now."""
        turn = _turn(heard.start_ms)
        if turn == self._open_turn:
            self._show("caller", turn, heard.text, final=False)

    def caller_said(self, said: CallerSaid) -> None:
        """The caller's words are known."""
        self._open_turn = ""
        self._show("caller", _turn(said.start_ms), said.text, final=True)

    def noise(self) -> None:
        """What the caller's sound was begun with is taken back."""
        if self._open_turn:
            self._show("caller", self._open_turn, "", final=True)
            self._open_turn = ""

    def reply_heard(self, reply: Reply, *, final: bool) -> None:
        """The caller has heard a reply up to where its playback stands."""
        self._show("agent", reply.item_id, reply.book.heard_text().strip(), final=final)

    def _show(
        self, speaker: Literal["caller", "agent"], turn: str, text: str, *, final: bool
    ) -> None:
        if (turn, text, final) == self._last:
            return
        self._last = (turn, text, final)
        if self._leg is not None:
            self._leg.show_caption(Caption(speaker, turn, text, final))
        # What is final and has words follows in the journal.
        if not (final and text):
            self._journal.show(
                "caption", {"role": speaker, "item_id": turn, "pii_text": text, "final": final}
            )


def _turn(at_ms: int) -> str:
    return f"caller-{at_ms}"
