"""`vita eval`: asks a model what it should be able to do, and writes the report."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from vita_model.evaluation.claim_cli import WORK as CLAIM
from vita_model.evaluation.claim_cli import claim
from vita_model.evaluation.cli_ends import EXIT_CANNOT, EXIT_STOPPED, end

if TYPE_CHECKING:
    from vita_model.evaluation.claim.section import ClaimSection
    from vita_model.evaluation.suite import Suite

SEED = 1


class Size(StrEnum):
    """How many items."""

    SMALL = "small"
    FULL = "full"


class _ModelOrCommand(TyperGroup):
    """What is no command's name is a model's."""

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["model", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_ModelOrCommand, no_args_is_help=True)
app.command()(claim)


@app.command("model")
def evaluate(
    model: Annotated[str, typer.Argument(help="vita-tiny, or the folder of its weights.")],
    *,
    suite: Annotated[
        list[str] | None, typer.Option(help="Only this suite; may be repeated.")
    ] = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            help="A speech corpus too: LAYOUT=FOLDER, such as librispeech=…/test-clean; or voicebench=…"
        ),
    ] = None,
    size: Annotated[
        Size, typer.Option(help="All items, or some of each for a first look.")
    ] = Size.FULL,
    count: Annotated[int | None, typer.Option(min=1, help="Items of each suite at most.")] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder of rows and report.", show_default="var/eval/NAME")
    ] = None,
    clips: Annotated[
        Path, typer.Option(help="Folder where voices that were read are kept for other runs.")
    ] = Path("var/eval/clips"),
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Ask nothing; write the report of the rows.")
    ] = False,
) -> None:
    """Measure a model suite by suite. Stopped at any time, it goes on where it was."""
    import asyncio

    from rich.console import Console

    from vita_model.evaluation import report
    from vita_model.evaluation.progress import showing
    from vita_model.evaluation.run import ask_all
    from vita_model.evaluation.store import Run
    from vita_model.evaluation.suite import EvaluationError
    from vita_model.tiny import FOLDER

    folder = FOLDER if model == "vita-tiny" else Path(model)
    try:
        chosen = _chosen(suite or [], corpus or [])
        about = {"model": model, "weights": _fingerprint(folder), "seed": SEED}
        run = Run(work or Path("var/eval") / folder.name, about)
        if not report_only:
            voice = _load(folder)
            with showing() as show:
                small = size is Size.SMALL
                asyncio.run(ask_all(voice, chosen, run, count, show, small=small, clips=clips))
            asyncio.run(voice.close())
        written = report.write(run, chosen, _claim(run.folder))
    except EvaluationError as error:
        raise end(str(error), EXIT_CANNOT) from None
    except KeyboardInterrupt:
        raise end("Stopped; the same command goes on.", EXIT_STOPPED) from None
    Console().print(report.terminal(written.sections))
    typer.echo(f"Report: {written.page}")


def _suites() -> dict[str, Callable[[], Suite[Any]]]:
    from vita_model.evaluation.suites.agent import AgentSuite
    from vita_model.evaluation.suites.duplex import DuplexSuite
    from vita_model.evaluation.suites.hearing import HearingSuite
    from vita_model.evaluation.suites.latency import LatencySuite
    from vita_model.evaluation.suites.markers import MarkerSuite
    from vita_model.evaluation.suites.people import PeopleSuite
    from vita_model.evaluation.suites.pictures import PictureSuite
    from vita_model.evaluation.suites.speech import SpeechSuite

    return {
        "agent": lambda: AgentSuite(SEED),
        "hearing": HearingSuite,
        "people": PeopleSuite,
        "markers": lambda: MarkerSuite(SEED),
        "speech": lambda: SpeechSuite(SEED),
        "pictures": lambda: PictureSuite(SEED),
        "duplex": DuplexSuite,
        "latency": lambda: LatencySuite(SEED),
    }


def _chosen(names: list[str], corpora: list[str]) -> list[Suite[Any]]:
    from vita_model.evaluation.people import FOLDER
    from vita_model.evaluation.suite import EvaluationError
    from vita_model.evaluation.suites.hearing import CorpusSuite
    from vita_model.evaluation.suites.people import PeopleSuite
    from vita_model.evaluation.suites.voicebench import VoiceBenchSuite
    from vita_model.evaluation.voicebench.records import subsets

    known = _suites()
    for name in names:
        if name not in known:
            raise EvaluationError(f"There is no suite {name!r}; there are {', '.join(known)}.")
    wanted = names or ([] if corpora else list(known))
    if not names and not FOLDER.is_dir() and "people" in wanted:
        typer.echo(
            "Without recordings of people: apt install asterisk-core-sounds-en-wav.", err=True
        )
        wanted.remove("people")
    found: list[Suite[Any]] = [known[name]() for name in wanted]
    for text in corpora:
        layout, _, folder = text.partition("=")
        if not folder:
            raise EvaluationError(f"{text!r} names no folder; write --corpus LAYOUT=FOLDER.")
        if layout == "people":
            found.append(PeopleSuite(Path(folder)))
        elif layout == "voicebench":
            found += [VoiceBenchSuite(Path(folder), name) for name in subsets(Path(folder))]
        else:
            found.append(CorpusSuite(layout, Path(folder)))
    return found


def _claim(folder: Path) -> ClaimSection | None:
    """The paper's claim, if `vita eval claim` has been run beside this folder or in its usual one."""
    from vita_model.evaluation.claim.run import finished
    from vita_model.evaluation.claim.section import section

    for work in (folder.parent / CLAIM.name, CLAIM):
        if work.is_dir():
            return section(finished(work), folder)
    return None


def _fingerprint(folder: Path) -> str:
    """Checksum of the weights, so that rows of different ones are never mixed."""
    from vita_model.checkpoint import CheckpointError
    from vita_model.evaluation.suite import EvaluationError
    from vita_model.hashes import sha256

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise EvaluationError(f"There are no weights in {folder}; give their folder.")
    try:
        return " ".join(sha256(file) for file in files)
    except CheckpointError as error:
        raise EvaluationError(str(error)) from error


def _load(folder: Path) -> Any:
    from vita_model.checkpoint import CheckpointError
    from vita_model.engine.load import load_voice_model
    from vita_model.evaluation.suite import EvaluationError

    try:
        return load_voice_model(folder)
    except (CheckpointError, FileNotFoundError) as error:
        raise EvaluationError(f"The weights cannot be used: {error}") from error


if __name__ == "__main__":
    app(prog_name="vita eval")
