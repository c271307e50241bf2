"""What a person sees of a call on the terminal: progress, conversation, log, verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table

from agent.calls.repository import CallRecord
from agent.demo.conversation import Speaker, Told
from agent.demo.verdict import Check, Verdict

COLOURS: dict[Speaker, str] = {
    "caller": "bright_blue",
    "agent": "green",
    "tool": "yellow",
    "note": "bright_black",
}


class Screen:
    """Writes to the terminal, or plain lines where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def title(self, text: str) -> None:
        """Begin a part."""
        self._console.print()
        self._console.print(
            Rule(f"[bold]{escape(text)}[/bold]", align="left", style="bright_black")
        )

    def say(self, text: str) -> None:
        """One line; may hold markup. It is not broken, so it can be copied."""
        self._console.print(text, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show that something is being started, and how long it took."""
        began = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(f"starting {what} …"):
                yield
        else:
            yield
        took = time.monotonic() - began
        self.say(f"  [green]✓[/green] {what}  [bright_black]{took:.1f} s[/bright_black]")

    def told(self, told: Told) -> None:
        """One line of the conversation."""
        colour = COLOURS[told.who]
        clock = "" if told.at_ms is None else f"{told.at_ms // 60000}:{told.at_ms // 1000 % 60:02d}"
        line = Table.grid(padding=(0, 1))
        line.add_column(width=5, justify="right", style="bright_black")
        line.add_column(width=7, style=f"bold {colour}")
        line.add_column(ratio=1)
        latency = ""
        if told.latency_ms is not None:
            latency = f"  [bright_black]after {told.latency_ms} ms[/bright_black]"
        who = "" if told.who == "note" else told.who
        text = escape(told.text)
        if told.who in ("note", "tool"):
            text = f"[{colour}]{text}[/{colour}]"
        line.add_row(clock, who, text + latency)
        self._console.print(line, highlight=False)

    def stored_call(self, record: CallRecord) -> None:
        """The call as the log has it."""
        call = record.call
        seconds = (call.ended_at - call.started_at).total_seconds() if call.ended_at else 0
        self.say(
            f"  call {call.id}\n"
            f"  {escape(call.business or '')} {call.to_number}, called by {call.pii_from_number}, "
            f"{call.started_at:%Y-%m-%d %H:%M:%S} UTC, {seconds:.0f} s, "
            f"{call.state} ({call.end_reason.replace('_', ' ')})"
        )
        table = Table(box=None, padding=(0, 1, 0, 1), header_style="bright_black")
        for column in ("from", "to", "who", "what"):
            table.add_column(column, justify="right" if column in ("from", "to") else "left")
        for who, start, end, text in _rows(record):
            colour = COLOURS[who]
            table.add_row(start, end, f"[{colour}]{who}[/{colour}]", escape(text))
        self._console.print(table, highlight=False)
        self.say(f"  {len(record.events)} events in all")
        waits = [event.payload["latency_ms"] for event in record.events if event.kind == "turn"]
        if waits:
            self.say(
                f"  first sound of an answer {median(waits):.0f} ms after the caller's turn "
                f"(median of {len(waits)}; slowest {max(waits)} ms)"
            )

    def verdict(self, verdict: Verdict) -> None:
        """Every check, and what came of it."""
        for check in (*verdict.answers, *verdict.others):
            self._check(check)
        colour = "green" if verdict.right >= verdict.needed else "red"
        self.say(
            f"  [{colour}]{verdict.right} of {len(verdict.answers)} answers right[/{colour}] "
            f"({verdict.needed} needed)"
        )
        if verdict.failures:
            self._console.print(
                Panel(
                    "\n".join(f"• {escape(failure)}" for failure in verdict.failures),
                    title="what failed",
                    border_style="red",
                    title_align="left",
                )
            )

    def _check(self, check: Check) -> None:
        marks = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "[yellow]–[/yellow]"}
        self.say(f"  {marks[check.passed]} {escape(check.name)}")
        if check.detail and check.passed is not True:
            self.say(f"      [bright_black]{escape(check.detail)}[/bright_black]")

    def files(self, **paths: Path) -> None:
        """Where things were written."""
        for what, path in paths.items():
            self.say(f"  {what:<10} {escape(_short(path))}")


def _rows(record: CallRecord) -> list[tuple[Speaker, str, str, str]]:
    """Who, from and to in seconds, and what: everything said and done, in the log's order."""
    rows: list[tuple[int, tuple[Speaker, str, str, str]]] = []
    for line in record.utterances:
        who: Speaker = "caller" if line.role == "caller" else "agent"
        times = (f"{line.start_ms / 1000:.1f}", f"{line.end_ms / 1000:.1f}")
        rows.append((line.seq, (who, *times, line.pii_text)))
    for use in record.tools:
        text = f"{use.tool} {use.pii_arguments} → {use.pii_result}"
        rows.append((use.seq, ("tool", "", "", text)))
    return [row for _, row in sorted(rows)]


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
