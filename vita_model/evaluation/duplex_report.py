"""The figures of a duplex run: shares with their confidence, a table, JSON, a plot."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table
from typing_extensions import override

from vita_model.evaluation.duplex import IN_TIME_S, Outcome, Over
from vita_model.evaluation.duplex_set import KINDS

YIELD_BAR = 0.95
"""Share of queries the agent has to stop for in time."""
IGNORE_BAR = 0.8
"""Share of everything else the agent has to go on with."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, and between which shares the truth lies with 95 % confidence (Wilson)."""

    right: int
    of: int

    @property
    def value(self) -> float:
        """The share itself."""
        return self.right / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the confidence interval."""
        if not self.of:
            return 0.0, 1.0
        z, share, count = 1.96, self.value, self.of
        middle = (share + z * z / (2 * count)) / (1 + z * z / count)
        half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
        half /= 1 + z * z / count
        return max(0.0, middle - half), min(1.0, middle + half)

    @override
    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.2f} ({low:.2f} to {high:.2f})"


@dataclass(frozen=True, slots=True)
class Row:
    """Some cases of one kind.

    Attributes:
        name: Which.
        right: Those with the right outcome; for queries in time.
        stopped: Those that stopped the agent, at whatever time.
        median_s, late_s: Median and 95th percentile of the time it took, None without any.
    """

    name: str
    right: Share
    stopped: Share
    median_s: float | None
    late_s: float | None


def row(name: str, outcomes: Sequence[Outcome]) -> Row:
    """The figures of some cases."""
    times = sorted(o.stopped_s for o in outcomes if o.stopped_s is not None)
    late = times[min(len(times) - 1, math.ceil(0.95 * len(times)) - 1)] if times else None
    return Row(
        name,
        _right(outcomes),
        Share(len(times), len(outcomes)),
        statistics.median(times) if times else None,
        late,
    )


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """Each kind, each kind at each noise, and the two figures that count."""
    result = []
    for kind in KINDS:
        own = [o for o in outcomes if o.kind == kind]
        if own:
            result.append(row(kind, own))
            result += [
                row(f"{kind}, {snr} dB", [o for o in own if o.snr == snr])
                for snr in sorted({o.snr for o in own}, reverse=True)
            ]
    return [*result, *summary(outcomes)]


def summary(outcomes: Sequence[Outcome]) -> list[Row]:
    """The two figures that count: queries stopped for in time, everything else passed over."""
    queries = [o for o in outcomes if o.kind == "query"]
    rest = [o for o in outcomes if o.kind not in ("query", "late query")]
    return [row("all queries", queries), row("all the rest", rest)]


def holds(outcomes: Sequence[Outcome]) -> bool:
    """Both figures reach their bars."""
    queries, rest = summary(outcomes)
    return queries.right.value >= YIELD_BAR and rest.right.value >= IGNORE_BAR


def table(outcomes: Sequence[Outcome], title: str) -> Table:
    """For people."""
    result = Table(title=title)
    for heading in ("kind", "cases", "right (95 %)", "agent stopped", "median ms", "95 % ms"):
        result.add_column(heading, justify="left" if heading == "kind" else "right")
    for one in rows(outcomes):
        cells = [str(one.right), f"{one.stopped.value:.2f}", _ms(one.median_s), _ms(one.late_s)]
        result.add_row(one.name, str(one.right.of), *cells)
    return result


def as_json(runs: dict[Over, list[Outcome]]) -> str:
    """For programs: every outcome and the figures."""
    return json.dumps(
        {
            over: {
                "rows": [
                    asdict(one)
                    | {"share": round(one.right.value, 4), "interval": one.right.interval}
                    for one in rows(outcomes)
                ],
                "outcomes": [asdict(outcome) for outcome in outcomes],
            }
            for over, outcomes in runs.items()
        },
        indent=1,
    )


def draw(runs: dict[Over, list[Outcome]], path: Path) -> None:
    """Write a PNG: right outcomes by kind and noise with confidence, and the times of decisions."""
    import matplotlib as mpl  # noqa: PLC0415 - of the extra `bench`
    from matplotlib import pyplot as plt  # noqa: PLC0415

    mpl.use("Agg")
    figure, (shares, times) = plt.subplots(1, 2, figsize=(13, 4.2), layout="constrained")
    colours = {30: "#2f6fde", 20: "#5aa469", 10: "#b25a00"}
    outcomes = [outcome for own in runs.values() for outcome in own]
    kinds = [kind for kind in KINDS if any(o.kind == kind for o in outcomes)]
    for place, (snr, colour) in enumerate(colours.items()):
        found = [_right([o for o in outcomes if o.kind == k and o.snr == snr]) for k in kinds]
        x = [at + (place - 1) * 0.26 for at in range(len(kinds))]
        value = [share.value if share.of else 0.0 for share in found]
        low = [max(0.0, v - s.interval[0]) for v, s in zip(value, found, strict=True)]
        high = [max(0.0, s.interval[1] - v) for v, s in zip(value, found, strict=True)]
        style = {"color": colour, "label": f"noise {snr} dB below", "capsize": 2}
        shares.bar(x, value, 0.24, yerr=(low, high), ecolor="#56606b", **style)
    shares.set_xticks(range(len(kinds)), kinds)
    shares.set_ylim(0, 1.05)
    shares.set_title("Right outcome, with 95 % confidence", loc="left", fontsize=11)
    for over, all_of_it in runs.items():
        for kind, dashes in (("query", "-"), ("late query", "--")):
            own = [o for o in all_of_it if o.kind == kind]
            if own:
                colour = "#2f6fde" if over == "answer" else "#8a97a6"
                style = {"color": colour, "linestyle": dashes, "label": f"{kind}, over the {over}"}
                times.step(*_curve(own), where="post", **style)
    times.axvline(IN_TIME_S * 1_000, color="#b25a00", linewidth=1, label="due")
    times.axhline(YIELD_BAR, color="#b25a00", linewidth=1, linestyle=":", label="bar")
    times.set_xlim(0, 2_000)
    times.set_ylim(0, 1.02)
    times.set_xlabel("ms after the question began")
    times.set_title("Share of questions the agent has stopped for", loc="left", fontsize=11)
    for axes in (shares, times):
        axes.grid(color="#e6eaef", axis="y")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    shares.legend(
        frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3
    )
    times.legend(frameon=False, fontsize=9, loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _right(outcomes: Sequence[Outcome]) -> Share:
    return Share(sum(outcome.right for outcome in outcomes), len(outcomes))


def _curve(outcomes: Sequence[Outcome]) -> tuple[list[float], list[float]]:
    """Milliseconds, and the share stopped for by then."""
    times = sorted(max(0.0, o.stopped_s) * 1_000 for o in outcomes if o.stopped_s is not None)
    count = len(outcomes)
    x = [0.0, *times, 2_000.0]
    return x, [0.0, *((n + 1) / count for n in range(len(times))), len(times) / count]


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1_000:.0f}"
