"""`vita eval claim`: tries the paper's claim in a small world, and writes it down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vita_model.evaluation.cli_ends import EXIT_CANNOT, EXIT_STOPPED, end

WORK = Path("var/eval/claim")


def claim(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each way of training.")] = 4,
    work: Annotated[Path, typer.Option(help="Folder of weights, figures and report.")] = WORK,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Train nothing; write the report there is for.")
    ] = False,
) -> None:
    """Three-stage training against adding speech at once and against training all together.

    A seed takes about twelve minutes of one core. Stopped at any time, it goes on where it was.
    """
    from rich.console import Console

    from vita_model.evaluation import report
    from vita_model.evaluation.claim.progress import showing
    from vita_model.evaluation.claim.run import (
        Setting,
        StoppedError,
        finished,
        one_thread,
        run_arms,
    )
    from vita_model.evaluation.claim.section import section
    from vita_model.evaluation.claim.sounds import lexicon
    from vita_model.evaluation.suite import EvaluationError

    try:
        if not report_only:
            one_thread()
            with showing() as show:
                words = lexicon(work / "lexicon.npz")
                run_arms(Setting(words, work, report=show), range(1, seeds + 1))
        found = section(finished(work), work)
    except EvaluationError as error:
        raise end(str(error), EXIT_CANNOT) from None
    except (StoppedError, KeyboardInterrupt):
        raise end("Stopped; the same command goes on.", EXIT_STOPPED) from None
    except FileNotFoundError as error:
        message = f"The words cannot be read aloud ({error}); install espeak-ng and flite."
        raise end(message, EXIT_CANNOT) from None
    page = report.write_claim(work, found)
    for sentence in found.told:
        Console().print(sentence)
    typer.echo(f"Report: {page}")
