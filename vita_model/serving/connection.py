"""One client's session: carries out what its dialogue wants, over a socket and a model."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vita_model.audio.telephone import WIRE_RATE, WIRE_WIDTH, WireDecoder
from vita_model.engine.voice import (
    PictureError,
    ReplyEvent,
    Samples,
    ToolError,
    TooLongError,
    ToolSpec,
    VoiceModel,
)
from vita_model.serving.conversation import decode_base64
from vita_model.serving.dialogue import Dialogue
from vita_model.serving.effects import (
    CancelHearing,
    CancelReply,
    Effect,
    Hear,
    HearPartly,
    HearUpload,
    LookAhead,
    Prepare,
    See,
    Send,
    StartReply,
    StartSaying,
)
from vita_model.serving.events import (
    AppendAudio,
    Json,
    ProtocolError,
    client_event_id,
    error_event,
    parse_client_event,
)
from vita_model.serving.outbox import Outbox

log = logging.getLogger(__name__)


class ClientGoneError(Exception):
    """The client cannot be reached any more."""


class SessionExpiredError(Exception):
    """The session has lived as long as it may."""


class Peer(Protocol):
    """The socket, as far as a session needs it. Waiting ends in `ClientGoneError`."""

    async def receive(self) -> str | bytes:
        """The next message."""
        ...

    async def send(self, text: str) -> None:
        """Send one message."""
        ...

    def drop(self) -> None:
        """Cut the connection without a goodbye: the client would not take it."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits of one session, in seconds. `session` is its longest life.

    `tick` is no limit: so often the dialogue is told that time passed.
    """

    session: float = 7_200.0
    send: float = 20.0
    hear: float = 30.0
    hear_partly: float = 2.0
    see: float = 10.0
    check_tools: float = 5.0
    reply_step: float = 30.0
    prepare: float = 60.0
    forget: float = 5.0
    tick: float = 0.25


class Connection:
    """Runs one session until the client goes.

    `judge` tells how likely each window of the caller's audio is speech.
    """

    def __init__(
        self,
        *,
        peer: Peer,
        model: VoiceModel,
        dialogue: Dialogue,
        judge: Callable[[Sequence[Samples]], Awaitable[Sequence[float]]],
        limits: Limits,
        seen: Callable[[Json], None] = lambda _: None,
    ) -> None:
        self._peer = peer
        self._model = model
        self._dialogue = dialogue
        self._judge = judge
        self._limits = limits
        self._outbox = Outbox(seen)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Serve the client. Returns when it has gone; all tasks have ended then."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._send_all(), name="sender")
                group.create_task(self._expire(), name="expiry")
                group.create_task(self._pass_time(), name="time")
                self._carry_out(self._dialogue.greet())
                await self._receive_all()
        except* ClientGoneError:
            pass
        except* SessionExpiredError:
            await self._say_expired()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.forget):
                    await self._model.forget(self._dialogue.session_id)

    async def _expire(self) -> None:
        await asyncio.sleep(self._limits.session)
        raise SessionExpiredError

    async def _pass_time(self) -> None:
        while True:
            await asyncio.sleep(self._limits.tick)
            self._carry_out(self._dialogue.tick())

    async def _say_expired(self) -> None:
        sentence = "The session has reached its longest duration; open another."
        event = error_event(ProtocolError(sentence, "session_expired"), None)
        with suppress(TimeoutError, ClientGoneError):
            async with asyncio.timeout(self._limits.send):
                await self._peer.send(json.dumps(event))

    async def _receive_all(self) -> None:
        while True:
            message = await self._peer.receive()
            if isinstance(message, bytes):
                error = ProtocolError("Events are sent as text frames.", "invalid_event")
                self._outbox.post(error_event(error, None))
            else:
                await self._take(message)
            await self._outbox.room()

    async def _take(self, message: str) -> None:
        try:
            event = parse_client_event(message)
            if isinstance(event, AppendAudio):
                await self._append(decode_base64(event.audio, "audio"))
            else:
                await self._check_tools(self._dialogue.new_tools(event))
                self._carry_out(self._dialogue.handle(event))
        except ProtocolError as error:
            self._outbox.post(error_event(error, client_event_id(message)))

    async def _check_tools(self, tools: Sequence[ToolSpec]) -> None:
        if not tools:
            return
        try:
            async with asyncio.timeout(self._limits.check_tools):
                await self._model.check_tools(tools)
        except ToolError as error:
            raise ProtocolError(str(error), "invalid_value", "tools") from None
        except TimeoutError:
            sentence = "Checking the tools took too long; offer fewer or simpler ones."
            raise ProtocolError(sentence, "invalid_value", "tools") from None

    async def _append(self, data: bytes) -> None:
        """Take audio a second at a time: a long recording must not hold up other sessions."""
        step = self._dialogue.bytes_per_second
        for start in range(0, len(data), step):
            windows = self._dialogue.cut(data[start : start + step])
            found = await self._judge(windows) if windows and self._dialogue.detects else []
            self._carry_out(self._dialogue.judged(windows, found))
            await asyncio.sleep(0)

    async def _send_all(self) -> None:
        while True:
            event = await self._outbox.take()
            try:
                async with asyncio.timeout(self._limits.send):
                    await self._peer.send(json.dumps(event))
            except TimeoutError:
                self._peer.drop()
                raise ClientGoneError("the client takes no events") from None

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(event=event):
                    self._outbox.post(event)
                case Hear(hearing_id=key) | HearUpload(hearing_id=key) | See(seeing_id=key):
                    self._begin(key, self._take_in(effect))
                case HearPartly(pass_id=key):
                    self._begin(key, self._hear_partly(effect))
                case StartReply(reply_id=key, request=request):
                    self._begin(key, self._relay(key, self._model.reply(request)))
                case StartSaying(reply_id=key, text=text, voice=voice):
                    self._begin(key, self._relay(key, self._model.say(text, voice)))
                case CancelReply(reply_id=key):
                    self._outbox.drop_audio(key)
                    self._cancel(key)
                case CancelHearing(hearing_id=key):
                    self._cancel(key)
                case Prepare() | LookAhead():
                    key = type(effect).__name__
                    self._cancel(key)
                    self._begin(key, self._prepare(effect))

    def _begin(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(work, name=key)
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))

    def _forget(self, key: str, done: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is done:
            del self._tasks[key]

    def _cancel(self, key: str) -> None:
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()

    async def _take_in(self, effect: Hear | HearUpload | See) -> None:
        match effect:
            case Hear(hearing_id=key, samples=samples):
                await self._hear(key, samples)
            case HearUpload():
                await self._hear_upload(effect)
            case See(seeing_id=key, data=data):
                await self._see(key, data)

    async def _hear_upload(self, upload: HearUpload) -> None:
        samples = await asyncio.to_thread(_decode_upload, upload, self._model.input_rate)
        await self._hear(upload.hearing_id, samples)

    async def _hear(self, key: str, samples: Samples) -> None:
        try:
            async with asyncio.timeout(self._limits.hear):
                heard = await self._model.hear(samples)
        except TimeoutError:
            self._carry_out(self._dialogue.hearing_failed(key, "Listening took too long."))
        except Exception:  # whatever a model raises costs one turn, not the call
            log.exception("hearing failed")
            self._carry_out(self._dialogue.hearing_failed(key, "The model could not listen."))
        else:
            self._carry_out(self._dialogue.heard(key, heard))

    async def _hear_partly(self, effect: HearPartly) -> None:
        """A pass that finds no time is no fault; one that fails is the last of its turn."""
        words = ""
        try:
            async with asyncio.timeout(self._limits.hear_partly):
                words = await self._model.hear_partly(effect.request, effect.samples)
        except TimeoutError:
            pass
        except Exception:  # the turn is heard again at its end, and tells of the fault
            log.exception("listening on failed")
            return
        self._carry_out(self._dialogue.heard_partly(effect.pass_id, words))

    async def _see(self, key: str, data: bytes) -> None:
        place = "item.content.image_url"
        try:
            async with asyncio.timeout(self._limits.see):
                seen = await self._model.see(data)
        except PictureError as error:
            fault = ProtocolError(str(error), "invalid_value", place)
        except TimeoutError:
            fault = ProtocolError("Looking at the picture took too long.", "seeing_failed", place)
        except Exception:  # whatever a model raises costs one picture, not the call
            log.exception("seeing failed")
            fault = ProtocolError("The model could not see the picture.", "seeing_failed", place)
        else:
            self._carry_out(self._dialogue.seen(key, seen))
            return
        self._carry_out(self._dialogue.seeing_failed(key, fault))

    async def _relay(self, key: str, events: AsyncIterator[ReplyEvent]) -> None:
        try:
            while True:
                async with asyncio.timeout(self._limits.reply_step):
                    event = await anext(events, None)
                if event is None:
                    break
                self._carry_out(self._dialogue.replied(key, event))
                await self._outbox.room()
        except TimeoutError:
            self._carry_out(self._dialogue.reply_failed(key, "The answer took too long."))
        except TooLongError as error:
            self._carry_out(self._dialogue.reply_failed(key, str(error)))
        except Exception:  # whatever a model raises costs one answer, not the call
            log.exception("reply failed")
            self._carry_out(self._dialogue.reply_failed(key, "The model could not answer."))
        else:
            self._carry_out(self._dialogue.reply_failed(key, "The answer has no end."))
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    async def _prepare(self, effect: Prepare | LookAhead) -> None:
        session_id = self._dialogue.session_id
        try:
            async with asyncio.timeout(self._limits.prepare):
                match effect:
                    case Prepare(instructions=instructions, tools=tools):
                        await self._model.prepare(session_id, instructions, tools)
                    case LookAhead(request=request):
                        await self._model.look_ahead(request)
        except TimeoutError:
            log.warning("preparing a prompt took too long; the next answer will be slower")
        except Exception:  # the next answer meets the same fault and reports it
            log.exception("preparing a prompt failed")


def _decode_upload(upload: HearUpload, rate: int) -> Samples:
    decoder = WireDecoder(upload.wire, rate)
    step = WIRE_RATE[upload.wire] * WIRE_WIDTH[upload.wire]
    pieces = range(0, len(upload.data), step)
    return np.concatenate([decoder.feed(upload.data[at : at + step]) for at in pieces])
