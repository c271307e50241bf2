"""`vita bench`: measurements with their method, never a test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from agent.cli.tables import show_table
from agent.demo import CALLERS

EXIT_BAD_SETTING = 2

app = typer.Typer(no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure the product's speed on this machine."""


@app.command("model")
def model(
    *,
    parts: Annotated[
        str, typer.Option(help="Which parts, parted by commas.")
    ] = "speech,codec,audio,vision",
    dtype: Annotated[
        str, typer.Option(help="Modes beside the baseline, parted by commas.")
    ] = "float32,bfloat16,int8",
    repeats: Annotated[int, typer.Option(min=1, help="Timed calls of each mode.")] = 5,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Write the figures into this JSON file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table into this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the figures into this PNG.")] = None,
) -> None:
    """The published sizes with random weights: every mode beside a plain baseline, on one thread."""
    import torch
    from rich.progress import Progress

    from vita_model.bench import modules
    from vita_model.bench.parts import PARTS
    from vita_model.packed import FORMS

    names, modes = parts.split(","), dtype.split(",")
    forms = [form for form in FORMS if form in modes]
    if set(names) - set(PARTS) or len(forms) < len(modes):
        known = f"Parts are {', '.join(PARTS)}; modes are {', '.join(FORMS)}."
        typer.echo(known, err=True)
        raise typer.Exit(EXIT_BAD_SETTING)
    if device != "cpu" and "int8" in forms:
        forms.remove("int8")
    if device != "cpu" and not torch.cuda.is_available():
        typer.echo("There is no GPU here; leave --device out.", err=True)
        raise typer.Exit(EXIT_BAD_SETTING)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=modules.calls(names, forms, repeats))
        table = modules.measure(
            names,
            forms=forms,
            repeats=repeats,
            device=torch.device(device),
            step=lambda what: progress.update(task, advance=1, description=what),
        )
    typer.echo(modules.as_markdown(table))
    if out is not None:
        out.write_text(modules.as_json(table))
    if markdown is not None:
        markdown.write_text(modules.as_markdown(table))
    if plot is not None:
        from vita_model.bench.plot import draw

        draw(table, plot)


@app.command("load")
def load(
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of weights; random ones are written if left out.")
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.01, max=1, help="Size of random weights; 1 is 17 GB.")
    ] = 0.125,
    dtype: Annotated[
        str, typer.Option(help="Types to load the weights in, parted by commas.")
    ] = "auto,float16,float32",
    out: Annotated[Path | None, typer.Option(help="Write the figures into this JSON file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table into this file.")] = None,
) -> None:
    """Memory at its highest while weights are loaded, each time in a process of its own."""
    from vita_model.bench import load as loading
    from vita_model.checkpoint import CheckpointError

    with TemporaryDirectory() as made, Console(stderr=True).status("starting") as status:
        try:
            if checkpoint is None:
                status.update("writing random weights")
                checkpoint = loading.write_random(Path(made), share)
            found = loading.measure(checkpoint, dtype.split(","), status.update)
        except (CheckpointError, loading.UnmeasurableError) as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(EXIT_BAD_SETTING) from error
    typer.echo(loading.as_markdown(found))
    if out is not None:
        out.write_text(loading.as_json(found))
    if markdown is not None:
        markdown.write_text(loading.as_markdown(found))


@app.command("turns")
def turns(
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of the weights; vita-tiny if left out.")
    ] = None,
) -> None:
    """Hear, think and speak: wall and CPU time of turns over the demo's recordings."""
    import soundfile
    import soxr

    from vita_model.bench import turns as measuring
    from vita_model.engine.load import load_voice_model

    voice = load_voice_model(checkpoint)
    recordings = []
    for path in sorted(CALLERS.glob("*.wav")):
        samples, rate = soundfile.read(path, dtype="float32")
        recordings.append(soxr.resample(samples, rate, voice.input_rate))
    table = Table("", "wall", "CPU", "unit")
    for figure in asyncio.run(measuring.bench(voice, recordings)):
        table.add_row(figure.name, f"{figure.wall:.1f}", f"{figure.cpu:.1f}", figure.unit)
    show_table(table)


