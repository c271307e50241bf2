"""The front desk: admits calls, opens their media stream once, and sees each to its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.api import (
    Admission,
    CallControl,
    CallOutcome,
    Entrance,
    IncomingCall,
    MediaLeg,
    NextStep,
)
from agent.calls import call as calls
from agent.calls.context import CallContext, Journals
from agent.calls.line import Line
from agent.calls.line_source import LineSource
from agent.calls.live_call import LiveCall
from agent.calls.memory import Entry
from agent.calls.outbound_rules import is_machine
from agent.calls.recall import Recall, tool_runs
from agent.calls.serving import CallRunner, Serving
from agent.calls.slots import CallSlots
from agent.clock import Clock
from agent.errors import AfterHoursError, CallEndedError, SessionStoreError, VitaError
from agent.log import bound_call, get_logger
from agent.models.pool import ModelPool
from agent.session.conversation import ConversationKeeper
from agent.session.lease import Leases
from agent.session.session import CallSession, Sessions
from agent.session.tokens import StreamTokens
from agent.tools.host import ToolHost
from agent.tools.registry import ToolRegistry
from agent.tools.runner import CallToolBox
from agent.tools.tool import ToolContext

log = get_logger(__name__)

AFTER_HOURS = "after_hours"
"""How a call ends that came when the line was closed."""

SETTLE_S = 1.0
"""How long a worker gets to write how its part of a call ended, while the caller waits."""
END_SETTLE_S = 3.0
"""The same when nobody waits."""
SETTLE_STEP_S = 0.05
CLOSE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontDesk:
    """The agent's `CallDesk`. One per process."""

    lines: LineSource
    registry: ToolRegistry
    runner: CallRunner
    sessions: Sessions
    leases: Leases
    keeper: ConversationKeeper
    recall: Recall
    tokens: StreamTokens
    journals: Journals
    slots: CallSlots
    models: ModelPool
    clock: Clock
    data_dir: Path
    token_ttl_s: float
    tool_host: ToolHost = field(default_factory=ToolHost)
    _served: dict[str, Serving] = field(default_factory=dict, init=False)

    def entrance(self, to_number: str) -> Entrance:
        """What to tell a caller of a line before the call.

        Raises:
            LineNotFoundError: No line has this number or call page.
        """
        line = self.lines.find(to_number)
        return Entrance(line.business, line.disclosure, line.recording, line.video)

    @property
    def served(self) -> frozenset[str]:
        """Ids of the calls this process talks with now."""
        return frozenset(self._served)

    async def admit(self, call: IncomingCall) -> Admission:
        """Accept a call; the same carrier call again gets a fresh token for the same `call_id`.

        Raises:
            LineNotFoundError: No line has this number.
            AfterHoursError: The line is closed; the sentence is for the caller.
            CallEndedError: This carrier call has ended for good.
            CapacityError: No room for another call, here or on the model servers.
            SessionStoreError: Redis is out of reach.
            SpoolError: The local disk takes no record of the call.
        """
        line = self.lines.find(call.to_number)
        call_id = calls.call_id_for(call.carrier, call.carrier_call_id)
        known = await self.sessions.load(call_id)
        if known is None and call.direction == "inbound" and self._turns_away(line):
            await self._turn_away(call, line)
        if known is not None and not known.call.resumable:
            if known.call.reason == AFTER_HOURS:
                raise AfterHoursError(known.line.after_hours_text)
            raise CallEndedError("The call has ended.")
        self.slots.promise(call_id)
        try:
            await self.models.reserve(call_id, self.token_ttl_s)
            if known is None:
                await self._note(call, line)
            token = await self.tokens.issue(call_id, call.carrier_call_id)
        except VitaError:
            self.slots.forget(call_id)
            await self.models.release(call_id)
            raise
        return Admission(call_id=call_id, token=token, token_ttl_s=self.token_ttl_s)

    async def expect(self, call: IncomingCall, line: Line) -> str:
        """Note an outbound call that was just placed; returns its `call_id`.

        It takes no place before it is answered. A carrier that is faster is fine.

        Raises:
            SessionStoreError: Redis is out of reach.
            SpoolError: The local disk takes no record of the call.
        """
        call_id = calls.call_id_for(call.carrier, call.carrier_call_id)
        if await self.sessions.load(call_id) is None:
            await self._note(call, line)
        return call_id

    async def claim(self, token: str, carrier_call_id: str) -> str:
        """Exchange a one-use token for its `call_id`.

        Raises:
            TokenRejectedError: Unknown, expired, used, or issued for another call.
            SessionStoreError: Redis is out of reach.
        """
        return await self.tokens.claim(token, carrier_call_id)

    async def serve(self, call_id: str, leg: MediaLeg, control: CallControl) -> CallOutcome:
        """Run the call over its media leg until either side ends it.

        Whatever happens, its last state is in the journal, and slot and lease are free again.
        """
        with bound_call(call_id):
            self.slots.start(call_id)
            try:
                return await self._serve(call_id, leg, control)
            except (VitaError, calls.InvalidMoveError) as error:
                log.error("call_not_served", reason=str(error))  # noqa: TRY400 - the sentence says it
                return "failed"
            finally:
                self.slots.stop(call_id)

    async def answered_by(self, carrier: str, carrier_call_id: str, verdict: str) -> bool:
        """Who answered an outbound call; True: the carrier should hang up at once.

        Verdicts are right nine times out of ten, and late: the agent talks meanwhile.
        """
        call_id = calls.call_id_for(carrier, carrier_call_id)
        with bound_call(call_id):
            session = await self.sessions.load(call_id)
            if session is None or session.call.over:
                return False
            serving = self._served.get(call_id)
            epoch = 0 if serving else await self.leases.next_epoch(call_id)
            journal = serving.live.journal if serving else self.journals(call_id, epoch)
            journal.record("answered_by", {"verdict": verdict})
            log.info("answered_by", verdict=verdict)
            if serving is None or not is_machine(verdict):
                return is_machine(verdict)
            rules = session.line.outbound
            leave = rules is not None and rules.answering_machine == "leave_message"
            words = rules.message if rules and leave else ""
            serving.live.intents.ask_hang_up("answering machine", last_words=words)
            return False

    async def message_left(
        self, carrier: str, carrier_call_id: str, url: str, duration_s: int
    ) -> None:
        """The caller left a message with the carrier.

        Raises:
            SessionStoreError: Redis is out of reach.
            SpoolError: The local disk takes no record of it.
        """
        call_id = calls.call_id_for(carrier, carrier_call_id)
        with bound_call(call_id):
            journal = self.journals(call_id, await self.leases.next_epoch(call_id))
            journal.record("voicemail", {"url": url, "duration_s": duration_s}, durable=True)
            log.info("message_left", seconds=duration_s)

    async def ended(self, carrier: str, carrier_call_id: str, reason: str) -> None:
        """The carrier reports that the call is over; a stream that is still open is closed."""
        call_id = calls.call_id_for(carrier, carrier_call_id)
        with bound_call(call_id):
            self.slots.forget(call_id)
            serving = self._served.get(call_id)
            if serving is not None:
                serving.live.journal.record("carrier_report", {"reason": reason})
                with suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_TIMEOUT_S):
                        await serving.leg.close()
                return
            await self.models.release(call_id)
            try:
                await self._ended_unserved(call_id, reason)
            except VitaError as error:
                log.warning("end_not_recorded", reason=str(error))

    async def next_step(self, carrier: str, carrier_call_id: str, *, dialled: str = "") -> NextStep:
        """What the carrier should do now that the media stream, or a dialled person, is gone."""
        call_id = calls.call_id_for(carrier, carrier_call_id)
        with bound_call(call_id):
            try:
                session = await self._settled(call_id) or await self._recalled(call_id)
                if session is None:
                    return NextStep("hang_up")
                call = await self._come_back(session, dialled) if dialled else session.call
            except SessionStoreError as error:
                log.warning("next_step_unknown", reason=str(error))
                return NextStep("apologise")
            line = session.line
            step = calls.next_step(
                call,
                human=line.transfer_target,
                dialled=dialled,
                takes_messages=line.voicemail,
            )
            log.info("next_step", step=step.kind)
            return step

    async def _come_back(self, session: CallSession, dialled: str) -> calls.Call:
        """Note that nobody took the caller; a call that was not handed over stays as it is."""
        epoch = await self.leases.next_epoch(session.call_id)
        live = self._live(session, epoch)
        live.journal.record("transfer_failed", {"status": dialled})
        with suppress(calls.InvalidMoveError):
            await live.move(session.call.come_back(dialled, epoch))
        return live.call

    async def _note(self, call: IncomingCall, line: Line) -> CallSession:
        """Begin the session and the log of a call."""
        epoch = await self.leases.next_epoch(calls.call_id_for(call.carrier, call.carrier_call_id))
        session = CallSession(call, line, calls.Call(epoch=epoch))
        self._record_admission(session)
        await self.sessions.save(session)
        return session

    def _turns_away(self, line: Line) -> bool:
        closed = line.hours is not None and not line.hours.is_open(self.clock.now())
        return closed and line.after_hours == "say"

    async def _turn_away(self, call: IncomingCall, line: Line) -> None:
        """Log a call that comes when the line is closed, as ended.

        Raises:
            AfterHoursError: Always.
        """
        session = await self._note(call, line)
        epoch = session.call.epoch
        live = self._live(session, epoch + 1)
        await live.move(session.call.end(AFTER_HOURS, epoch=epoch + 1), durable=True)
        raise AfterHoursError(line.after_hours_text)

    async def _serve(self, call_id: str, leg: MediaLeg, control: CallControl) -> CallOutcome:
        session = await self.sessions.load(call_id)
        if session is None:
            raise SessionStoreError("The call has no session: it was admitted too long ago.")
        lease = await self.leases.take(call_id)
        live = self._live(session, lease.epoch)
        serving = Serving(live, leg, control, lease, self.leases, self.runner)
        self._served[call_id] = serving
        try:
            await live.move(live.call.connect(lease.epoch))
            earlier = await self._earlier(live)
            return await serving.run(lambda live: self._context(live, earlier))
        finally:
            if self._served.get(call_id) is serving:
                del self._served[call_id]
            with suppress(SessionStoreError):
                await self.leases.release(lease)

    def _live(self, session: CallSession, epoch: int) -> LiveCall:
        call_id = session.call_id
        memory = self.keeper.memory(call_id, epoch)
        return LiveCall(session, self.journals(call_id, epoch), self.sessions, memory)

    async def _earlier(self, live: LiveCall) -> tuple[Entry, ...]:
        """What was said on the call's streams before this one; from here on we keep it."""
        if live.call.attempt == 1:
            return ()
        earlier = await self.recall.conversation(live.session.call_id)
        live.memory.keep(earlier)
        log.info("call_taken_up", attempt=live.call.attempt, entries=len(earlier))
        return earlier

    async def _ended_unserved(self, call_id: str, reason: str) -> None:
        """Nobody here serves the call: a worker that does elsewhere ends it, else we do.

        A dead worker holds its lease for a while, but writes no end.
        """
        session = await self._settled(call_id, END_SETTLE_S)
        if session is None:
            return
        epoch = await self.leases.next_epoch(call_id)
        live = self._live(session, epoch)
        live.journal.record("carrier_report", {"reason": reason})
        if not session.call.over:
            await live.move(session.call.end(reason, epoch=epoch), durable=True)

    async def _recalled(self, call_id: str) -> CallSession | None:
        """A session that Redis has lost, as the call log knows it; it is in Redis again then."""
        session = await self.recall.session(call_id)
        if session is not None:
            log.warning("session_recalled", state=session.call.state)
            await self.leases.follow(call_id, session.call.epoch)
            await self.sessions.save(session)
        return session

    async def _settled(self, call_id: str, limit_s: float = SETTLE_S) -> CallSession | None:
        """The session once its worker has written the end, which may follow the stream's end.

        The carrier's word that the stream is over is proof enough: after `limit_s` the worker is
        taken for dead, whatever its lease says.
        """
        session: CallSession | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while True:
                    session = await self.sessions.load(call_id)
                    if session is None or session.call.over:
                        break
                    if not await self.leases.is_held(call_id):
                        break
                    await asyncio.sleep(SETTLE_STEP_S)
        return session

    def _record_admission(self, session: CallSession) -> None:
        incoming, line = session.incoming, session.line
        journal = self.journals(session.call_id, session.call.epoch)
        journal.record(
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
            durable=True,
        )
        journal.record("call_state", {"state": "admitted", "attempt": 0, "reason": ""})
        log.info(
            "call_admitted",
            call_id=session.call_id,
            line=line.entry,
            pii_from=incoming.from_number,
        )

    def _context(self, live: LiveCall, earlier: tuple[Entry, ...]) -> CallContext:
        session = live.session
        line, caller = session.line, session.incoming.from_number
        tool_context = ToolContext(
            call_id=session.call_id,
            caller_number=caller,
            line=line,
            intents=live.intents,
            data_dir=self.data_dir,
        )
        tools = CallToolBox(
            self.registry.available(line),
            tool_context,
            live.journal,
            self.clock,
            host=self.tool_host,
            earlier=tool_runs(session.call_id, earlier),
        )
        return CallContext(
            call_id=session.call_id,
            line=line,
            direction=session.incoming.direction,
            caller_number=caller,
            journal=live.journal,
            tools=tools,
            intents=live.intents,
            recording_path=self._recording_path(session) if line.recording else None,
            stills_path=self._stills_path(session) if line.keep_stills else None,
            dialled=session.call.dialled,
            earlier=earlier,
            memory=live.memory,
            model=self.models.for_call(session.call_id),
        )

    def _stills_path(self, session: CallSession) -> Path:
        day = self.clock.now().strftime("%Y/%m/%d")
        return self.data_dir / "stills" / day / f"{session.call_id}-{session.call.attempt}"

    def _recording_path(self, session: CallSession) -> Path:
        day = self.clock.now().strftime("%Y/%m/%d")
        name = f"{session.call_id}-{session.call.attempt}.wav"
        return self.data_dir / "recordings" / day / name
