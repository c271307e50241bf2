"""One of two model servers ends while it answers: its calls go on with the other one."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.end_to_end.model_failover import ended

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)])
async def test_calls_of_a_server_that_ends_go_on_with_the_other_one(
    tmp_path: Path, how: signal.Signals, code: int
) -> None:
    # How long callers wait is measured by `python -m tests.end_to_end.model_failover`.
    _, returned = await ended(tmp_path, 2, how)
    assert returned == code
