"""`vita model …`: the model server's own command, loaded only when it is asked for."""

from __future__ import annotations

import importlib

import typer

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def model(context: typer.Context) -> None:
    """Run the model server: `vita model serve`."""
    command = importlib.import_module("vita_model.cli")
    command.app(args=context.args, prog_name="vita model")
