"""kill -9 of one of two model servers while it answers: its calls go on with the other one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.model_failover import killed

pytestmark = pytest.mark.end_to_end


async def test_calls_of_a_killed_model_server_go_on_with_the_other_one(tmp_path: Path) -> None:
    _, before, after = await killed(tmp_path, 2)
    # How long callers wait is measured by `python -m tests.end_to_end.model_failover`.
    assert before == [1, 1]
    assert after == [-1, 2]