@app.command("vad")
def vad(
    *,
    sessions: Annotated[
        str, typer.Option(help="Sessions at once, parted by commas.")
    ] = "1,2,8,32,64",
) -> None:
    """The voice detector: an instance for each session, beside one for all of them."""
    import soundfile
    import soxr

    from vita_model.serving.vad import VAD_RATE

    try:
        from vita_model.bench import vad as measuring
    except ImportError:
        typer.echo("psutil is missing: pip install 'vita-agent[bench]'.", err=True)
        raise typer.Exit(EXIT_BAD_SETTING) from None
    counts = _numbers("--sessions", sessions)
    samples, rate = soundfile.read(min(CALLERS.glob("*.wav")), dtype="float32")
    memory = measuring.memory_mb()
    costs = measuring.measure(soxr.resample(samples, rate, VAD_RATE), counts)
    table = Table("sessions", "apart", "in turn", "together", "cores, each way", "difference")
    for cost in costs:
        ways = (cost.apart, cost.in_turn, cost.together)
        times, cores = [f"{way:.3f} ms" for way in ways], [f"{way:.2f}" for way in cost.cores]
        table.add_row(str(cost.sessions), *times, " / ".join(cores), f"{cost.difference:.0e}")
    show_table(table)
    typer.echo(f"CPU time for a window of 32 ms. An instance of its own takes {memory:.1f} MB.")


@app.command("server")
def server(
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of the weights; vita-tiny if left out.")
    ] = None,
    parts: Annotated[
        str, typer.Option(help="What is measured, parted by commas.")
    ] = "one-core,two-cores,sessions,interruption",
    quick: Annotated[bool, typer.Option("--quick", help="A little of everything.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file of the figures; parts in it that are not measured now stay."),
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables into this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the figures into this PNG.")] = None,
) -> None:
    """A model server over real sockets: first sound, many sessions at once, interruption."""
    import soundfile
    import soxr

    from vita_model.audio.telephone import encode
    from vita_model.bench import found as figures
    from vita_model.bench import server as measuring
    from vita_model.bench.served import server as start
    from vita_model.bench.server_report import as_markdown, draw
    from vita_model.bench.talker import WIRE_RATE, BenchError

    wanted = [part for part in parts.split(",") if part]
    if set(wanted) - set(measuring.PARTS):
        typer.echo(f"Parts are {', '.join(measuring.PARTS)}.", err=True)
        raise typer.Exit(EXIT_BAD_SETTING)
    try:
        older = figures.read(out) if out is not None and out.exists() else figures.Found()
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_BAD_SETTING) from None
    questions = []
    for path in sorted(CALLERS.glob("*.wav")):
        samples, rate = soundfile.read(path, dtype="float32")
        questions.append(encode(soxr.resample(samples, rate, WIRE_RATE), "audio/pcm"))
    plan = measuring.QUICK if quick else measuring.Plan()
    options = () if checkpoint is None else ("--checkpoint", str(checkpoint))
    with Console(stderr=True).status("starting") as status:
        work = measuring.measure(
            questions[:1] if quick else questions,
            plan,
            start(plan.most_sessions, options),
            wanted,
            status.update,
        )
        try:
            found = asyncio.run(work).beside(older)
        except* (BenchError, TimeoutError) as errors:
            reason = next(_leaves(errors))
            typer.echo(str(reason) or "The server took too long; see its log.", err=True)
            raise typer.Exit(1) from None
    typer.echo(as_markdown(found))
    if out is not None:
        figures.write(found, out)
    if markdown is not None:
        markdown.write_text(as_markdown(found) + "\n")
    if plot is not None:
        draw(found, plot)


