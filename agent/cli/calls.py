"""`vita calls …`: the call log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.cli.supervising import Services, ask
from agent.cli.tables import show_table, terminal
from agent.supervisor.views import CallDetails, CallFilter, EventView, SearchHit

app = typer.Typer(help="Look into the call log.", no_args_is_help=True)

Reveal = Annotated[
    bool, typer.Option("--reveal", help="Show personal data; that you looked is kept.")
]


@app.command("list")
def list_calls(
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    number: Annotated[str, typer.Option(help="Only calls to this line.")] = "",
    text: Annotated[str, typer.Option(help="Only calls in which these words were said.")] = "",
    reveal: Reveal = False,
) -> None:
    """Show the newest calls."""
    which = CallFilter(line=number, text=text)
    page = ask(
        lambda services: services.calls.list(services.actor, which, limit=limit, reveal=reveal)
    )
    if not page.items:
        typer.echo("There are no such calls." if number or text else "There are no calls yet.")
        return
    table = Table("call", "started (UTC)", "line", "from", "state", "seconds")
    table.columns[0].no_wrap = table.columns[2].no_wrap = True
    for call in page.items:
        seconds = "-"
        if call.ended_at:
            seconds = f"{(call.ended_at - call.started_at).total_seconds():.0f}"
        table.add_row(
            call.id,
            f"{call.started_at:%Y-%m-%d %H:%M:%S}",
            call.line or "-",
            call.caller or "-",
            f"{call.state} {call.outcome}".strip(),
            seconds,
        )
    show_table(table)


@app.command("show")
def show_call(
    call_id: Annotated[str, typer.Argument(help="Id from `vita calls list`.")],
    *,
    reveal: Reveal = False,
) -> None:
    """Show what was said and done in one call."""

    async def look(services: Services) -> tuple[CallDetails, Sequence[EventView]]:
        details = await services.calls.get(services.actor, call_id, reveal=reveal)
        return details, await services.calls.events(services.actor, call_id)

    details, events = ask(look)
    _print(details, events, terminal())


@app.command("search")
def search_calls(
    words: Annotated[list[str], typer.Argument(help="Words that were said, all of them.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    number: Annotated[str, typer.Option(help="Only calls to this line.")] = "",
    reveal: Reveal = False,
) -> None:
    """Find what was said, newest first.

    A phrase goes in quotes of its own, '"opening hours"'; the beginning of a word ends with *.
    """
    page = ask(
        lambda services: services.search.find(
            services.actor, " ".join(words), line=number, limit=limit, reveal=reveal
        )
    )
    if not page.items:
        typer.echo("Nobody said that.")
        return
    table = Table("call", "said (UTC)", "at", "by", "words")
    table.columns[0].no_wrap = True
    for hit in page.items:
        at = f"{hit.start_ms // 60000}:{hit.start_ms // 1000 % 60:02}"
        table.add_row(hit.call_id, f"{hit.at:%Y-%m-%d %H:%M:%S}", at, hit.role, _marked(hit))
    show_table(table)


def _marked(hit: SearchHit) -> str:
    return "".join(
        f"[bold]{escape(part.text)}[/bold]" if part.hit else escape(part.text)
        for part in hit.snippet
    )


def _print(details: CallDetails, events: Sequence[EventView], console: Console) -> None:
    call = details.summary
    console.print(f"[bold]{call.business or call.line}[/bold] {call.state} {call.outcome}")
    happened = [(line.seq, f"{line.role}: {line.text}") for line in details.utterances]
    happened += [
        (tool.seq, f"tool {tool.tool}({tool.arguments}) {tool.status}: {tool.result}")
        for tool in details.tools
    ]
    happened += [
        (event.seq, f"recording {event.payload['path']}")
        for event in events
        if event.kind == "recording"
    ]
    for _, text in sorted(happened):
        console.print(escape(text))
    console.print(f"{len(events)} events")
