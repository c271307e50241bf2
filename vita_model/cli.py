"""The `model` part of the `vita` command."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vita_model import cli_keys
from vita_model.evaluation.duplex_cli import duplex

if TYPE_CHECKING:
    from vita_model.engine.vllm_settings import VllmSettings
    from vita_model.engine.voice import VoiceModel
    from vita_model.serving.key_file import Keys

EXIT_DISAGREES = 1
EXIT_BAD_SETTING = 2
EXIT_CANNOT_LISTEN = 3
EXIT_NO_CHECKPOINT = 4
EXIT_NO_ENGINE = 5

_DEVICE = "Where the weights go: cpu, cuda, cuda:1, or auto for all there is."
_ONE_DEVICE = "Where a large model runs: cpu, cuda, cuda:1, or auto for a GPU if there is one."
_AHEAD = "Hear callers while they still speak, whenever nothing else is to be done."
_BITS = "Bits of the language model's weights, for a GPU too small for all."
_FAST = "Arrange the parts that hear, see and speak for an x86 CPU, in this form."
_VLLM = "Engine vllm"
_DTYPE = "Type of the weights, such as bfloat16; auto keeps the stored one."

app = typer.Typer(no_args_is_help=True)
app.command()(duplex)
app.add_typer(cli_keys.app, name="keys")


@app.callback()
def model() -> None:
    """Serve the model that hears and speaks, and look after its weights."""


@app.command()
def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 8090,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of vita-tiny or VITA-1.5; vita-tiny if left out.")
    ] = None,
    max_sessions: Annotated[int, typer.Option(min=1, help="Sessions served at once.")] = 8,
    keys_file: Annotated[
        Path | None,
        typer.Option(
            envvar="VITA_MODEL_KEYS_FILE", help="File of keys, written by `vita model keys`."
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with one key that clients must show, as it is.")
    ] = None,
    server_keys: Annotated[
        str,
        typer.Option(
            envvar="VITA_MODEL_SERVER_KEYS",
            show_default=False,
            help="Keys that clients must show, separated by commas. Give them in the environment: "
            "an option is seen by everybody on this machine.",
        ),
    ] = "",
    memory_mib: Annotated[
        int | None, typer.Option(min=1, help="Memory the server may take, MiB; all if left out.")
    ] = None,
    stuck_s: Annotated[
        float, typer.Option(min=1, help="Seconds after which an engine without a step is given up.")
    ] = 30.0,
    drain_s: Annotated[
        float, typer.Option(min=0, help="Seconds that running sessions get to end at shutdown.")
    ] = 30.0,
    hear_ahead: Annotated[bool, typer.Option(help=_AHEAD)] = True,
    device: Annotated[str, typer.Option(help=_ONE_DEVICE)] = "cpu",
    dtype: Annotated[str, typer.Option(help=_DTYPE)] = "auto",
    bits: Annotated[Literal["int8", "int4"] | None, typer.Option(help=_BITS)] = None,
    fast: Annotated[Literal["float32", "bfloat16", "int8"] | None, typer.Option(help=_FAST)] = None,
    engine: Annotated[
        Literal["torch", "vllm"], typer.Option(help="What runs a large model's language model.")
    ] = "torch",
    language_folder: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_VLLM,
            help="Where vLLM's copy of the language model goes; `language` in the checkpoint if "
            "left out.",
        ),
    ] = None,
    tensor_parallel: Annotated[
        int, typer.Option(min=1, rich_help_panel=_VLLM, help="GPUs that share each layer.")
    ] = 1,
    pipeline_parallel: Annotated[
        int,
        typer.Option(
            min=1, rich_help_panel=_VLLM, help="Groups of GPUs that share the layers among them."
        ),
    ] = 1,
    executor: Annotated[
        Literal["mp", "ray"],
        typer.Option(
            rich_help_panel=_VLLM, help="mp for one machine, ray for those of a Ray cluster."
        ),
    ] = "mp",
    memory_share: Annotated[
        float,
        typer.Option(min=0.05, max=1, rich_help_panel=_VLLM, help="Of a GPU's memory for vLLM."),
    ] = 0.85,
    cache_mib: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=_VLLM, help="Memory of conversations, MiB; a CPU needs it."
        ),
    ] = None,
    eager: Annotated[
        bool,
        typer.Option("--eager", rich_help_panel=_VLLM, help="Start sooner, answer more slowly."),
    ] = False,
) -> None:
    """Serve a model over the OpenAI Realtime protocol."""
    from vita_model.engine.vllm_settings import VllmSettings
    from vita_model.serving.door import ListenError, open_listener
    from vita_model.serving.run import run_server
    from vita_model.serving.server import ServerConfig

    config = ServerConfig(
        max_sessions=max_sessions,
        keys=_read_keys(keys_file, api_key_file, server_keys),
        memory_limit=None if memory_mib is None else memory_mib << 20,
        stuck_after=stuck_s,
        hears_ahead=hear_ahead,
    )
    vllm = VllmSettings(
        language_folder or (checkpoint or Path()) / "language",
        answers=2 * max_sessions,
        tensor_parallel=tensor_parallel,
        pipeline_parallel=pipeline_parallel,
        executor=executor,
        memory_share=memory_share,
        cache_bytes=None if cache_mib is None else cache_mib << 20,
        eager=eager,
    )
    if engine == "torch" and vllm != VllmSettings(vllm.folder, answers=vllm.answers):
        message = "The options of engine vllm are set for another; add --engine vllm or drop them."
        raise _end(message, EXIT_BAD_SETTING)
    try:
        listener = open_listener(host, port)
    except ListenError as error:
        raise _end(str(error), EXIT_CANNOT_LISTEN) from None
    with listener:
        chosen = vllm if engine == "vllm" else None
        voice = _load(checkpoint, device=device, dtype=dtype, bits=bits, fast=fast, vllm=chosen)
        try:
            asyncio.run(run_server(voice, listener, config, drain_s))
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
    bits: Annotated[Literal["int8", "int4"] | None, typer.Option(help=_BITS)] = None,
    fast: Annotated[Literal["float32", "bfloat16", "int8"] | None, typer.Option(help=_FAST)] = None,
    most_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 256,
) -> None:
    """Ask the whole model one question, with pictures, sound and film."""
    if not (text or image or audio or video):
        raise _end("Nothing was asked; give a text, --audio, --image or --video.", EXIT_BAD_SETTING)
    _check_there(checkpoint)
    from vita_model.ask import ask, state_line
    from vita_model.assembly import load_model
    from vita_model.checkpoint import CheckpointError
    from vita_model.media import MediaError
    from vita_model.placement import device_named, weight_type
    from vita_model.processor import ContextError, Message, VitaProcessor
    from vita_model.published import UnsupportedVariantError
    from vita_model.speech.player import PlayerError
    from vita_model.speech.speak import VoicelessError

    try:
        where, kind = device_named(device), weight_type(dtype)
        processor = VitaProcessor.from_pretrained(checkpoint)
        whole = load_model(checkpoint, device=where, dtype=kind, fast=fast, bits=bits)
    except (CheckpointError, UnsupportedVariantError) as error:
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


@app.command()
def wer(
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of the weights; vita-tiny if left out.")
    ] = None,
    voice: Annotated[
        list[str] | None, typer.Option(help="slt, kokoro-f or kokoro-m; may be repeated.")
    ] = None,
    line: Annotated[bool, typer.Option("--line", help="Over a telephone line with noise.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Measure how rightly callers are written down: word and character error rates."""
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    try:
        from vita_model.evaluation.asr import measure
        from vita_model.evaluation.asr_set import READERS, readings
    except ImportError as error:
        message = f"A package is missing ({error}); pip install 'vita-agent[eval]'."
        raise _end(message, EXIT_BAD_SETTING) from None

    chosen = voice or list(READERS)
    if unknown := [name for name in chosen if name not in READERS]:
        known = ", ".join(READERS)
        raise _end(f"There is no voice {unknown[0]}; there are {known}.", EXIT_BAD_SETTING)
    model = _load(checkpoint)
    try:
        found = [
            (name, score)
            for name in chosen
            for score in asyncio.run(measure(model, readings(name, line=line)))
        ]
    except (ImportError, FileNotFoundError) as error:
        message = f"A voice is missing ({error}); pip install 'vita-agent[eval]' and install flite."
        raise _end(message, EXIT_BAD_SETTING) from None
    if as_json:
        typer.echo(json.dumps([{"voice": name} | asdict(score) for name, score in found]))
        return
    table = Table("voice", "way", "utterances", "word errors", "character errors")
    for name, score in found:
        rates = (f"{100 * errors.rate:.1f} %" for errors in (score.words, score.characters))
        table.add_row(name, score.way, str(score.utterances), *rates)
    Console().print(table)


