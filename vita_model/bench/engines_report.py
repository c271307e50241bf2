"""The figures of `vita bench engines` as JSON, as a table and as a picture."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from vita_model.bench.engines import GENERATE, TORCH, VLLM, Row, Table, Work

_COLOURS = {GENERATE: "#8a97a6", TORCH: "#2f6fde", VLLM: "#1a7f5a"}


def as_json(table: Table) -> str:
    """For programs."""
    return json.dumps(asdict(table), indent=2)


def from_json(text: str) -> Table:
    """What `as_json` wrote.

    Raises:
        ValueError: It is something else.
    """
    try:
        data = json.loads(text)
        rows = [Row(**row) for row in data["rows"]]
        work = Work(**data["work"] | {"streams": tuple(data["work"]["streams"])})
        return Table(rows, work, data["parameters"], data["threads"])
    except (TypeError, KeyError) as error:
        raise ValueError("this file holds no figures of engines") from error


def joined(table: Table, older: Table) -> Table:
    """A table with the rows of an older one for numbers of answers that it lacks."""
    kept = [row for row in older.rows if row.streams not in table.work.streams]
    streams = {row.streams for row in (*kept, *table.rows)}
    work = replace(table.work, streams=tuple(sorted(streams)))
    rows = sorted([*kept, *table.rows], key=lambda row: row.streams)
    return replace(table, rows=rows, work=work)


def as_markdown(table: Table) -> str:
    """For a document."""
    lines = [
        "| answers at once | what | tokens/s | CPU for a token | last first token |",
        "|---|---|---|---|---|",
    ]
    for row in table.rows:
        first = f"{row.first_s:.1f} s" if row.first_s else "-"
        lines.append(
            f"| {row.streams} | {row.what} | {row.tokens_s:.1f} | {row.cpu_ms:.0f} ms | {first} |"
        )
    return "\n".join(lines)


def draw(table: Table, path: Path) -> None:
    """Write a PNG: tokens a second and process time of a token over the number of answers."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra
    from matplotlib import pyplot as plt  # noqa: PLC0415

    mpl.use("Agg")
    figure, both = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    titles = ("Tokens a second, all answers together", "CPU for each token, ms")
    for axes, title, field in zip(both, titles, ("tokens_s", "cpu_ms"), strict=True):
        for what, colour in _COLOURS.items():
            rows = sorted((r for r in table.rows if r.what == what), key=lambda row: row.streams)
            values = [getattr(row, field) for row in rows]
            axes.plot([row.streams for row in rows], values, "o-", color=colour, label=what)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xscale("log", base=2)
        streams = sorted({row.streams for row in table.rows})
        axes.set_xticks(streams, [str(count) for count in streams])
        axes.set_xlabel("answers at once")
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
