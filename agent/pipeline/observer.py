"""Writes what happens in a call to its journal, with the latency of every turn."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from agent.api import Still
from agent.calls.context import Journal
from agent.calls.outbound_rules import number_hash
from agent.errors import VitaError
from agent.log import get_logger
from agent.pipeline.captions import Captions
from agent.pipeline.effects import CallerHeard, CallerSaid
from agent.pipeline.playback import Reply
from agent.pipeline.timeline import CallTime
from agent.store.recordings import Recording

log = get_logger(__name__)


class CallObserver:
    """Told by the parts of a pipeline what they did."""

    def __init__(self, journal: Journal, time: CallTime, captions: Captions) -> None:
        self._journal = journal
        self._time = time
        self._captions = captions
        self._turn_end_ms: int | None = None
        self._latency_ms: int | None = None
        self._metadata: dict[str, str] | None = None

    def caller_started(self, at_ms: int) -> None:
        """The caller began to speak `at_ms` into the call."""
        self._captions.caller_started(at_ms)

    def caller_heard(self, heard: CallerHeard) -> None:
        """The model has understood some words of a turn."""
        self._captions.caller_heard(heard)

    def turn_ended(self, at_ms: int) -> None:
        """The caller's turn ended `at_ms` into the call; an answer is due from here on."""
        self._turn_end_ms = at_ms
        self._latency_ms = None
        self._metadata = None

    def first_audio(self) -> None:
        """The first piece of a reply left for the caller."""
        if self._turn_end_ms is not None and self._latency_ms is None:
            self._latency_ms = self._time.ms() - self._turn_end_ms
            self._record_turn()

    def reply_ended(self, metadata: Mapping[str, str]) -> None:
        """The model has finished a response that was not noise."""
        if self._turn_end_ms is not None:
            self._metadata = dict(metadata)
            self._record_turn()

    def _record_turn(self) -> None:
        if self._latency_ms is None or self._metadata is None:
            return
        self._journal.record("turn", {"latency_ms": self._latency_ms, "metadata": self._metadata})
        log.info("turn_answered", latency_ms=self._latency_ms)
        self._turn_end_ms = None

    def noise(self, metadata: Mapping[str, str]) -> None:
        """The model took a sound of the caller for noise."""
        at_ms = self._time.ms() if self._turn_end_ms is None else self._turn_end_ms
        self._journal.record("noise", {"at_ms": at_ms, "metadata": dict(metadata)})
        self._captions.noise()
        self._turn_end_ms = None

    def caller_said(self, said: CallerSaid) -> None:
        """The words of a turn are known."""
        self._captions.caller_said(said)
        self._journal.record(
            "utterance",
            {
                "role": "caller",
                "pii_text": said.text,
                "start_ms": said.start_ms,
                "end_ms": said.end_ms,
            },
        )

    def typed(self, text: str) -> None:
        """The caller wrote instead of speaking."""
        now_ms = self._time.ms()
        self.caller_said(CallerSaid(text, now_ms, now_ms))

    def reply_heard(self, replies: Iterable[Reply]) -> None:
        """Playback of these replies has gone on."""
        for reply in replies:
            self._captions.reply_heard(reply, final=False)

    def reply_over(self, reply: Reply, *, interrupted: bool = False) -> None:
        """The caller has heard a reply to its end, or up to an interruption."""
        text = reply.book.text.strip()
        if not text and reply.first_sent_at is None:
            return
        self._captions.reply_heard(reply, final=True)
        start_ms = self._time.ms(reply.first_sent_at)
        self._journal.record(
            "utterance",
            {
                "role": "agent",
                "pii_text": text,
                "pii_heard": reply.book.heard_text().strip(),
                "start_ms": start_ms,
                "end_ms": start_ms + reply.book.heard_ms,
                "interrupted": interrupted,
            },
        )

    def interrupted(self, heard_ms: int) -> None:
        """The caller spoke over a reply."""
        self._journal.record("interruption", {"at_ms": self._time.ms(), "heard_ms": heard_ms})

    def digit(self, digit: str) -> None:
        """The caller pressed a key."""
        self._journal.record("digit", {"pii_digit": digit, "at_ms": self._time.ms()})

    def model_link(
        self, state: Literal["connected", "lost", "resumed", "gone"], detail: str = ""
    ) -> None:
        """The connection to the model server changed."""
        self._journal.record("model_link", {"state": state, "detail": detail})
        log.info("model_link", state=state, detail=detail)

    def disclosed(
        self, about: Literal["assistant", "recording"], text: str, *, heard: bool
    ) -> None:
        """What the caller has a right to know was said."""
        payload = {
            "about": about,
            "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "at_ms": self._time.ms(),
            "heard": heard,
        }
        self._record_durably("disclosure", payload)

    def do_not_call(self, number: str) -> None:
        """The other side asked not to be called."""
        if number:
            payload = {"number_hash": number_hash(number), "at_ms": self._time.ms()}
            self._record_durably("do_not_call", payload)

    def _record_durably(self, kind: str, payload: Mapping[str, object]) -> None:
        """A disk that takes nothing is logged; the call goes on."""
        try:
            self._journal.record(kind, payload, durable=True)
        except VitaError as error:
            log.error("not_recorded", kind=kind, reason=str(error))  # noqa: TRY400 - expected

    def silence(self, act: Literal["hold", "reprompt", "give_up"]) -> None:
        """A silence was broken."""
        self._journal.record("silence", {"act": act, "at_ms": self._time.ms()})
        log.info("silence_broken", act=act)

    def hung_up(self, reason: str) -> None:
        """The agent ended the call."""
        self._journal.record("hang_up", {"reason": reason, "at_ms": self._time.ms()})

    def transfer(self, target: str, reason: str) -> None:
        """The caller is handed over."""
        self._journal.record("transfer", {"target": target, "reason": reason})

    def recording(self, recording: Recording) -> None:
        """The recording is closed."""
        self._journal.record(
            "recording",
            {
                "path": str(recording.path),
                "sha256": recording.sha256,
                "bytes": recording.size,
                "duration_ms": recording.duration_ms,
            },
        )

    def still(self, still: Still, path: Path, sha256: str, at_ms: int) -> None:
        """A picture that was shown to the model is kept."""
        self._journal.record(
            "still",
            {
                "path": str(path),
                "sha256": sha256,
                "bytes": len(still.jpeg),
                "width": still.width,
                "height": still.height,
                "at_ms": at_ms,
            },
        )

    def fault(self, code: str, message: str) -> None:
        """Something went wrong that a person may want to look at."""
        self._journal.record("fault", {"code": code, "message": message})
        log.warning("call_fault", code=code, reason=message)