@app.command("engines")
def engines(
    *,
    streams: Annotated[str, typer.Option(help="Answers at once, parted by commas.")] = "1,4,8,16",
    prompt: Annotated[int, typer.Option(min=1, help="Tokens of each prompt.")] = 128,
    answer: Annotated[int, typer.Option(min=2, help="Tokens of each answer.")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each of them answers.")] = 2,
    vllm: Annotated[
        bool, typer.Option("--vllm/--no-vllm", help="The vLLM engine too (extra vllm).")
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file of the figures; other numbers of answers in it stay."),
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table into this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the figures into this PNG.")] = None,
) -> None:
    """Both engines beside transformers' generate: a random model of half a billion parameters."""
    from vita_model.bench import engines as measuring
    from vita_model.bench.engines_report import as_json, as_markdown, draw, from_json, joined
    from vita_model.engine.vllm_settings import VllmMissingError

    try:
        older = None if out is None or not out.exists() else from_json(out.read_text())
    except ValueError as error:
        typer.echo(f"{out} cannot be added to: {error}.", err=True)
        raise typer.Exit(EXIT_BAD_SETTING) from None
    work = measuring.Work(_numbers("--streams", streams), prompt, answer, rounds)
    status = Console(stderr=True).status("starting")
    with TemporaryDirectory() as folder, status:
        model = measuring.random_model(measuring.HALF_BILLION)
        found: list[measuring.Contender] = []
        try:
            found.extend(measuring.contenders(model, Path(folder), work, vllm=vllm))
            table = measuring.measure(found, model.num_parameters(), work, status.update)
        except VllmMissingError as error:
            typer.echo(f"{error} --no-vllm measures the others.", err=True)
            raise typer.Exit(EXIT_BAD_SETTING) from None
        finally:
            for one in found:
                one.close()
    if older is not None:
        table = joined(table, older)
    typer.echo(as_markdown(table))
    if out is not None:
        out.write_text(as_json(table))
    if markdown is not None:
        markdown.write_text(as_markdown(table) + "\n")
    if plot is not None:
        draw(table, plot)


def _numbers(option: str, text: str) -> tuple[int, ...]:
    """Numbers parted by commas."""
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        typer.echo(f"{option} takes numbers like 1,8,64.", err=True)
        raise typer.Exit(EXIT_BAD_SETTING) from None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """What a group of errors is made of."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for each in error.exceptions:
        yield from _leaves(each)


@app.command("agent")
def agent(
    *,
    calls: Annotated[
        str, typer.Option(help="Numbers of calls at a time, parted by commas.")
    ] = "1,8,16,30",
    seconds: Annotated[float, typer.Option(min=5, help="Length of each stretch measured.")] = 20,
    plot: Annotated[Path | None, typer.Option(help="Draw the figures into this PNG.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures into this JSON file.")] = None,
) -> None:
    """Cost of a talking phone call, beside a bare Pipecat echo, against a scripted model."""
    from agent.bench.run import as_json, measure

    levels = [int(number) for number in calls.split(",")]
    console = Console()
    with console.status("starting") as status:
        found = asyncio.run(measure(levels, seconds, step=status.update))
    table = Table(
        "what", "calls", "cores per call", "frames missed", "overhead p50", "p95", "turns", "MiB"
    )
    for level in found:
        table.add_row(
            level.what,
            str(level.calls),
            f"{level.cpu_per_call:.4f}",
            f"{level.missed_share:.3%}",
            "-" if level.overhead_p50_ms is None else f"{level.overhead_p50_ms:.1f} ms",
            "-" if level.overhead_p95_ms is None else f"{level.overhead_p95_ms:.1f} ms",
            str(level.turns) if level.turns else "-",
            f"{level.rss_mib:.0f}",
        )
    show_table(table)
    if out is not None:
        out.write_text(as_json(found))
    if plot is not None:
        from agent.bench.plot import draw

        draw(found, plot)
