"""`vita train …` and `vita data …`: training's own commands, loaded only when they are asked for."""

from __future__ import annotations

import importlib

import typer


def train(context: typer.Context) -> None:
    """Train a model by a recipe: `vita train vita-1.5 --dry-run`."""
    command = importlib.import_module("vita_model.training.cli")
    command.app(args=context.args, prog_name="vita train")


def data(context: typer.Context) -> None:
    """Make and check training data: `vita data synth`."""
    command = importlib.import_module("vita_model.training.data_cli")
    command.app(args=context.args, prog_name="vita data")
