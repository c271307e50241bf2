"""`vita eval …`: evaluation's own command, loaded only when it is asked for."""

from __future__ import annotations

import importlib

import typer


def evaluate(context: typer.Context) -> None:
    """Measure what a model can do: `vita eval vita-tiny`."""
    command = importlib.import_module("vita_model.evaluation.cli")
    command.app(args=context.args, prog_name="vita eval")
