"""Performs TwiML verbs on an answered call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import urljoin, urlsplit

import numpy as np

from agent import mulaw
from agent.errors import BadAudioError
from connectors.twilio.twin.audio import Pcm, load_audio, spoken_ms, tone
from connectors.twilio.twin.call import Status, TwinCall
from connectors.twilio.twin.caller import ScriptedCaller
from connectors.twilio.twin.ears import PROMPT_END, Attendant, Person, Tape
from connectors.twilio.twin.line import Line
from connectors.twilio.twin.media import MediaStream
from connectors.twilio.twin.playout import Playout
from connectors.twilio.twin.twiml import Document, Element, TwimlError
from connectors.twilio.twin.webhooks import Method, WebhookError
from connectors.twilio.twin.world import HUMAN, Fetch, Policy, Recording, Report, World

HANG_UP: Final = "hang_up"
Next = Fetch | Literal["hang_up"] | None
"""Another document, the end of the call, or the next verb."""

DEFAULT_RING_LIMIT_S = 30.0
DEFAULT_GATHER_TIMEOUT_S = 5.0
BEEP_MS = 400

_BEFORE_ANSWER: Final[tuple[Status, ...]] = ("initiated", "ringing")
_LEG_EVENTS: dict[str, str] = {
    "initiated": "initiated",
    "ringing": "ringing",
    "in-progress": "answered",
}

_DIAL_STATUS: dict[Policy, Status] = {
    "answer": "completed",
    "busy": "busy",
    "reject": "busy",
    "no_answer": "no-answer",
}


class Executor:
    """Performs documents on one line."""

    def __init__(
        self, call: TwinCall, line: Line, world: World, report: Callable[[Report], None]
    ) -> None:
        self._call = call
        self._line = line
        self._world = world
        self._report = report
        self._base_url = ""
        self.left_behind: Fetch | None = None
        """What is still to be told when a caller hangs up while leaving a message."""

    async def run(self, document: Document, base_url: str) -> Fetch | None:
        """Perform the verbs in order.

        Args:
            document: What to do.
            base_url: Where it came from; empty for TwiML given inline.

        Returns:
            The document to go on with; None to hang up.

        Raises:
            TwimlError: 15004 or 11100, an address that cannot be used.
        """
        self._base_url = base_url
        for warning in document.warnings:
            self._call.timeline.add("warning", code=12200, reason=warning)
        for verb in document.verbs:
            self._call.timeline.add(
                "verb", name=verb.name, text=verb.text.strip(), **verb.attributes
            )
            then = await self._perform(verb)
            if then == HANG_UP:
                return None
            if isinstance(then, Fetch):
                return then
        return None

    async def _perform(self, verb: Element) -> Next:
        then: Next = None
        match verb.name:
            case "Say" | "Play" | "Pause":
                await self._play(await self._sound(verb))
            case "Gather":
                then = await self._gather(verb)
            case "Redirect":
                then = Fetch(self._url(verb.text), _method(verb))
            case "Dial":
                then = await self._dial(verb)
            case "Record":
                then = await self._record(verb)
            case "Connect":
                then = await self._connect(verb)
            case _:  # Hangup; Reject on a call that is answered already
                then = HANG_UP
        return then

    def _url(self, address: str) -> str:
        """The absolute form of an address in the document."""
        url = urljoin(self._base_url, address.strip()) if self._base_url else address.strip()
        parts = urlsplit(url)
        if not parts.scheme:
            raise TwimlError(15004, f"{url!r} is relative, and the document has no address")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TwimlError(11100, f"{url!r} is not an http address")
        return url

    def _action(self, verb: Element, **fields: str) -> Fetch | None:
        address = verb.attributes.get("action")
        return None if address is None else Fetch(self._url(address), _method(verb), fields)

    async def _play(self, pcm: Pcm) -> None:
        playout, attendant = _prompt(pcm), Attendant()
        with self._line.connected(playout, attendant):
            while PROMPT_END not in attendant.marks:
                await attendant.done.wait()
                attendant.done.clear()

    async def _sound(self, verb: Element) -> Pcm:
        if verb.name == "Pause":
            return _silence(_seconds(verb, "length", 1.0))
        if verb.name == "Say":
            length_ms = spoken_ms(verb.text)
            return tone(length_ms) if self._world.voice == "tone" else _silence(length_ms / 1000)
        try:
            url = self._url(verb.text)
            reply = await self._world.dialer.send("GET", url, {}, self._call.timeline)
            return await asyncio.to_thread(load_audio, reply.body, url)
        except (WebhookError, BadAudioError) as error:
            self._call.timeline.add("warning", code=11200, reason=str(error))
            return _silence(0)

    async def _gather(self, verb: Element) -> Next:
        prompts = [await self._sound(child) for child in verb.children]
        playout, attendant = _prompt(np.concatenate([_silence(0), *prompts])), Attendant()
        with self._line.connected(playout, attendant):
            await attendant.done.wait()
            playout.clear()
            digits = await _digits(attendant, verb)
        self._call.timeline.add("caller", gathered=digits)
        if not digits:
            return None
        here = self._base_url or "."
        return self._action(verb, Digits=digits) or Fetch(
            self._url(here), _method(verb), {"Digits": digits}
        )

    async def _record(self, verb: Element) -> Next:
        """Keep what the caller says. Nothing said is nothing kept, and the next verb follows."""
        if verb.attributes.get("playBeep", "true") != "false":
            await self._play(tone(BEEP_MS))
        tape = Tape(
            verb.attributes.get("finishOnKey", "1234567890*#"),
            _seconds(verb, "timeout", DEFAULT_GATHER_TIMEOUT_S),
            _seconds(verb, "maxLength", 3600.0),
        )
        try:
            with self._line.connected(Playout(), tape):
                await tape.full.wait()
        except asyncio.CancelledError:
            tape.digits = "hangup"
            self.left_behind = self._recorded(verb, tape)
            raise
        return self._recorded(verb, tape)

    def _recorded(self, verb: Element, tape: Tape) -> Fetch | None:
        if not tape.voiced:
            return None
        recording = Recording(self._call.sid, b"".join(tape.frames))
        self._world.recordings[recording.sid] = recording
        self._call.timeline.add("recording", sid=recording.sid, seconds=recording.duration_s)
        account = self._world.account.sid
        fields = {
            "RecordingSid": recording.sid,
            "RecordingUrl": f"{self._world.base_url()}/2010-04-01/Accounts/{account}"
            f"/Recordings/{recording.sid}",
            "RecordingDuration": str(recording.duration_s),
            "Digits": tape.digits,
        }
        here = self._base_url or "."
        return self._action(verb, **fields) or Fetch(self._url(here), _method(verb), fields)

    async def _dial(self, verb: Element) -> Next:
        number = verb.child("Number")
        target = (verb.text if number is None else number.text).strip()
        callee = self._world.callees.get(target, HUMAN)
        caller_id = verb.attributes.get("callerId", self._call.from_)
        leg = TwinCall(
            to=target, from_=caller_id, direction="outbound-dial", caller=ScriptedCaller(())
        )
        sid = leg.sid
        self._call.timeline.add("dial", to=target, sid=sid, policy=callee.policy)
        for count, state in enumerate(_BEFORE_ANSWER):
            leg.become(state)
            self._report_leg(number, leg, count)
        limit_s = _seconds(verb, "timeout", DEFAULT_RING_LIMIT_S)
        await asyncio.sleep(min(callee.ring_s, limit_s))
        status = _DIAL_STATUS[callee.policy] if callee.ring_s <= limit_s else "no-answer"
        loop = asyncio.get_running_loop()
        answered = loop.time()
        if status == "completed":
            leg.become("in-progress")
            self._report_leg(number, leg, 2)
            person = Person(ScriptedCaller(callee.script))
            with self._line.connected(person, person):
                await person.gone.wait()
        leg.become(status)
        self._report_leg(number, leg, 3 if status == "completed" else 2)
        self._call.timeline.add("dial", to=target, sid=sid, status=status)
        fields = {"DialCallSid": sid, "DialCallStatus": status}
        if status == "completed":
            fields["DialCallDuration"] = str(int(loop.time() - answered))
        return self._action(verb, **fields)

    async def _connect(self, verb: Element) -> Next:
        noun = verb.child("Stream")
        if noun is None:
            self._call.timeline.add("warning", code=12200, reason="<Connect> without <Stream>")
            return None
        parameters = {
            child.attributes.get("name", ""): child.attributes.get("value", "")
            for child in noun.children
        }
        stream = MediaStream(
            noun.attributes.get("url", ""),
            parameters,
            call_sid=self._call.sid,
            account=self._world.account,
            timeline=self._call.timeline,
            tls=self._world.tls,
            faults=self._world.faults.frames,
            on_event=lambda event, error: self._report_stream(noun, stream.sid, event, error),
        )
        end = await stream.run(self._line)
        if end == "lost" and self._world.on_stream_loss == "hang_up":
            return HANG_UP
        return self._action(verb)

    def _report_stream(self, noun: Element, sid: str, event: str, error: str) -> None:
        address = noun.attributes.get("statusCallback")
        if address is None:
            return
        fields = {
            "AccountSid": self._world.account.sid,
            "CallSid": self._call.sid,
            "StreamSid": sid,
            "StreamName": noun.attributes.get("name", sid),
            "StreamEvent": event,
            "Timestamp": datetime.now(UTC).isoformat(),
        }
        self._report(Report(self._url(address), fields | ({"StreamError": error} if error else {})))

    def _report_leg(self, number: Element | None, leg: TwinCall, count: int) -> None:
        """Tell how the leg to a dialled person goes, if the document asks for it."""
        address = number.attributes.get("statusCallback") if number is not None else None
        asked = number.attributes.get("statusCallbackEvent", "completed") if number else ""
        if address is None or _LEG_EVENTS.get(leg.status, "completed") not in asked.split():
            return
        numbers = {"ParentCallSid": self._call.sid, "SequenceNumber": str(count)}
        fields = leg.fields(self._world.account.sid) | numbers
        self._report(Report(self._url(address), fields))


def _prompt(pcm: Pcm) -> Playout:
    playout = Playout()
    playout.push(mulaw.encode(pcm))
    playout.mark(PROMPT_END)
    return playout


async def _digits(attendant: Attendant, verb: Element) -> str:
    """Keys until enough, the finish key, or a pause."""
    wanted = int(_seconds(verb, "numDigits", float(2**31)))
    finish = verb.attributes.get("finishOnKey", "#")
    pause_s = _seconds(verb, "timeout", DEFAULT_GATHER_TIMEOUT_S)
    digits = ""
    while len(digits) < wanted:
        try:
            async with asyncio.timeout(pause_s):
                key = await attendant.keys.get()
        except TimeoutError:
            break
        if finish and key in finish:
            break
        digits += key
    return digits


def _silence(seconds: float) -> Pcm:
    return np.zeros(int(seconds * mulaw.SAMPLE_RATE), dtype=np.int16)


def _method(verb: Element) -> Method:
    return "GET" if verb.attributes.get("method", "POST").upper() == "GET" else "POST"


def _seconds(verb: Element, name: str, default: float) -> float:
    """A non-negative number attribute; the default when it is none."""
    try:
        return max(0.0, float(verb.attributes.get(name, default)))
    except ValueError:
        return default
