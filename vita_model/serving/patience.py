"""How much silence ends a turn, once it is known what was said."""

from __future__ import annotations

from typing import Literal

Eagerness = Literal["low", "medium", "high", "auto"]
Look = Literal["finished", "unsure", "unfinished"]

SILENCE_MS: dict[Eagerness, dict[Look, int]] = {
    "low": {"finished": 800, "unsure": 1_200, "unfinished": 4_000},
    "medium": {"finished": 420, "unsure": 640, "unfinished": 1_600},
    "auto": {"finished": 420, "unsure": 640, "unfinished": 1_600},
    "high": {"finished": 260, "unsure": 420, "unfinished": 900},
}
"""A turn that looks finished is answered soon; a caller in mid-sentence is waited for."""


def silence_ms(eagerness: Eagerness, *, finished: bool | None, noise: float | None) -> int:
    """Silence that ends a turn.

    Args:
        eagerness: How soon the agent wants the word.
        finished: What was heard calls for no further word; None while nothing is known.
        noise: Share of the model's state token for noise; None while it is not known.
    """
    waits = SILENCE_MS[eagerness]
    if finished is False:
        return waits["unfinished"]
    if finished is None or (noise is not None and noise > 0.5):
        return waits["unsure"]
    return waits["finished"]
