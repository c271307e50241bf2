"""`vita chat`: typed turns to a model server, spoken answers back."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agent.calls.line import Line
    from agent.settings import Settings


def chat(
    text: Annotated[
        list[str] | None, typer.Argument(help="Turns to type; asked for one by one if left out.")
    ] = None,
    *,
    model_url: Annotated[
        str | None, typer.Option(help="Realtime endpoint; VITA_MODEL_URL if left out.")
    ] = None,
    line: Annotated[
        str,
        typer.Option(
            help="Number or call page of the line to speak for; the first of the file if left out."
        ),
    ] = "",
    lines: Annotated[
        Path | None, typer.Option(help="Lines file; the demonstration's own if left out.")
    ] = None,
    wav_out: Annotated[
        Path | None, typer.Option(help="Save all spoken answers to this WAV.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="JPEG or PNG shown with the first turn.")
    ] = None,
) -> None:
    """Type to a model server; read what it says, or save it as sound."""
    from agent.cli.line_choice import choose_line
    from agent.settings import load_settings

    picture = None if image is None else _data_uri(image)
    settings = load_settings(**({"model_url": model_url} if model_url else {}))
    chosen = choose_line(lines, line)
    turns = _keyboard() if not text and sys.stdin.isatty() else _given(text or sys.stdin)
    asyncio.run(_chat(settings, chosen, turns, wav_out, picture))


def _data_uri(file: Path) -> str:
    kind = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}.get(file.suffix.lower())
    if kind is None:
        raise typer.BadParameter(f"{file} is no .jpg or .png file.", param_hint="--image")
    try:
        data = base64.b64encode(file.read_bytes()).decode()
    except OSError as error:
        reason = f"{file} cannot be read: {error.strerror}."
        raise typer.BadParameter(reason, param_hint="--image") from None
    return f"data:image/{kind};base64,{data}"


async def _chat(
    settings: Settings,
    line: Line,
    turns: AsyncIterator[str],
    wav_out: Path | None,
    picture: str | None,
) -> None:
    from agent.cli.chat_session import open_chat
    from agent.tools.installed import connected_tools

    async with (
        connected_tools(settings) as (registry, _),
        open_chat(settings, line, registry.allowed(line)) as session,
    ):
        async for typed in turns:
            shown, picture = picture, None
            async for heard in session.ask(typed, shown):
                if heard.kind == "tool":
                    typer.secho(f"[{heard.text}]", fg="yellow")
                else:
                    typer.echo(heard.text, nl=False)
            typer.echo()
        if wav_out is not None:
            session.save(wav_out)
            typer.echo(f"saved {wav_out}")


async def _given(turns: Iterable[str]) -> AsyncIterator[str]:
    for turn in turns:
        if turn.strip():
            yield turn.strip()


async def _keyboard() -> AsyncIterator[str]:
    """Lines as they are typed; meanwhile the loop keeps the connection alive."""
    typed: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: typed.put_nowait(sys.stdin.readline()))
    try:
        while True:
            typer.secho("you: ", nl=False, bold=True)
            if not (line := await typed.get()):
                return
            if line.strip():
                yield line.strip()
    finally:
        loop.remove_reader(sys.stdin)
