"""Which line of a file a command is about."""

from __future__ import annotations

from pathlib import Path

from agent.calls.line import Line
from agent.calls.line_source import load_lines
from agent.demo import DEMO_LINES
from agent.errors import ConfigurationError


def choose_line(file: Path | None, wanted: str = "", *, by_phone: bool = False) -> Line:
    """The line a person named, or the first one that will do.

    Args:
        file: The lines file; the demonstration's when None.
        wanted: The line's number, or the name of its call page; any line will do when empty.
        by_phone: The line has to have a number.

    Raises:
        ConfigurationError: The file cannot be read, or the line has no number.
        LineNotFoundError: The file has no such line.
    """
    path = file or DEMO_LINES
    book = load_lines(path)
    if wanted:
        page = wanted if wanted.startswith("web:") else f"web:{wanted}"
        chosen = [each for each in book if page in each.addresses] or [book.find(wanted)]
    else:
        chosen = [each for each in book if each.number or not by_phone]
    if not chosen or (by_phone and not chosen[0].number):
        whose = f"The line {wanted} in {path} has no" if wanted else f"No line in {path} has a"
        raise ConfigurationError(
            f'{whose} number to call: add one such as `number: "+15550100"` to try it by '
            "telephone. Its call page is called from a browser, by `vita serve`."
        )
    return chosen[0]
