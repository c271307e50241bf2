"""`vita tools …`: the installed tools, and what their authors need."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from agent.cli.tables import show_table
from agent.errors import ConfigurationError
from agent.log import configure_logging
from agent.settings import load_settings

if TYPE_CHECKING:
    from agent.calls.line import Line
    from agent.tools.checks import Finding
    from agent.tools.registry import ToolRegistry
    from agent.tools.tool import Tool

app = typer.Typer(help="Look at tools, check them, try them.", no_args_is_help=True)

Plugin = Annotated[
    str | None,
    typer.Option(help="A file or module with tools that are not installed yet."),
]


@app.command("list")
def list_tools() -> None:
    """Show every installed tool, and every plugin that failed with its reason."""
    configure_logging(level="CRITICAL")
    registry, away = asyncio.run(_everything())
    names = Column("tool", no_wrap=True)
    table = Table(
        names, "from", "arguments", "what it does", Column("effect", no_wrap=True), "limit"
    )
    for tool in sorted(registry, key=lambda tool: tool.name):
        table.add_row(
            tool.name,
            tool.source,
            _arguments(tool),
            tool.description,
            tool.effect,
            f"{tool.timeout_s:g} s",
        )
    console = Console()
    show_table(table)
    for failure in registry.failures:
        console.print(f"failed: {failure}", style="red", markup=False, soft_wrap=True)
    for name, reason in away.items():
        text = f"away: the MCP server {name}: {reason}"
        console.print(text, style="red", markup=False, soft_wrap=True)


async def _everything() -> tuple[ToolRegistry, dict[str, str]]:
    """Plugins and the tools of MCP servers; why a server is away, by its name."""
    from agent.tools.installed import connected_tools

    async with connected_tools(load_settings()) as (registry, servers):
        away = {server.config.name: server.failure for server in servers if server.failure}
        return registry, away


@app.command("validate")
def validate(
    plugin: Annotated[
        str | None,
        typer.Argument(help="A file, a module or an installed plugin; all plugins if left out."),
    ] = None,
    *,
    sample: Annotated[
        list[str] | None,
        typer.Option(help="NAME={…}: run this tool, for real, with these arguments."),
    ] = None,
) -> None:
    """Check that tools keep to the contract. Exit code 1 when one does not."""
    from agent.tools.checks import check_definition, check_run
    from agent.tools.host import ToolHost

    configure_logging(level="CRITICAL")
    registry = _registry(plugin)
    secrets = load_settings().tool_secrets()
    host = ToolHost(secrets)
    findings = [found for tool in registry for found in check_definition(tool, host)]
    with TemporaryDirectory() as folder:
        for text in sample or []:
            name, _, arguments = text.partition("=")
            run = check_run(registry.get(name), _object(arguments), Path(folder), secrets)
            findings += asyncio.run(run)
    for failure in registry.failures:
        typer.secho(f"error    {failure}", fg="red")
    _show(findings)
    errors = [found for found in findings if found.level == "error"]
    if errors or registry.failures:
        raise typer.Exit(1)
    names = ", ".join(sorted(tool.name for tool in registry))
    typer.secho(f"fine: {names}", fg="green")


@app.command("try")
def try_one(
    name: Annotated[str, typer.Argument(help="The tool.")],
    arguments: Annotated[str, typer.Argument(help="Its arguments, a JSON object.")] = "{}",
    *,
    line: Annotated[str | None, typer.Option(help="Number of the line that was called.")] = None,
    lines: Annotated[
        Path | None, typer.Option(help="Lines file; VITA_LINES_FILE if left out.")
    ] = None,
    caller: Annotated[str, typer.Option(help="Number of the caller.")] = "+15550123",
    plugin: Plugin = None,
) -> None:
    """Run a tool as a call would, for real, and show its answer. Exit code 1 when it fails."""
    from agent.tools.installed import connected_tools
    from agent.tools.testing import EXAMPLE_LINE, ToolCall

    configure_logging(level="ERROR")
    settings = load_settings()
    given = _object(arguments)
    secrets = settings.tool_secrets()
    called = _line(line, lines or settings.lines_file) if line else EXAMPLE_LINE

    async def run() -> Any:
        if plugin:
            return await in_a_call(_registry(plugin).get(name))
        async with connected_tools(settings) as (registry, _):
            return await in_a_call(registry.get(name))

    async def in_a_call(tool: Tool) -> Any:
        call = ToolCall(
            settings.data_dir,
            caller_number=caller,
            line=called,
            secrets=secrets,
        )
        try:
            return await call.run(tool, given)
        finally:
            await call.close()

    trial = asyncio.run(run())
    Console().print_json(json.dumps(trial.answer, ensure_ascii=False))
    if trial.intents.hang_up:
        typer.echo(f"then the call is ended: {trial.intents.reason}")
    if trial.intents.transfer_to:
        typer.echo(f"then the caller is put through to {trial.intents.transfer_to}")
    failed = isinstance(trial.answer, dict) and "error" in trial.answer
    if trial.status != "ok" or failed:
        typer.secho(f"it {trial.status}", fg="red", err=True)
        raise typer.Exit(1)


@app.command("new")
def new(
    folder: Annotated[Path, typer.Argument(help="Folder of the new package; its name is used.")],
) -> None:
    """Write a small package with one tool, a test and instructions."""
    from agent.tools.scaffold import write_package

    for path in write_package(folder):
        typer.echo(path)
    typer.echo(f"next: cd {folder}, then follow README.md")


def _registry(plugin: str | None) -> ToolRegistry:
    from agent.tools.plugin import load_plugin
    from agent.tools.registry import ToolRegistry

    return load_plugin(plugin) if plugin else ToolRegistry.discover()


def _arguments(tool: Tool) -> str:
    parameters = tool.spec()["parameters"]
    required = parameters.get("required", [])
    names = [name if name in required else f"{name}?" for name in parameters.get("properties", {})]
    return ", ".join(names) or "-"


def _object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"The arguments are not JSON ({error}): {text}") from error
    if not isinstance(given, dict):
        raise ConfigurationError('The arguments are a JSON object, such as {"name": "Ann"}.')
    return given


def _line(number: str, path: Path | None) -> Line:
    """The line of a file, or the one that was applied."""
    from agent.calls.line_source import load_lines
    from agent.cli.lines import applied_line

    return load_lines(path).find(number) if path else applied_line(number)


def _show(findings: list[Finding]) -> None:
    for found in sorted(findings, key=lambda found: (found.tool, found.level)):
        colour = "red" if found.level == "error" else "yellow"
        typer.secho(f"{found.level:8} {found.tool}: {found.sentence}", fg=colour)
