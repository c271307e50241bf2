"""The journal of one call, as one writer keeps it: every event goes to the spool and the live view."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from agent.clock import Clock
from agent.log import get_logger
from agent.metrics import CallMeter
from agent.session.live import LiveFeed
from agent.store.spool import Spool, SpooledEvent, SpoolError
from agent.transcripts.events import KINDS, LIVE_KINDS

log = get_logger(__name__)

EVENTS_PER_EPOCH = 1 << 20


class CallJournal:
    """Numbers a call's events and stores them.

    A writer's epoch is the upper part of its sequence numbers: two writers of one call never use
    the same number, and those of a later writer are always higher.
    """

    def __init__(
        self, call_id: str, epoch: int, *, spool: Spool, live: LiveFeed, clock: Clock
    ) -> None:
        self._call_id = call_id
        self._next = epoch * EVENTS_PER_EPOCH
        self._spool = spool
        self._live = live
        self._clock = clock
        self._guard = threading.Lock()
        self._meter = CallMeter()

    def record(self, kind: str, payload: Mapping[str, Any], *, durable: bool = False) -> int:
        """Append an event and return its sequence number.

        An event that is not durable is lost, with a log line, when the disk does not take it.

        Raises:
            ValueError: `kind` is none of `KINDS`.
            SpoolError: A durable event was not taken.
        """
        if kind not in KINDS:
            raise ValueError(f"unknown kind of event: {kind}")
        with self._guard:
            seq = self._next
            self._next += 1
        at = self._clock.now()
        try:
            self._spool.append(SpooledEvent(self._call_id, seq, at, kind, payload), durable=durable)
        except SpoolError:
            if durable:
                raise
            log.exception("event_lost", kind=kind, seq=seq)
        self._live.publish(self._call_id, seq, kind, at, payload)
        self._meter.saw(kind, payload)
        return seq

    def show(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Show something to who follows the call live; it is not kept.

        Raises:
            ValueError: `kind` is none of `LIVE_KINDS`.
        """
        if kind not in LIVE_KINDS:
            raise ValueError(f"unknown kind of live event: {kind}")
        self._live.publish(self._call_id, 0, kind, self._clock.now(), payload)
