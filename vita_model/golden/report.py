"""The verdicts as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.table import Table

from vita_model.golden.case import BAR, Outcome


def _shown(difference: float | None) -> str:
    return "–" if difference is None else f"{difference:.1e}"


def table(outcomes: Sequence[Outcome]) -> Table:
    """One row a case: what it is about, how far the worst output is off, and the verdict."""
    passed = sum(outcome.passes for outcome in outcomes)
    view = Table(title=f"{passed} of {len(outcomes)} golden cases agree")
    view.add_column("case", no_wrap=True)
    view.add_column("component")
    view.add_column("outputs", justify="right")
    view.add_column("largest difference", justify="right")
    view.add_column("bar", justify="right")
    view.add_column("verdict", overflow="fold")
    for outcome in outcomes:
        view.add_row(
            outcome.case,
            outcome.component,
            str(outcome.compared),
            _shown(outcome.difference),
            f"{BAR:.0e}",
            "[green]agrees" if outcome.passes else "[red]" + "; ".join(outcome.failures),
        )
    return view


def as_json(outcomes: Sequence[Outcome]) -> str:
    """A JSON list, one object a case."""
    return json.dumps(
        [
            {
                "case": outcome.case,
                "component": outcome.component,
                "outputs": outcome.compared,
                "largest_difference": outcome.difference,
                "bar": BAR,
                "passes": outcome.passes,
                "failures": list(outcome.failures),
            }
            for outcome in outcomes
        ],
        indent=2,
    )
