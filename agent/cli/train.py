"""`vita train …`: training's own command, loaded only when it is asked for."""

from __future__ import annotations

import importlib

import typer


def train(context: typer.Context) -> None:
    """Train a model by a recipe: `vita train vita-1.5 --dry-run`."""
    command = importlib.import_module("vita_model.training.cli")
    command.app(args=context.args, prog_name="vita train")
