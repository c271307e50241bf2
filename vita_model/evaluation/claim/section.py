"""The claim as a section of the report: a table, a plot, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from vita_model.evaluation.claim.run import Result
from vita_model.evaluation.claim.summary import (
    FIRST,
    LESS_IS_BETTER,
    MEASURES,
    Line,
    lines,
    values,
    verdict,
)

ABOUT = (
    "The paper's claim is that training in three stages adds speech without losing what was learnt "
    "about pictures. Here it is tried with a model of a million weights in a world of 37 words: "
    "drawn pictures, words read by espeak-ng and flite, four of the voices only in the test. All "
    "arms of a seed begin with the same language model, learn at the same rates, and read the same "
    "number of examples of every kind (`speech alone, no stages` leaves pictures and typed talk out "
    "once speech comes). `three stages`: pictures (1.1 to 1.3), then hearing by CTC, adapter and "
    "spoken questions with a few pictures (2.1a to 2.2), then the decoder of spoken codes (3.2). "
    "`speech without stages`: pictures first, then all of speech at once. `joint`: everything at "
    "once from the beginning. Values are means over seeds with Student's 95 % intervals; the "
    "difference from three stages is taken seed by seed."
)
_COLOURS = ("#1a7f5a", "#2f6fde", "#c0392b", "#8a6d1f", "#5b6b7b")


@dataclass(frozen=True, slots=True)
class ClaimSection:
    """What the report shows.

    Attributes:
        about: What was done.
        seeds: How many seeds each arm has at least.
        lines: The table.
        told: What it says, in sentences.
        plot: Place of the plot, relative to the run.
    """

    about: str
    seeds: int
    lines: Sequence[Line]
    told: Sequence[str]
    plot: str


def section(results: Sequence[Result], folder: Path) -> ClaimSection:
    """Sums results up and draws the plot into `plots/claim.svg` of a folder."""
    found = lines(results)
    draw(results, folder / "plots" / "claim.svg")
    seeds = min(len(line.mean.values) for line in found)
    return ClaimSection(ABOUT, seeds, found, verdict(found), "plots/claim.svg")


def draw(results: Sequence[Result], file: Path) -> Path:
    """Every measure in a panel: a dot for each seed, the mean and its interval for each arm."""
    arms = list(dict.fromkeys(result.arm for result in results))
    canvas = Canvas(figsize=(10.5, 7.2), layout="constrained")
    panels = canvas.subplots(3, 3, sharey=True).flatten()
    for panel, name in zip(panels, MEASURES, strict=True):
        found = {line.arm: line for line in lines(results) if line.measure == name}
        for place, arm in enumerate(reversed(arms)):
            if arm not in found:
                continue
            colour = _COLOURS[arms.index(arm) % len(_COLOURS)]
            mean = found[arm].mean
            own = list(values(results, name)[arm].values())
            panel.plot(own, [place] * len(own), "o", color=colour, ms=4, alpha=0.45)
            if len(own) > 1:
                panel.plot(mean.interval, [place, place], color=colour, lw=2.4, alpha=0.7)
            panel.plot([mean.value], [place], "D", color=colour, ms=6)
        better = "less" if name in LESS_IS_BETTER else "more"
        panel.set_title(f"{name} (%), {better} is better", loc="left", fontsize=9)
        panel.set_yticks(range(len(arms)), list(reversed(arms)), fontsize=8)
        panel.tick_params(axis="x", labelsize=8)
        panel.grid(axis="x", alpha=0.25)
        panel.spines[["top", "right", "left"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": FIRST, "svg.fonttype": "none"}):
        canvas.savefig(file, metadata={"Date": None})
    return file
