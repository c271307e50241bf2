"""The Pipecat service that holds a call's conversation with a Realtime model server."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from pipecat.adapters.llm.services.open_ai_realtime_adapter import OpenAIRealtimeLLMAdapter
from pipecat.frames.frames import (
    Frame,
    InputDTMFFrame,
    InterruptionFrame,
    TranscriptionFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import WebsocketLLMService
from typing_extensions import override
from websockets.exceptions import ConnectionClosed

from agent.calls.context import ToolBox
from agent.calls.memory import CallMemory
from agent.log import get_logger
from agent.pipeline.clips import HOLD, ITEM_PREFIX, Clip
from agent.pipeline.effects import (
    CallerHeard,
    CallerSaid,
    CallerStarted,
    CallerStopped,
    Effect,
    Problem,
    ReplyAudio,
    ReplyEnded,
    ReplySpoken,
    ReplyText,
    Send,
    ToolsOvertaken,
    ToolWanted,
    TurnTaken,
    VolumeWanted,
)
from agent.pipeline.history import Event
from agent.pipeline.link import ModelLink
from agent.pipeline.parts import CallerAudioFrame, CallParts, MarkPlayedFrame, reply_audio
from agent.pipeline.playback import Reply
from agent.pipeline.presence import CallerPresence
from agent.pipeline.realtime import RealtimeDialogue
from agent.pipeline.server_events import parse_event
from agent.pipeline.timeline import CallerTape

log = get_logger(__name__)

_TICK_S = 0.5
_STABLE_S = 5.0
_OVERTAKEN = json.dumps({"error": "not looked up: the caller went on to something else"})


class VitaRealtimeLLMService(WebsocketLLMService[OpenAIRealtimeLLMAdapter]):
    """Caller's audio in, agent's audio out; sessions come and go, the conversation stays.

    `run` has to run beside the pipeline; it owns the connection and the tool calls.
    """

    # The default adapter needs the openai package, which takes half a second to import.
    adapter_class = OpenAIRealtimeLLMAdapter

    def __init__(
        self,
        link: ModelLink,
        dialogue: RealtimeDialogue,
        tools: ToolBox,
        parts: CallParts,
        memory: CallMemory,
    ) -> None:
        super().__init__(settings=link.server.settings())
        self._server = link.server
        self._link = link
        self._dialogue = dialogue
        self._toolbox = tools
        self._parts = parts
        self._memory = memory
        self._audio = parts.audio
        self._tape = CallerTape(parts.audio)
        self._tools_running: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._live = False
        self._resumed = False
        self._sending = asyncio.Lock()
        self._changed = asyncio.Event()
        self._heard_from = 0.0
        self._undisturbed = 0
        self._typed: list[str] = []
        self._clips = 0
        self.caller = CallerPresence()
        """Signs of the caller, for whoever watches over silences."""

    # What others ask of the service

    async def say(self, text: str) -> None:
        """Have exactly `text` said after what is being said now."""
        await self._send_all(self._dialogue.say(text))

    async def answer(self) -> None:
        """Have the model answer what the caller said last, after what is being said now."""
        await self._send_all(self._dialogue.answer())

    async def play(self, clip: Clip) -> None:
        """Play words that came with the agent after what is being said now."""
        self._clips += 1
        item_id = f"{ITEM_PREFIX}{self._clips}"
        self._parts.playback.reply(item_id).book.add_text(clip.text)
        await self._speak(item_id, clip.payload(self._audio))
        await self._apply_reply(ReplySpoken(item_id))

    async def stop_talking(self) -> None:
        """Cut the current reply short and forget what was still to be said."""
        self._dialogue.forget_asks()
        await self._cut_replies(cancel=True)
        await self.broadcast_frame(InterruptionFrame)

    @property
    def protected(self) -> bool:
        """Whether the caller is not passed on and cannot interrupt."""
        return self._undisturbed > 0

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """A stretch during which the caller is not passed on and cannot interrupt."""
        self._undisturbed += 1
        try:
            yield
        finally:
            self._undisturbed -= 1

    @property
    def owes(self) -> bool:
        """Whether the caller has to wait for us: an answer is due, or nobody is listening."""
        return not (self._live and self._dialogue.idle)

    @property
    def audible(self) -> bool:
        """Whether the caller hears us, or is about to."""
        return self._parts.playback.audible

    async def settled(self) -> None:
        """Wait until nothing is owed to the caller and everything said has been heard."""
        await self.until(lambda: self._dialogue.idle and self._parts.playback.quiet)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds that the conversation or playback can change."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    # Frames

    @override
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take caller audio, played marks, typed turns and interruptions; pass on the rest."""
        await super().process_frame(frame, direction)
        match frame:
            case CallerAudioFrame():
                await self._hear(frame)
            case MarkPlayedFrame(mark=name):
                self._heard(self._parts.playback.played(name, self._parts.time.now()))
                self._parts.observer.reply_heard(self._parts.playback.playing)
                self._changed.set()
            case InputDTMFFrame():
                self.caller.said()
                await self.push_frame(frame, direction)
            case TranscriptionFrame(text=text):
                self.caller.said()
                self._typed.append(text)
                await self._take_typed()
            case InterruptionFrame():
                if not self.protected:
                    await self._cut_replies(cancel=True)
                    await self.push_frame(frame, direction)
            case _:
                await self.push_frame(frame, direction)

    async def _take_typed(self) -> None:
        """Pass on what was typed; what came while nobody could interrupt, after that."""
        while self._typed and not self.protected:
            text = self._typed.pop(0)
            picture = await self._parts.sight.picture(self._parts.time.ms())
            events = [*self._dialogue.show(picture), *self._dialogue.typed(text)]
            self._remember()
            await self._send_all(events)

    def _heard(self, replies: Iterable[Reply]) -> None:
        """The caller has heard all there will be of these replies."""
        for reply in replies:
            self._dialogue.heard(reply.item_id)
            self._parts.observer.reply_over(reply)
            self._remember()

    def _remember(self) -> None:
        self._memory.keep(self._dialogue.history.finished())

    async def _hear(self, frame: CallerAudioFrame) -> None:
        await self._take_typed()
        payload, audio = frame.payload, self._audio
        if self.protected:
            payload = audio.silence(audio.samples(payload))
        self._tape.add(frame.at_ms, payload)
        if self._live:
            await self._append(payload)

    async def _append(self, payload: bytes) -> None:
        audio = base64.b64encode(payload).decode("ascii")
        await self._write(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}')

    async def _cut_replies(self, *, cancel: bool) -> bool:
        """End all replies where playback stands. True when there was something to cut."""
        replies = self._parts.playback.cut(self._parts.time.now())
        events: list[Event] = self._dialogue.cancel() if cancel else []
        for reply in replies:
            book = reply.book
            events += self._dialogue.cut(reply.item_id, book.heard_ms, book.heard_text())
            self._parts.observer.interrupted(book.heard_ms)
            self._parts.observer.reply_over(reply, interrupted=True)
            self._remember()
        await self._send_all(events)
        self._changed.set()
        return bool(replies)

    # The connection

    async def run(self) -> None:
        """Keep a session with a model server until the pipeline ends.

        Raises:
            ExceptionGroup: Holds a `ModelUnavailableError`: no server for too long, a refusal
                that will not change, or too many failed responses in a row.
        """
        since, from_ms = self._now(), 0
        try:
            async with asyncio.TaskGroup() as tools:
                for call in self._dialogue.interrupted_calls:
                    self._start_tool(call, tools)
                while True:
                    await self._establish(since + self._server.gone_s)
                    opened = self._now()
                    detail = await self._converse(from_ms, tools)
                    if self._disconnecting:
                        return
                    from_ms = await self._lost(detail)
                    stable = self._now() - opened > _STABLE_S
                    await self._link.lost(stable=stable)
                    if stable:
                        since = self._now()
                    else:
                        await self._link.pause(since + self._server.gone_s)
        finally:
            self._live = False
            await self._disconnect_websocket()

    async def _establish(self, deadline: float) -> None:
        """Have a connection; in mid-call the caller is asked for a moment if that takes long.

        Raises:
            ExceptionGroup: Holds a `ModelUnavailableError`: no server in time, or all refuse us.
        """
        done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            if self._resumed:
                group.create_task(self._bridge(done), name="model-filler")
            self._websocket = await self._link.open(self._websocket_connect, deadline)
            done.set()

    async def _lost(self, detail: str) -> int:
        """Tidy up after a session; returns from where the next one needs the caller's audio."""
        self._live = False
        self._resumed = True
        self.caller.speaking = False
        self._parts.volume.want(low=False)
        lost = self._dialogue.lost()
        for item_id in lost.unfinished:
            await self._apply_reply(ReplySpoken(item_id))
        self._parts.observer.model_link("lost", detail)
        self._changed.set()
        return self._tape.end_ms if lost.resume_ms is None else lost.resume_ms

    @override
    async def _connect(self) -> None:
        """Nothing here: `run` connects, so the pipeline starts without waiting for the server."""
        self._disconnecting = False

    @override
    async def _connect_websocket(self) -> None:
        """Nothing here either: the link connects."""

    @override
    async def _disconnect_websocket(self) -> None:
        websocket, self._websocket = self._websocket, None
        if websocket is not None:
            await websocket.close()

    async def _converse(self, from_ms: int, tools: asyncio.TaskGroup) -> str:
        """Run one session until its connection is lost; returns why it was."""
        websocket = self._websocket
        if websocket is None:
            return "closed"
        self._heard_from = self._now()
        start_ms, _ = self._tape.since(from_ms)
        await self._send_all(self._dialogue.open(start_ms))
        await self._catch_up(start_ms)
        self._parts.observer.model_link("resumed" if self._resumed else "connected")
        try:
            while not self._is_stuck():
                try:
                    async with asyncio.timeout(_TICK_S):
                        message = await websocket.recv()
                except TimeoutError:
                    continue
                self._heard_from = self._now()
                await self._receive(message, tools)
        except ConnectionClosed as error:
            return str(error)
        await self._disconnect_websocket()
        return f"no answer for {self._server.patience_s:g} s"

    async def _catch_up(self, start_ms: int) -> None:
        """Send what the caller said before the session was there, then go live."""
        while True:
            _, audio = self._tape.since(start_ms)
            if not audio:
                self._live = True
                return
            start_ms = self._tape.end_ms
            await self._append(audio)

    def _is_stuck(self) -> bool:
        if not self._dialogue.waiting:
            self._heard_from = self._now()
        return self._now() - self._heard_from > self._server.patience_s

    async def _receive(self, message: str | bytes, tools: asyncio.TaskGroup) -> None:
        event = parse_event(message)
        if event is None:
            self._parts.observer.fault("model_protocol", "the model server sent no JSON object")
            return
        for effect in self._dialogue.receive(event):
            await self._apply(effect, tools)
        if self._dialogue.failures >= self._server.failures:
            raise self._server.failed()
        self._changed.set()

    async def _apply(self, effect: Effect, tools: asyncio.TaskGroup) -> None:
        observer = self._parts.observer
        match effect:
            case Send(event=event):
                await self._send_all([event])
            case CallerStarted(at_ms=at_ms):
                self.caller.began()
                self._parts.volume.want(low=False)
                observer.caller_started(at_ms)
                if not self.protected and await self._cut_replies(cancel=False):
                    await self.broadcast_frame(InterruptionFrame)
            case CallerStopped() | CallerHeard() | CallerSaid() | VolumeWanted():
                self._note_caller(effect)
            case TurnTaken(end_ms=end_ms):
                picture = await self._parts.sight.picture(end_ms)
                await self._send_all(self._dialogue.answer_turn(effect, picture))
            case ToolWanted():
                self._remember()
                self._start_tool(effect, tools)
            case ToolsOvertaken(call_ids=call_ids):
                await self._drop_tools(call_ids)
            case Problem(code=code, message=message):
                observer.fault(code or "model_error", message)
            case _:
                await self._apply_reply(effect)

    def _note_caller(self, effect: CallerStopped | CallerHeard | CallerSaid | VolumeWanted) -> None:
        match effect:
            case CallerStopped(at_ms=at_ms):
                self.caller.stopped()
                self._parts.observer.turn_ended(at_ms)
            case CallerHeard():
                self._parts.observer.caller_heard(effect)
            case CallerSaid():
                self.caller.said()
                self._parts.observer.caller_said(effect)
                self._remember()
            case VolumeWanted(low=low):
                self._parts.volume.want(low=low and not self.protected)

    async def _apply_reply(self, effect: ReplyAudio | ReplyText | ReplySpoken | ReplyEnded) -> None:
        match effect:
            case ReplyAudio(item_id=item_id, payload=payload):
                await self._speak(item_id, payload)
            case ReplyText(item_id=item_id, piece=piece):
                self._parts.playback.reply(item_id).book.add_text(piece)
            case ReplySpoken(item_id=item_id):
                self._heard(self._parts.playback.complete(item_id))
                await self.push_frame(TTSStoppedFrame(context_id=item_id))
            case ReplyEnded(metadata=metadata) if effect.is_noise:
                self._parts.observer.noise(metadata)
                self._remember()
            case ReplyEnded(metadata=metadata):
                self._parts.observer.reply_ended(metadata)

    async def _speak(self, item_id: str, payload: bytes) -> None:
        book = self._parts.playback.reply(item_id).book
        if book.generated == 0:
            await self.push_frame(TTSStartedFrame(context_id=item_id))
        book.add_audio(self._audio.samples(payload))
        await self.push_frame(reply_audio(self._audio, item_id, payload))

    # Tools

    def _start_tool(self, call: ToolWanted, tools: asyncio.TaskGroup) -> None:
        task = tools.create_task(self._run_tool(call), name=f"tool-{call.name}")
        self._tools_running[call.call_id] = (call.name, task)
        task.add_done_callback(lambda _: self._tools_running.pop(call.call_id, None))

    async def _drop_tools(self, call_ids: Iterable[str]) -> None:
        """Break off the tools that change nothing; what the others come to is told later."""
        for call_id in call_ids:
            name, task = self._tools_running.get(call_id, ("", None))
            if task is None or not self._toolbox.may_cancel(name):
                continue
            if events := self._dialogue.tool_cancelled(call_id, _OVERTAKEN):
                task.cancel()
                self._remember()
                await self._send_all(events)

    async def _run_tool(self, call: ToolWanted) -> None:
        """Run a tool once the call is kept: whoever takes over must know that it may have run."""
        if not await self._memory.kept():
            return
        done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._bridge(done), name="tool-filler")
            try:
                async with asyncio.timeout(self._server.tool_s):
                    output = await self._toolbox.run(call.name, call.arguments, call.call_id)
            except TimeoutError:
                output = json.dumps({"error": "the tool did not answer in time"})
            done.set()
        events = self._dialogue.tool_finished(call.call_id, output)
        self._remember()
        await self._send_all(events)
        self._changed.set()

    async def _bridge(self, done: asyncio.Event) -> None:
        """Ask for a moment when something takes long and nothing else is being said."""
        try:
            async with asyncio.timeout(self._server.filler_s):
                await done.wait()
        except TimeoutError:
            if not self._dialogue.waiting and self._parts.playback.quiet:
                await self.play(HOLD)

    # Sending

    async def _send_all(self, events: Iterable[Event]) -> None:
        """Send events together: no other event comes between them."""
        async with self._sending:
            for event in events:
                await self._write(json.dumps(event))

    async def _write(self, message: str) -> None:
        """Send on the open connection. A lost one is noticed, and mended, by the reading side."""
        if self._websocket is None:
            return
        try:
            await self._websocket.send(message)
        except ConnectionClosed:
            self._live = False

    def _now(self) -> float:
        return self._parts.time.now()
