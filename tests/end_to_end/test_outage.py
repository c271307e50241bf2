"""Stores that go away under running calls: the callers hear nothing of it, and nothing is lost.

`python -m tests.end_to_end.outage` does the same for longer, with more calls, and prints figures.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from tests.end_to_end.outage import away, measure, site
from tests.stores import Postgres

pytestmark = pytest.mark.end_to_end


async def test_calls_go_on_while_stores_are_away(tmp_path: Path, postgres: Postgres) -> None:
    async with site(tmp_path, postgres) as there:
        await there.call(2)
        await there.answered(1)
        before = [ms for call in there.calls for ms in call.heard.answer_delays_ms]
        async with away(there, "database"):
            await there.call(1)  # a new call is taken meanwhile
            await there.answered(2)
        for what in ("redis-killed", "redis-frozen"):
            async with away(there, what):
                await there.answered(1)
        with redis.Redis.from_url(there.redis.url) as client:
            client.flushall()
            for part in ("lease", "call", "ctx"):
                await there.until(lambda part=part: len(list(client.keys(f"va:{part}:*"))) == 3)
        await there.end()
        figures = await measure(there, before)
        assert there.turns_logged() >= figures.turns
    assert (figures.affected, figures.lost) == (0, 0)
    assert figures.turns >= 3 * 4
    assert "event_set_aside" not in there.agent.log.read_text()
