"""The `vita` command as a person runs it: a process of its own, without a terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    code: int
    out: str
    err: str


def command(*arguments: str | Path) -> list[str]:
    program = "from agent.cli.main import app; app()"
    return [sys.executable, "-c", program, *map(str, arguments)]


def vita(
    *arguments: str | Path, env: dict[str, str] | None = None, limit_s: float = 240
) -> Outcome:
    done = subprocess.run(
        command(*arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=limit_s,
        cwd=ROOT,
        env=env,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def background(arguments: list[str], says: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A program that runs meanwhile, from the first line that holds `says` on."""
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if says in line:
                break
        else:
            raise AssertionError(f"it ended: {''.join(seen)}")
        yield line, process
    finally:
        process.terminate()
        process.communicate(timeout=30)
