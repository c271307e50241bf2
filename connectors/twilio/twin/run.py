"""Runs one call from placing to its last status report."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from connectors.twilio.twin.call import OVER, Status, TwinCall
from connectors.twilio.twin.executor import Executor
from connectors.twilio.twin.line import Line
from connectors.twilio.twin.twiml import Document, TwimlError, parse
from connectors.twilio.twin.webhooks import WebhookError
from connectors.twilio.twin.world import Callee, Fetch, Inline, Instruction, Order, Report, World

MAX_DOCUMENTS = 50
"""Documents one call may go through; a redirect loop ends there."""

_EVENTS: dict[Status, str] = {
    "initiated": "initiated",
    "ringing": "ringing",
    "in-progress": "answered",
    **dict.fromkeys(OVER, "completed"),
}

_UNANSWERED: dict[str, Status] = {"busy": "busy", "reject": "busy", "no_answer": "no-answer"}


@dataclass(frozen=True, slots=True)
class Dialled:
    """An outbound call: who is called, and how."""

    callee: Callee
    order: Order


class CallRun:
    """The life of one call. `redirect` and `complete` interrupt it from outside."""

    def __init__(
        self, call: TwinCall, world: World, first: Instruction, dialled: Dialled | None = None
    ) -> None:
        """`dialled` is about an outbound call; None for an inbound one."""
        self.call = call
        self._world = world
        self._first = first
        self._dialled = dialled
        self._line = Line(call.caller, call.recorder, call.timeline)
        self._reports: asyncio.Queue[Report | None] = asyncio.Queue()
        self._executor = Executor(call, self._line, world, self._reports.put_nowait)
        self._documents = 0
        self._performing: asyncio.Task[Instruction | None] | None = None
        self._redirected: Instruction | None = None
        self._verdict: Status | None = None
        self._interrupted = asyncio.Event()
        self._report_count = 0

    async def run(self) -> None:
        """Live the whole call."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._report(), name=f"{self.call.sid}.report")
                live = group.create_task(self._live(), name=f"{self.call.sid}.live")
                cut = group.create_task(self._interrupted.wait(), name=f"{self.call.sid}.cut")
                await asyncio.wait({live, cut}, return_when=asyncio.FIRST_COMPLETED)
                live.cancel()
                cut.cancel()
                await asyncio.wait({live})
                over = "completed" if live.cancelled() else live.result()
                self._become(self._verdict or over)
                await self._tell_what_was_left()
                self._reports.put_nowait(None)
        finally:
            if not self.call.is_over:  # the twin itself is closing
                self.call.become("failed")
            self.call.settle()

    async def _tell_what_was_left(self) -> None:
        left = self._executor.left_behind
        if left is None:
            return
        try:
            await self._fetch(left, {})
        except (TwimlError, WebhookError) as error:
            self.call.timeline.add("warning", code=error.code, reason=str(error))

    def redirect(self, instruction: Instruction) -> None:
        """Drop what is being performed and go on with this."""
        self._redirected = instruction
        if self._performing is not None:
            self._performing.cancel()

    def complete(self, status: Status) -> None:
        """End the call from the carrier's side."""
        self._verdict = status
        self._interrupted.set()

    async def _live(self) -> Status:
        """Ring, answer, follow instructions; returns the final state."""
        first = self._first
        if self._dialled is None:
            self._become("ringing")
            document = await self._read(first)
            if document is None:
                return "failed"
            if document.verbs and document.verbs[0].name == "Reject":
                self.call.timeline.add("verb", name="Reject", **document.verbs[0].attributes)
                reason = document.verbs[0].attributes.get("reason", "rejected")
                return "busy" if reason == "busy" else "failed"
            self._become("in-progress")
        else:
            await asyncio.sleep(self.call.queue_s)
            self._become("initiated")
            self._become("ringing")
            callee, order = self._dialled.callee, self._dialled.order
            await asyncio.sleep(min(callee.ring_s, order.ring_limit_s))
            if callee.ring_s > order.ring_limit_s:
                return "no-answer"
            if callee.policy != "answer":
                return _UNANSWERED[callee.policy]
            self._become("in-progress")
            document = None
        async with asyncio.TaskGroup() as group:
            watches = self._watch_outbound(group)
            line = group.create_task(self._line.run(), name=f"{self.call.sid}.line")
            instruction: Instruction | None = first
            while instruction is not None:
                self._performing = group.create_task(self._perform(instruction, document))
                await asyncio.wait({self._performing, line}, return_when=asyncio.FIRST_COMPLETED)
                if line.done():
                    self._hang_up_caller()
                    self._performing.cancel()
                    break
                instruction = self._next(self._performing)
                document = None
            line.cancel()
            for watch in watches:
                watch.cancel()
        return "completed"

    def _watch_outbound(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """What goes on beside an answered outbound call."""
        if self._dialled is None:
            return []
        watches = [group.create_task(self._limit_time(self._dialled.order.time_limit_s))]
        if self._dialled.order.amd_url:
            watches.append(group.create_task(self._detect_machine(self._dialled)))
        return watches

    async def _limit_time(self, limit_s: float) -> None:
        await asyncio.sleep(limit_s)
        self.complete("completed")

    async def _detect_machine(self, dialled: Dialled) -> None:
        """Tell who answered; nothing waits for it."""
        await asyncio.sleep(dialled.callee.verdict_s)
        self.call.answered_by = dialled.callee.answered_by
        fields = {
            "CallSid": self.call.sid,
            "AccountSid": self._world.account.sid,
            "AnsweredBy": self.call.answered_by,
            "MachineDetectionDuration": str(round(dialled.callee.verdict_s * 1000)),
        }
        try:
            await self._world.dialer.send("POST", dialled.order.amd_url, fields, self.call.timeline)
        except WebhookError as error:
            self.call.timeline.add("warning", code=error.code, reason=str(error))

    def _next(self, performed: asyncio.Task[Instruction | None]) -> Instruction | None:
        redirected, self._redirected = self._redirected, None
        if redirected is not None or performed.cancelled():
            return redirected
        return performed.result()

    def _hang_up_caller(self) -> None:
        self.call.timeline.add("caller", hung_up=True, gave_up=self.call.gave_up)

    async def _perform(
        self, instruction: Instruction, document: Document | None
    ) -> Instruction | None:
        """Perform one document, read already or not; returns what follows."""
        document = document or await self._read(instruction)
        if document is None:
            return None
        base_url = instruction.url if isinstance(instruction, Fetch) else ""
        try:
            return await self._executor.run(document, base_url)
        except TwimlError as error:
            self.call.timeline.add("error", code=error.code, reason=str(error))
            return None

    async def _read(self, instruction: Instruction) -> Document | None:
        """The document of an instruction; None, with the error noted, when there is none."""
        self._documents += 1
        if self._documents > MAX_DOCUMENTS:
            self.call.timeline.add("error", code=12205, reason="documents without end")
            return None
        try:
            if isinstance(instruction, Inline):
                return parse(instruction.twiml.encode(), "text/xml")
            return await self._fetch(instruction, {})
        except (TwimlError, WebhookError) as error:
            self.call.timeline.add("error", code=error.code, reason=str(error))
            return None

    async def _fetch(self, instruction: Fetch, error: dict[str, str]) -> Document:
        """The document at an address, or at its fallback."""
        fields = self.call.fields(self._world.account.sid) | instruction.fields | error
        try:
            reply = await self._world.dialer.ask(
                instruction.method, instruction.url, fields, self.call.timeline
            )
            return parse(reply.body, reply.content_type)
        except (TwimlError, WebhookError) as failed:
            if not instruction.fallback_url:
                raise
            self.call.timeline.add("warning", code=failed.code, reason=str(failed))
            about = {"ErrorCode": str(failed.code), "ErrorUrl": instruction.url}
            return await self._fetch(Fetch(instruction.fallback_url), about)

    def _become(self, status: Status) -> None:
        """Enter a state and report it to whoever asked for that."""
        self.call.become(status)
        event = _EVENTS.get(status, "")
        if not self.call.status_url or event not in self.call.status_events:
            return
        fields = self.call.fields(self._world.account.sid) | {
            "SequenceNumber": str(self._report_count),
            "Timestamp": format_datetime(datetime.now(UTC)),
            "CallbackSource": "call-progress-events",
        }
        if status in OVER:
            seconds = self.call.duration_s
            fields |= {"CallDuration": str(seconds), "Duration": str((seconds + 59) // 60)}
        self._report_count += 1
        self._reports.put_nowait(Report(self.call.status_url, fields))

    async def _report(self) -> None:
        """Send status reports one after the other, unless told to do it wrong."""
        kept: list[Report] = []
        faults = self._world.faults
        while (report := await self._reports.get()) is not None:
            if faults.status_order == "reversed":
                kept.insert(0, report)
            else:
                await self._send_report(report)
        for report in kept:
            await self._send_report(report)

    async def _send_report(self, report: Report) -> None:
        await asyncio.sleep(self._world.faults.status_delay_s)
        for _ in range(self._world.faults.status_copies):
            try:
                await self._world.dialer.send("POST", report.url, report.fields, self.call.timeline)
            except WebhookError as error:
                self.call.timeline.add("warning", code=error.code, reason=str(error))
