from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.running import ROOT, background


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Whatever the person running the tests has set for an agent of their own is left out."""
    inherited = os.environ.items()  # noqa: TID251 - passed on to the processes under test
    return {name: value for name, value in inherited if not name.startswith("VITA_")}


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in os.environ.keys() - environment:  # noqa: TID251 - see above
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def parrot() -> Iterator[str]:
    """A model server that answers everything with the Monday hours; its URL."""
    program = [sys.executable, "-m", "tests.end_to_end.scripted_server", "We open at 9 am."]
    with background(program, "ws://") as (line, _):
        yield line[line.index("ws://") :].strip()


@pytest.fixture
def two_questions(tmp_path: Path) -> Path:
    """A manifest of two short questions, one of which the Monday hours answer."""
    recording = ROOT / "tests" / "serving" / "question.flac"
    folder = tmp_path / "callers"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"{number}.flac").write_bytes(recording.read_bytes())
    (folder / "callers.yaml").write_text(
        """
questions:
  - files: [1.flac]
    voice: one
    words: when do you open
    expect: {fact: [monday], says: opening}
  - files: [2.flac]
    voice: one
    words: how much is a cleaning
    expect: {fact: [cleaning]}
"""
    )
    return folder / "callers.yaml"
