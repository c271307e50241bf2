"""The `vita` command."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from agent.cli import (
    audit,
    bench,
    call,
    call_out,
    calls,
    chat,
    console,
    db,
    demo,
    do_not_call,
    evaluate,
    keys,
    lines,
    model,
    serve,
    tools,
    train,
    twin,
    users,
)
from agent.errors import VitaError


class VitaGroup(TyperGroup):
    """Turns expected errors into one sentence on stderr and their exit code."""

    @override
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except VitaError as error:
            typer.echo(f"vita: {error}", err=True)
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    cls=VitaGroup,
    help="Phone lines answered aloud by a hosted VITA model.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("console")(console.console)
app.command("twin")(twin.twin)
app.command("call")(call.call)
app.command("call-out")(call_out.call_out)
app.command("chat")(chat.chat)
app.add_typer(bench.app, name="bench")
app.add_typer(calls.app, name="calls")
app.add_typer(do_not_call.app, name="do-not-call")
app.add_typer(lines.app, name="lines")
app.add_typer(tools.app, name="tools")
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(db.app, name="db")
app.command("model", context_settings=model.PASS_ON)(model.model)
app.command("train", context_settings=model.PASS_ON)(train.train)
app.command("data", context_settings=model.PASS_ON)(train.data)
app.command("eval", context_settings=model.PASS_ON)(evaluate.evaluate)
