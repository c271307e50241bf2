"""The report of a run: a table in the terminal, Markdown, and a page with plots and recordings."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup, escape
from rich.table import Table

from vita_model.evaluation import plots
from vita_model.evaluation.beside import with_ours
from vita_model.evaluation.claim.section import ClaimSection
from vita_model.evaluation.claim.summary import Mean
from vita_model.evaluation.figures import Figure, Row, figures
from vita_model.evaluation.store import Run
from vita_model.evaluation.suite import Suite

SHOWN = 24
"""Rows of a suite on the page; all of them are in `rows/`."""
_RIGHT = ("right", "recall")


@dataclass(frozen=True, slots=True)
class Section:
    """One suite of the report."""

    name: str
    about: str
    rows: Sequence[Row]
    figures: Sequence[Figure]
    plot: str


@dataclass(frozen=True, slots=True)
class Written:
    """The report's files and what is in them."""

    sections: Sequence[Section]
    page: Path
    text: Path


def write(run: Run, suites: Sequence[Suite[Any]], claim: ClaimSection | None = None) -> Written:
    """Write `report.html` and `report.md` over all rows of the given suites, and the claim."""
    sections = []
    for suite in suites:
        rows = run.rows(suite.name)
        if rows:
            found = figures(rows, suite.measures)
            plot = plots.draw(run.folder / "plots" / f"{suite.name}.svg", suite.name, found)
            place = plot.relative_to(run.folder).as_posix()
            sections.append(Section(suite.name, suite.about, rows, found, place))
    content = files("vita_model.evaluation")
    papers = with_ours(
        yaml.safe_load(content.joinpath("paper.yaml").read_text(encoding="utf-8")),
        str(run.about["model"]),
        {s.name: (s.figures[0].measure, s.rows) for s in sections if s.figures},
    )
    shown = {section.name: examples(section.rows) for section in sections}
    given = {"about": run.about, "sections": sections, "papers": papers, "shown": shown}
    given["bars"] = [
        (s.name, figure) for s in sections for figure in s.figures if figure.bar is not None
    ]
    page, text = _write_both(run.folder, {**given, "claim": claim})
    _write_figures(run.folder / "figures.json", sections)
    return Written(sections, page, text)


def write_claim(folder: Path, claim: ClaimSection) -> Path:
    """Write the report of the claim alone; gives its page."""
    about = {"model": "the paper's claim", "command": "claim"}
    return _write_both(folder, {"about": about, "claim": claim})[0]


def _write_both(folder: Path, given: Mapping[str, Any]) -> tuple[Path, Path]:
    page, text = folder / "report.html", folder / "report.md"
    content = files("vita_model.evaluation")
    for file, name in ((page, "report.html.j2"), (text, "report.md.j2")):
        template = content.joinpath(name).read_text(encoding="utf-8")
        file.write_text(_render(template, name, given), encoding="utf-8")
    return page, text


def _render(template: str, name: str, given: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(
        autoescape=name.endswith(".html.j2"), trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"value": value, "interval": interval, "bar": bar, "verdict": verdict}
    environment.filters |= {"marked": marked, "mean": mean, "spread": spread}
    return environment.from_string(template).render(**given)


def _write_figures(file: Path, sections: Sequence[Section]) -> None:
    found = [
        {
            "suite": section.name,
            "measure": figure.measure,
            "group": figure.group,
            "unit": figure.unit,
            "value": round(figure.value, 4),
            "low": round(figure.low, 4),
            "high": round(figure.high, 4),
            "items": figure.items,
            "bar": figure.bar,
            "met": figure.met,
        }
        for section in sections
        for figure in section.figures
    ]
    file.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")


def examples(rows: Sequence[Row]) -> list[Row]:
    """Rows for the page: half of them misses where there are, drawn the same way every time."""
    rng = random.Random("examples")
    missed = [row for row in rows if any(row.counts.get(k, (1, 1))[0] == 0 for k in _RIGHT)]
    others = [row for row in rows if row not in missed]
    misses = rng.sample(missed, min(SHOWN // 2, len(missed)))
    return misses + rng.sample(others, min(SHOWN - len(misses), len(others)))


def marked(text: str) -> Markup:
    """A text for the page, with `words` set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def mean(found: Mean | None) -> str:
    """`82.3 %`, or nothing."""
    return "" if found is None else f"{_number(found.value)} %"


def spread(found: Mean | None) -> str:
    """`75.1 to 88.0`; nothing with a single seed."""
    if found is None or len(found.values) < 2:
        return ""
    return " to ".join(map(_number, found.interval))


def value(figure: Figure) -> str:
    """`82.3 %`."""
    return f"{_number(figure.value)} {figure.unit}"


def interval(figure: Figure) -> str:
    """`75.1 to 88.0`."""
    return f"{_number(figure.low)} to {_number(figure.high)}"


def bar(figure: Figure) -> str:
    """`≥ 90 %`, or nothing."""
    if figure.bar is None:
        return ""
    return f"{'≥' if figure.sense == 'at least' else '≤'} {figure.bar:g} {figure.unit}"


def verdict(figure: Figure) -> str:
    """Whether the bar is reached, and whether the interval leaves a doubt."""
    if figure.met is None:
        return ""
    return ("reached" if figure.met else "missed") + ("" if figure.sure else ", uncertain")


def _number(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 99.95 else f"{number:.1f}"


def terminal(sections: Sequence[Section]) -> Table:
    """All figures for a terminal."""
    table = Table("suite", "figure", "of", "value", "95 % interval", "items", "bar", "")
    for section in sections:
        for number, figure in enumerate(section.figures):
            colour = {True: "green", False: "red", None: "default"}[figure.met]
            table.add_row(
                "" if number else section.name,
                figure.measure,
                figure.group,
                value(figure),
                interval(figure),
                str(figure.items),
                bar(figure),
                verdict(figure),
                style=colour,
                end_section=number == len(section.figures) - 1,
            )
    return table
