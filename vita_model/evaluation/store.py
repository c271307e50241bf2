"""Rows of a run, kept as they come: a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from vita_model.evaluation.figures import Row
from vita_model.evaluation.suite import EvaluationError

ABOUT = "run.json"


class Run:
    """A folder with the rows of one model: `rows/SUITE.jsonl`, `files/`, `run.json`."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Opens the folder, new or begun.

        Raises:
            EvaluationError: It holds rows of another model or seed.
        """
        self.folder = folder
        self.about = dict(about)
        try:
            (folder / "rows").mkdir(parents=True, exist_ok=True)
            file = folder / ABOUT
            if not file.exists():
                file.write_text(json.dumps(self.about, indent=2), encoding="utf-8")
                return
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EvaluationError(f"The folder {folder} cannot be used: {error}") from error
        for name in ("weights", "seed"):
            if found.get(name) != self.about.get(name):
                raise EvaluationError(
                    f"{folder} holds rows of another model or seed ({name} differs); "
                    "choose another folder with --work or remove it."
                )

    def _file(self, suite: str) -> Path:
        return self.folder / "rows" / f"{suite}.jsonl"

    def suites(self) -> list[str]:
        """Suites with rows."""
        return sorted(path.stem for path in (self.folder / "rows").glob("*.jsonl"))

    def rows(self, suite: str) -> list[Row]:
        """All rows of a suite so far. A last line cut off by a crash is left out."""
        file = self._file(suite)
        if not file.exists():
            return []
        rows: dict[str, Row] = {}
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                row = Row.from_dict(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                if number == len(lines):
                    break
                message = f"{file}, line {number} is no row; remove the line."
                raise EvaluationError(message) from error
            rows[row.key] = row
        return list(rows.values())

    def add(self, suite: str, row: Row) -> None:
        """Keep one more row."""
        text = json.dumps(row.as_dict(), ensure_ascii=False) + "\n"
        with self._file(suite).open("ab+") as out:
            out.truncate(_whole(out))
            out.write(text.encode())


def _whole(file: BinaryIO) -> int:
    """Bytes of the lines that are whole: a crash may have cut the last one."""
    file.seek(0)
    content = file.read()
    return content.rfind(b"\n") + 1
