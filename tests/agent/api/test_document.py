from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import errors
from agent.calls.call import call_id_for
from tests.agent.api.served import Served, served_api
from tests.agent.api.test_api import Worker
from tests.agent.supervisor.book import said
from tests.agent.supervisor.test_recordings import write_wav

pytestmark = pytest.mark.integration

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"


@pytest.fixture
def api(tmp_path: Path, redis_url: str) -> Iterator[Served]:
    with served_api(tmp_path, redis_url, None) as served:
        yield served


def test_every_request_of_the_document_works_as_written(api: Served, tmp_path: Path):
    call_id = call_id_for("twilio", "CA-document")
    wav = tmp_path / "recordings" / "call.wav"
    write_wav(wav)
    recording = {
        "path": str(wav),
        "sha256": hashlib.sha256(wav.read_bytes()).hexdigest(),
        "bytes": wav.stat().st_size,
        "duration_ms": 1000,
    }
    told = said(1, "caller", "Are you open on Monday, or Saturday? It's 555-123-4567.")
    api.do(api.book.write(call_id, told, (2, "recording", recording)))
    worker = Worker(api, "CA-document")
    worker.begin()
    worker.end()

    blocks = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    script = "".join(block for block in blocks if "curl" in block)
    script = re.sub(r"^export .*\n", "", script, flags=re.M)
    count = len(re.findall(r"^curl ", script, re.M))
    assert count > 15
    program = f'curl() {{ command curl -sS --fail-with-body --noproxy "*" "$@"; echo; }}\n{script}'
    environment = {
        "PATH": os.defpath,
        "KEY": api.tokens["admin"],
        "API": f"{api.url}/api/v1",
        "CALL": call_id,
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-600:]}\n{done.stderr}"
    for shown in ('"hit":true', "event: end", '"state":"placed"', '"total":', "call.reveal"):
        assert shown in done.stdout, shown
    assert (tmp_path / "call.wav").read_bytes() == wav.read_bytes()
    assert len((tmp_path / "start.wav").read_bytes()) == 100


def test_the_document_names_codes_that_exist():
    table = DOCUMENT.read_text().split("| status | code |")[1].split("\n\n")[0]
    named = {
        code: int(row.split("|")[1])
        for row in table.splitlines()[2:]
        for code in re.findall(r"`(\w+)`", row.split("|")[2])
    }
    known = {each.code: each.http_status for each in _subclasses(errors.VitaError)}
    known |= {"method_not_allowed": 405, "too_large": 413, "no_such_part": 416}
    assert named.items() <= known.items()


def _subclasses(kind: type[errors.VitaError]) -> Iterator[type[errors.VitaError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)
