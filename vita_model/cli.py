"""The `model` part of the `vita` command."""

from __future__ import annotations

import asyncio
import functools
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vita_model.evaluation.duplex_cli import duplex

if TYPE_CHECKING:
    from vita_model.engine.voice import VoiceModel
    from vita_model.serving.server import ServerConfig

EXIT_DISAGREES = 1
EXIT_BAD_SETTING = 2
EXIT_CANNOT_LISTEN = 3
EXIT_NO_CHECKPOINT = 4

_DEVICE = "Where the weights go: cpu, cuda, cuda:1, or auto for all there is."
_DTYPE = "Type of the weights, such as bfloat16; auto keeps the stored one."

app = typer.Typer(no_args_is_help=True)
app.command()(duplex)


@app.callback()
def model() -> None:
    """Serve the model that hears and speaks, and look after its weights."""


@app.command()
def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 8090,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of the weights; vita-tiny if left out.")
    ] = None,
    max_sessions: Annotated[int, typer.Option(min=1, help="Sessions served at once.")] = 8,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the key that clients must show.")
    ] = None,
    drain_s: Annotated[
        float, typer.Option(min=0, help="Seconds that running sessions get to end at shutdown.")
    ] = 30.0,
) -> None:
    """Serve a model over the OpenAI Realtime protocol."""
    from vita_model.serving.door import ListenError, open_listener
    from vita_model.serving.server import ServerConfig

    config = ServerConfig(max_sessions=max_sessions, api_key=_read_key(api_key_file))
    try:
        listener = open_listener(host, port)
    except ListenError as error:
        raise _end(str(error), EXIT_CANNOT_LISTEN) from None
    with listener:
        voice = _load(checkpoint)
        try:
            asyncio.run(_serve(voice, listener, config, drain_s))
        except ListenError as error:
            raise _end(str(error), EXIT_CANNOT_LISTEN) from None


@app.command("check-golden")
def check_golden(
    folder: Annotated[Path, typer.Argument(help="Folder with golden cases in it or below.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Compare every module with tensors that the reference implementation computed."""
    from rich.console import Console

    from vita_model.checkpoint import CheckpointError
    from vita_model.golden import report
    from vita_model.golden.run import cases_under, run_case

    try:
        outcomes = [run_case(case) for case in cases_under(folder)]
    except CheckpointError as error:
        raise _end(f"Nothing could be compared: {error}.", EXIT_NO_CHECKPOINT) from None
    if as_json:
        typer.echo(report.as_json(outcomes))
    else:
        Console().print(report.table(outcomes))
    if not all(outcome.passes for outcome in outcomes):
        raise typer.Exit(EXIT_DISAGREES)


@app.command()
def convert(
    folder: Annotated[Path, typer.Argument(help="A copy of the published repository.")],
    *,
    sums: Annotated[
        Path | None, typer.Option(help="Checksums of its files, as sha256sum writes them.")
    ] = None,
) -> None:
    """Make published weights safe and quick to load, and pin every file; verify pinned ones."""
    from vita_model import hashes
    from vita_model.checkpoint import CheckpointError
    from vita_model.convert import convert as convert_folder
    from vita_model.published import UnsupportedVariantError

    try:
        convert_folder(folder, sums=None if sums is None else hashes.read_sums(sums))
    except (CheckpointError, UnsupportedVariantError) as error:
        reason = str(error).rstrip(".")
        raise _end(f"The weights were not converted: {reason}.", EXIT_NO_CHECKPOINT) from None
    typer.echo(f"{folder} is ready; its files are pinned in {folder / hashes.SUMS_FILE}.")


@app.command()
def chat(
    text: Annotated[str, typer.Argument(help="What is asked, typed.")] = "",
    *,
    checkpoint: Annotated[Path, typer.Option(help="Folder of VITA-1.5's weights.")],
    image: Annotated[list[Path] | None, typer.Option(help="A picture; may be repeated.")] = None,
    audio: Annotated[Path | None, typer.Option(help="A recorded question.")] = None,
    video: Annotated[Path | None, typer.Option(help="A film.")] = None,
    persona: Annotated[str, typer.Option(help="Instructions of the business.")] = "",
    save: Annotated[Path | None, typer.Option(help="WAV file for the spoken answer.")] = None,
    play: Annotated[bool, typer.Option("--play", help="Play the spoken answer.")] = False,
    device: Annotated[str, typer.Option(help=_DEVICE)] = "cpu",
    dtype: Annotated[str, typer.Option(help=_DTYPE)] = "auto",
    most_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 256,
) -> None:
    """Ask the whole model one question, with pictures, sound and film."""
    if not (text or image or audio or video):
        raise _end("Nothing was asked; give a text, --audio, --image or --video.", EXIT_BAD_SETTING)
    from vita_model.ask import ask, state_line
    from vita_model.assembly import load_model, weight_type
    from vita_model.checkpoint import CheckpointError
    from vita_model.media import MediaError
    from vita_model.placement import device_named
    from vita_model.processor import ContextError, Message, VitaProcessor
    from vita_model.speech.player import PlayerError
    from vita_model.speech.speak import VoicelessError

    try:
        where, kind = device_named(device), weight_type(dtype)
        processor = VitaProcessor.from_pretrained(checkpoint)
        whole = load_model(checkpoint, device=where, dtype=kind)
    except CheckpointError as error:
        reason = str(error).rstrip(".")
        raise _end(f"The checkpoint cannot be used: {reason}.", EXIT_NO_CHECKPOINT) from None
    message = Message(text=text, images=image or (), video=video, audio=audio)
    write = functools.partial(print, end="", flush=True)
    try:
        answer = ask(
            whole,
            processor,
            message,
            write,
            persona=persona,
            save=save,
            play=play,
            most_tokens=most_tokens,
        )
    except (MediaError, ContextError, VoicelessError, PlayerError) as error:
        raise _end(str(error), EXIT_BAD_SETTING) from None
    print(f"\n{state_line(answer)}")
    if answer.seconds and save is not None:
        print(f"{answer.seconds:.1f} s of speech in {save}")


def _read_key(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        key = file.read_text().strip()
    except OSError as error:
        message = f"The key file {file} cannot be read: {error.strerror}."
        raise _end(message, EXIT_BAD_SETTING) from None
    if not key:
        raise _end(f"The key file {file} is empty; write the key into it.", EXIT_BAD_SETTING)
    return key


def _load(checkpoint: Path | None) -> VoiceModel:
    if checkpoint is not None and not checkpoint.exists():
        message = f"There is no checkpoint at {checkpoint}; give the folder of the weights."
        raise _end(message, EXIT_NO_CHECKPOINT)
    from vita_model.checkpoint import CheckpointError
    from vita_model.engine.load import load_voice_model

    try:
        return load_voice_model(checkpoint)
    except (CheckpointError, FileNotFoundError) as error:
        reason = str(error).rstrip(".")
        raise _end(f"The checkpoint cannot be used: {reason}.", EXIT_NO_CHECKPOINT) from None


async def _serve(
    voice: VoiceModel, listener: socket.socket, config: ServerConfig, drain_s: float
) -> None:
    from vita_model.serving.server import REALTIME_PATH, serving

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with serving(voice, listener, config) as server:
            host, port = listener.getsockname()[:2]
            card = voice.card
            print(f"{card.name} answers at ws://{host}:{port}{REALTIME_PATH}", flush=True)
            print(f"Licence of the weights: {card.licence}. {card.licence_note}", flush=True)
            await stop.wait()
            await server.drain(drain_s)
    finally:
        await voice.close()


def _end(message: str, code: int) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)
