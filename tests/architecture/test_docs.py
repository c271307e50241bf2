"""The documents as a site."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.architecture

ROOT = Path(__file__).parents[2]


def test_the_site_is_built_without_a_warning_and_has_what_the_code_says(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page, says in {
        "reference/settings.html": "VITA_METRICS_TOKEN",
        "reference/line-keys.html": "after_hours_text",
        "reference/metrics.html": "va_turn_latency_seconds",
        "reference/errors.html": "session_store_unavailable",
        "decisions/index.html": "0016-applied-lines.html",
        "model-card.html": "training.html",
        "first-call.html": "/twilio/voice",
    }.items():
        assert says in (tmp_path / page).read_text(encoding="utf-8"), page


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [file.name[:4] for file in (ROOT / "docs" / "decisions").glob("0*.md")]
    assert len(set(numbers)) == len(numbers) > 50
    for file in (ROOT / "docs" / "decisions").glob("0*.md"):
        assert file.read_text(encoding="utf-8").startswith(f"# {int(file.name[:4])}."), file.name
