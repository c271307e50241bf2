"""A call that runs now, as a worker shows it: session, list of running calls, journal and live feed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.api import IncomingCall
from agent.calls.call import Call
from agent.calls.line import Line
from agent.clock import SystemClock
from agent.session.live import LiveFeed
from agent.session.live_calls import LiveCallList
from agent.session.session import CallSession, Sessions
from agent.session.store import SessionStore
from agent.store.engine import Database
from agent.store.journal import CallJournal
from agent.store.shipper import Shipper
from agent.store.spool import Spool
from agent.tasks import TaskOwner


class RunningCall:
    """One running call. What `record` takes goes to the log and to who follows it."""

    def __init__(self, session: CallSession, sessions: Sessions, journal: CallJournal) -> None:
        self._session = session
        self._sessions = sessions
        self.journal = journal
        self.call_id = session.call_id

    async def admit(self) -> None:
        incoming, line = self._session.incoming, self._session.line
        await self._sessions.save(self._session)
        self.journal.record(
            "call_admitted",
            {
                "carrier": incoming.carrier,
                "carrier_call_id": incoming.carrier_call_id,
                "direction": incoming.direction,
                "to": incoming.to_number,
                "pii_from": incoming.from_number,
                "line_version": line.version(),
                "line": line.model_dump(mode="json"),
            },
        )
        for state in ("admitted", "connected", "in_progress"):
            self.journal.record("call_state", {"state": state, "attempt": 1, "reason": ""})
        call = Call().connect(1).begin()
        await self._sessions.save(self._session.at(call))

    def say(self, role: str, text: str, start_ms: int, **more: Any) -> None:
        end_ms = start_ms + 60 * len(text)
        payload = {"role": role, "pii_text": text, "start_ms": start_ms, "end_ms": end_ms, **more}
        self.journal.record("utterance", payload)

    def hear(self, role: str, text: str) -> None:
        caption = {"role": role, "item_id": f"{role}-1", "pii_text": text, "final": False}
        self.journal.show("caption", caption)

    def end(self, reason: str) -> None:
        self.journal.record("call_state", {"state": "ended", "attempt": 1, "reason": reason})


class Switchboard:
    """Starts calls, and keeps them on the list while they run."""

    def __init__(self, store: SessionStore, spool: Spool, live: LiveFeed) -> None:
        self._store = store
        self._spool = spool
        self._live = live
        self._running: set[str] = set()

    async def call(self, line: Line, caller: str, key: str) -> RunningCall:
        incoming = IncomingCall("twilio", key, line.entry, caller)
        session = CallSession(incoming, line, Call())
        journal = CallJournal(
            session.call_id, 1, spool=self._spool, live=self._live, clock=SystemClock()
        )
        running = RunningCall(session, Sessions(self._store), journal)
        await running.admit()
        self._running.add(running.call_id)
        await LiveCallList(self._store).renew(self._running)
        return running

    async def hang_up(self, call: RunningCall) -> None:
        call.end("caller_hung_up")
        self._running.discard(call.call_id)
        await LiveCallList(self._store).remove([call.call_id])

    async def keep(self) -> None:
        await LiveCallList(self._store).keep(lambda: self._running)


@asynccontextmanager
async def switchboard(
    redis_url: str, database: Database, folder: Path
) -> AsyncIterator[Switchboard]:
    """A worker's part in calls that a console is to see."""
    store = SessionStore(redis_url, budget_s=5.0)
    spool = Spool.claim(folder / "spool")
    live = LiveFeed(store)
    shipper = Shipper(spool, database)
    board = Switchboard(store, spool, live)
    try:
        async with TaskOwner("switchboard") as tasks:
            _ = tasks.spawn(live.run(), name="live")
            _ = tasks.spawn(shipper.run(), name="shipper")
            _ = tasks.spawn(board.keep(), name="keep")
            await asyncio.sleep(0)
            yield board
            await live.flush()
            await shipper.stop(10)
    finally:
        spool.close()
        await store.close()
