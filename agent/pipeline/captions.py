"""Shows a caller who can read what both sides say, the agent's words as they are heard."""

from __future__ import annotations

from typing import Literal

from agent.api import Caption, CaptionedLeg, MediaLeg
from agent.pipeline.effects import CallerSaid
from agent.pipeline.playback import Reply


class Captions:
    """Captions of one call; nothing happens on a leg that cannot show them."""

    def __init__(self, leg: MediaLeg) -> None:
        self._leg = leg if isinstance(leg, CaptionedLeg) else None
        self._open_turn = ""

    def caller_started(self, at_ms: int) -> None:
        """The caller began to speak."""
        self._open_turn = _turn(at_ms)
        self._show("caller", self._open_turn, "", final=False)

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
        if self._leg is not None:
            self._show("agent", reply.item_id, reply.book.heard_text().strip(), final=final)

    def _show(
        self, speaker: Literal["caller", "agent"], turn: str, text: str, *, final: bool
    ) -> None:
        if self._leg is not None:
            self._leg.show_caption(Caption(speaker, turn, text, final))


def _turn(at_ms: int) -> str:
    return f"caller-{at_ms}"
