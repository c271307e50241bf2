"""What a dead worker has left behind is taken over by one that lives on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from agent.bootstrap import build
from agent.calls.call import call_id_for
from agent.settings import load_settings
from agent.store.spool import Spool
from tests.agent.test_front_desk import CALL, Control, Leg, Runner, open_call
from tests.stores import Stores

pytestmark = pytest.mark.integration

LINES = 'lines: [{number: "+15550100", business: B, greeting: Hi}]\n'

DYING = """
import os, signal, sys, time
import numpy as np
from datetime import UTC, datetime
from pathlib import Path
from agent.pipeline.recorder import Recorder
from agent.store.recordings import part_of
from agent.store.spool import Spool, SpooledEvent
data, recording, call_id, seq = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
recorder = Recorder(recording)
for step in range(400):
    recorder.caller(step * 160, np.full(160, 12, dtype=np.int16))
while not part_of(recording).exists() or part_of(recording).stat().st_size < 4 * 32000:
    time.sleep(0.01)
spool = Spool.claim(data / "spool")
for n in range(3):
    said = {"role": "caller", "pii_text": f"word {n}", "start_ms": n, "end_ms": n + 1}
    spool.append(SpooledEvent(call_id, seq + n, datetime.now(UTC), "utterance", said))
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_a_living_worker_ships_a_dead_ones_events_and_finishes_its_recording(
    tmp_path: Path, stores: Stores, until
):
    (tmp_path / "lines.yaml").write_text(LINES)
    settings = load_settings(
        profile="test",
        data_dir=tmp_path,
        redis_url=stores.redis_url,
        database_url=stores.database_url,
        lines_file=tmp_path / "lines.yaml",
    )
    call_id = call_id_for("twilio", CALL.carrier_call_id)
    async with build(settings, runner=Runner()) as app:
        await app.desk.serve(await open_call(app, CALL), Leg(), Control())
        recording = tmp_path / "recordings" / app.desk.clock.now().strftime("%Y/%m/%d")
        recording /= f"{call_id}-7.wav"
        given = [str(tmp_path), str(recording), call_id, str(1 << 60)]
        command = [sys.executable, "-c", DYING, *given]
        died = await asyncio.to_thread(subprocess.run, command, check=False)
        assert died.returncode == -9

        async def taken_over() -> bool:
            record = await app.calls.get_call(call_id)
            return record is not None and len(record.utterances) == 4 and bool(record.recordings)

        await until(taken_over)
        record = await app.calls.get_call(call_id)
        assert record is not None
        (row,) = record.recordings
        assert (row.path, row.bytes) == (str(recording), recording.stat().st_size)
        assert row.duration_ms >= 3000
        assert await app.desk.leases.is_held(call_id) is False
    orphans = Spool.claim_orphans(tmp_path / "spool")
    assert [orphan.counts() for orphan in orphans] == [(0, 0)] * 2
    for orphan in orphans:
        orphan.close()
