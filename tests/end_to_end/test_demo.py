"""The demonstration as it ships: real model, real call, nothing from outside."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest
import yaml
from PIL import Image

from agent.demo import CALLERS, DEMO_LINES
from tests.end_to_end.running import vita

pytestmark = pytest.mark.end_to_end


@pytest.mark.timeout(400)
def test_the_demonstration_works(tmp_path: Path, environment: dict[str, str]) -> None:
    # Whatever asks for something outside gets nothing.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:1")
    env = environment | nowhere | {"no_proxy": "127.0.0.1", "HF_HUB_OFFLINE": "1"}
    done = vita("demo", "--data-dir", tmp_path, env=env)
    assert done.code == 0, done.out + done.err
    right = re.search(r"(\d) of 7 answers right", done.out)
    assert right is not None
    assert int(right[1]) >= 5
    (memory,) = re.findall(r"memory +(\d+) MiB", done.out)
    assert int(memory) < 2048
    (picture,) = tmp_path.glob("recordings/**/*.png")
    with Image.open(picture) as image:
        assert image.width == 1600
    with sqlite3.connect(tmp_path / "calls.db") as log:
        tools = log.execute("SELECT tool, pii_arguments, status FROM tool_invocations").fetchall()
        kinds = {kind for (kind,) in log.execute("SELECT DISTINCT kind FROM call_events")}
    given = {tool: json.loads(arguments) for tool, arguments, status in tools if status == "ok"}
    assert given, "at least one of the two tool questions is among the right ones"
    assert {"call_admitted", "utterance", "turn", "recording", "call_state"} <= kinds


@pytest.mark.timeout(300)
def test_other_opening_hours_are_spoken_when_the_lines_file_says_so(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    document = yaml.safe_load(DEMO_LINES.read_text())
    facts = document["lines"][0]["facts"]
    hours = next(number for number, fact in enumerate(facts) if "Monday" in fact)
    facts[hours] = "Open Monday to Friday: 7 am to 3 pm"
    lines, manifest = tmp_path / "lines.yaml", tmp_path / "callers.yaml"
    lines.write_text(yaml.safe_dump(document))
    questions = yaml.safe_load((CALLERS / "callers.yaml").read_text())["questions"][:1]
    for name in questions[0]["files"]:
        (tmp_path / name).write_bytes((CALLERS / name).read_bytes())
    manifest.write_text(yaml.safe_dump({"questions": questions}))
    options = ("--lines", lines, "--callers", manifest, "--data-dir", tmp_path / "data")
    done = vita("demo", *options, env=environment)
    assert done.code == 0, done.out + done.err
    with sqlite3.connect(tmp_path / "data" / "calls.db") as log:
        (said,) = log.execute("SELECT group_concat(pii_text) FROM utterances WHERE role = 'agent'")
    assert re.search(r"\b(7|seven)\b", said[0])