def _read_keys(file: Path | None, plain_file: Path | None, given: str) -> Keys | None:
    """All keys that count; None when none are wanted, and everybody may come in."""
    if file is None and plain_file is None and not given.strip():
        return None
    from vita_model.serving.key_file import KeyFile, KeyFileError, Keys
    from vita_model.serving.keys import plain_key

    secrets = [part.strip() for part in given.split(",") if part.strip()]
    if plain_file is not None:
        secrets.append(_read_key(plain_file))
    fixed = [plain_key(f"given {number}", secret) for number, secret in enumerate(secrets, 1)]
    try:
        return Keys(fixed, None if file is None else KeyFile(file))
    except KeyFileError as error:
        raise _end(str(error), EXIT_BAD_SETTING) from None


def _read_key(file: Path) -> str:
    try:
        key = file.read_text().strip()
    except OSError as error:
        message = f"The key file {file} cannot be read: {error.strerror}."
        raise _end(message, EXIT_BAD_SETTING) from None
    if not key:
        raise _end(f"The key file {file} is empty; write the key into it.", EXIT_BAD_SETTING)
    return key


def _load(
    checkpoint: Path | None,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    bits: Literal["int8", "int4"] | None = None,
    fast: Literal["float32", "bfloat16", "int8"] | None = None,
    vllm: VllmSettings | None = None,
) -> VoiceModel:
    if checkpoint is not None:
        _check_there(checkpoint)
    from vita_model.checkpoint import CheckpointError
    from vita_model.engine.engine import EngineStoppedError
    from vita_model.engine.load import load_voice_model
    from vita_model.engine.vllm_settings import VllmMissingError
    from vita_model.published import UnsupportedVariantError

    try:
        return load_voice_model(
            checkpoint, device=device, dtype=dtype, bits=bits, fast=fast, vllm=vllm
        )
    except VllmMissingError as error:
        raise _end(str(error), EXIT_BAD_SETTING) from None
    except EngineStoppedError as error:
        raise _end(str(error), EXIT_NO_ENGINE) from None
    except (CheckpointError, UnsupportedVariantError, FileNotFoundError) as error:
        reason = str(error).rstrip(".")
        raise _end(f"The checkpoint cannot be used: {reason}.", EXIT_NO_CHECKPOINT) from None


def _check_there(checkpoint: Path) -> None:
    if not checkpoint.exists():
        message = f"There is no checkpoint at {checkpoint}; give the folder of the weights."
        raise _end(message, EXIT_NO_CHECKPOINT)


def _end(message: str, code: int) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)
