"""The Realtime conversation as a state machine: events in, effects out, no I/O.

What the client sends goes to `handle` (audio to `append`), what the model gives to `heard`,
`hearing_failed`, `seen`, `seeing_failed`, `replied` and `reply_failed`. Every method returns effects in the order they are
to be carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatchmethod

from vita_model.audio.telephone import WireFormat
from vita_model.engine.voice import Heard, ReplyEvent, Samples, Seen
from vita_model.serving.answers import Answers, sends
from vita_model.serving.conversation import Conversation, decode_base64, parse_item
from vita_model.serving.effects import Effect, Prepare, Send
from vita_model.serving.events import (
    AppendAudio,
    CancelResponse,
    ClearAudio,
    ClearOutput,
    ClientEvent,
    CommitAudio,
    CreateItem,
    CreateResponse,
    DeleteItem,
    Json,
    ProtocolError,
    RetrieveItem,
    SessionUpdate,
    TruncateItem,
    error_event,
    new_id,
    server_event,
)
from vita_model.serving.hearing import Hearing, Hearings, Utterance
from vita_model.serving.items import Message, SpeechPart, SpokenPart
from vita_model.serving.listener import Listener, Turn
from vita_model.serving.pictures import Pictures
from vita_model.serving.session import SemanticVad, Session
from vita_model.serving.turns import Signal
from vita_model.serving.vad import VAD_RATE, SpeechDetector

MIN_COMMIT_MS = 100
MAX_UPLOAD_S = 60


class Dialogue:
    """One session."""

    def __init__(
        self,
        *,
        model_name: str,
        output_rate: int,
        detector: SpeechDetector,
        clock: Callable[[], float],
        ids: Callable[[str], str] = new_id,
    ) -> None:
        self._new_id = ids
        self.session_id = ids("sess")
        self._session = Session(model=model_name)
        self._listener = Listener(detector, self._wire, self._session.rules)
        self._conversation = Conversation()
        self._hearings = Hearings(ids)
        self._pictures = Pictures(ids)
        self._answers = Answers(
            session_id=self.session_id,
            conversation=self._conversation,
            output_rate=output_rate,
            caller_speaks=lambda: self._listener.speaking,
            clock=clock,
            new_id=ids,
        )

    @property
    def bytes_per_second(self) -> int:
        """What one second of the caller's audio takes; `append` at most this much at once."""
        return self._listener.bytes_per_second

    def greet(self) -> list[Effect]:
        """The first effects of a session."""
        return [self._send("session.created", session=self._public_session())]

    def append(self, data: bytes) -> list[Effect]:
        """Take the caller's audio in the session's input format."""
        return [effect for turn in self._listener.feed(data) for effect in self._turn(turn)]

    def handle(self, event: ClientEvent) -> list[Effect]:
        """Take one event of the client. A fault is answered with an `error` event."""
        try:
            return self._handle(event) + self._answers.give_next()
        except ProtocolError as error:
            return [Send(error_event(error, event.event_id))]

    # What the model gives -------------------------------------------------------------------

    def heard(self, hearing_id: str, heard: Heard) -> list[Effect]:
        """The model has listened."""
        hearing = self._hearings.take(hearing_id, heard)
        return [] if hearing is None else self._listened(hearing, heard)

    def hearing_failed(self, hearing_id: str, reason: str) -> list[Effect]:
        """The model could not listen: the turn has no words and its answer fails."""
        hearing = self._hearings.take(hearing_id, reason)
        return [] if hearing is None else self._listened(hearing, reason)

    def seen(self, seeing_id: str, seen: Seen) -> list[Effect]:
        """The model has looked at a picture."""
        return self._answers.resume() if self._pictures.take(seeing_id, seen) else []

    def seeing_failed(self, seeing_id: str, error: ProtocolError) -> list[Effect]:
        """The model could not see a picture: the client is told, and its item stays without it."""
        picture = self._pictures.take(seeing_id, None)
        if picture is None:
            return []
        return [Send(error_event(error, picture.event_id)), *self._answers.resume()]

    def replied(self, reply_id: str, event: ReplyEvent) -> list[Effect]:
        """The model gave a piece of its answer."""
        return self._answers.take(reply_id, event)

    def reply_failed(self, reply_id: str, reason: str) -> list[Effect]:
        """The model could not answer."""
        return self._answers.fail(reply_id, reason)

    def _listened(self, hearing: Hearing, result: Heard | str) -> list[Effect]:
        effects: list[Effect] = []
        if self._session.audio.input.transcription is not None:
            effects.append(Send(hearing.transcription(result)))
        if isinstance(result, str) and hearing.item.in_model:
            effects += self._answers.fail_waiting(result)
        return effects + self._answers.resume()

    # What the client sends ------------------------------------------------------------------

    @singledispatchmethod
    def _handle(self, event: ClientEvent) -> list[Effect]:
        raise NotImplementedError(type(event).__name__)

    @_handle.register
    def _append(self, event: AppendAudio) -> list[Effect]:
        return self.append(decode_base64(event.audio, "audio"))

    @_handle.register
    def _update(self, event: SessionUpdate) -> list[Effect]:
        before = self._session
        session = before.updated(event.session, voice_frozen=self._answers.has_spoken)
        options = session.options(None)
        self._session = session
        self._listener.configure(self._wire, session.rules)
        effects = [] if self._listener.speaking else self._hearings.drop()
        effects.append(self._send("session.updated", session=self._public_session()))
        if (before.instructions, before.tools) != (session.instructions, session.tools):
            effects.append(Prepare(options.instructions, options.tools))
        return effects

    @_handle.register
    def _commit(self, _: CommitAudio) -> list[Effect]:
        samples = self._listener.take()
        if len(samples) < MIN_COMMIT_MS * VAD_RATE // 1000:
            raise ProtocolError(
                f"There is less than {MIN_COMMIT_MS} ms of audio to commit.",
                "input_audio_buffer_commit_empty",
            )
        effects = self._hearings.speech_goes_on()
        utterance = self._hearings.utterance or Utterance(self._new_id("item"))
        return effects + self._committed(utterance, samples)

    @_handle.register
    def _clear(self, _: ClearAudio) -> list[Effect]:
        self._listener.clear()
        return [*self._hearings.drop(), self._send("input_audio_buffer.cleared")]

    @_handle.register
    def _create_item(self, event: CreateItem) -> list[Effect]:
        parsed = parse_item(event.item, self._new_id)
        seconds = len(parsed.audio or b"") / self.bytes_per_second
        if parsed.audio is not None and not MIN_COMMIT_MS / 1000 <= seconds <= MAX_UPLOAD_S:
            raise ProtocolError(
                f"The audio of an item lasts {MIN_COMMIT_MS} ms to {MAX_UPLOAD_S} s.",
                param="item.content.audio",
            )
        self._pictures.make_room(len(parsed.pictures))
        previous = self._conversation.insert(parsed.item, event.previous_item_id)
        effects = self._added(parsed.item.public(), previous)
        if parsed.audio is not None and isinstance(parsed.item, Message):
            effects += self._hearings.upload(parsed.item, parsed.audio, self._wire, seconds)
        if isinstance(parsed.item, Message):
            effects += self._pictures.show(parsed.item, parsed.pictures, event.event_id)
        return effects

    @_handle.register
    def _delete(self, event: DeleteItem) -> list[Effect]:
        """Deleting what is gone already is no fault."""
        self._conversation.remove(event.item_id)
        deleted = self._send("conversation.item.deleted", item_id=event.item_id)
        return [deleted, *self._answers.resume()]

    @_handle.register
    def _retrieve(self, event: RetrieveItem) -> list[Effect]:
        item = self._conversation.find(event.item_id)
        if item is None:
            raise ProtocolError(
                f"There is no item {event.item_id!r}.", "item_retrieve_invalid_item_id", "item_id"
            )
        return [self._send("conversation.item.retrieved", item=item.public())]

    @_handle.register
    def _truncate(self, event: TruncateItem) -> list[Effect]:
        """Cut an answer to what was heard. Clamps instead of refusing: `error` ends a call."""
        effects: list[Effect] = []
        self._answers.fell_silent()
        if self._answers.speaks(event.item_id):
            reason = "turn_detected" if self._listener.speaking else "client_cancelled"
            effects += self._answers.interrupt(reason)
        heard_ms = max(0, int(event.audio_end_ms))
        item = self._conversation.find(event.item_id)
        for part in item.parts if isinstance(item, Message) else ():
            if isinstance(part, SpokenPart) and part.track:
                heard_ms = min(heard_ms, int(part.duration_ms))
                part.truncate(heard_ms)
        truncated = self._send(
            "conversation.item.truncated",
            item_id=event.item_id,
            content_index=event.content_index,
            audio_end_ms=heard_ms,
        )
        return [*effects, truncated]

    @_handle.register
    def _create_response(self, event: CreateResponse) -> list[Effect]:
        options = self._session.options(event.response)
        after_caller = options.say is None and self._interruptible
        return self._answers.create(options, after_caller=after_caller)

    @_handle.register
    def _cancel_response(self, event: CancelResponse) -> list[Effect]:
        return self._answers.cancel(event.response_id)

    @_handle.register
    def _clear_output(self, _: ClearOutput) -> list[Effect]:
        return []

    # The caller's turn ----------------------------------------------------------------------

    def _turn(self, turn: Turn) -> list[Effect]:
        match turn.signal:
            case Signal.STARTED:
                return self._speech_started(turn.at_ms)
            case Signal.HELD:
                return self._speech_held()
            case Signal.PAUSED:
                return self._hearings.listen_early(turn.samples)
            case Signal.RESUMED:
                return self._hearings.speech_goes_on()
            case Signal.STOPPED:
                return self._speech_stopped(turn.at_ms, turn.samples)

    def _speech_started(self, at_ms: int) -> list[Effect]:
        utterance = self._hearings.begin(over_agent=self._answers.agent_speaks)
        started = self._send(
            "input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=utterance.item_id
        )
        return [started] if self._semantic else [started, *self._interrupt()]

    def _speech_held(self) -> list[Effect]:
        if self._hearings.utterance is not None:
            self._hearings.utterance.held = True
        return self._interrupt() if self._semantic else []

    def _speech_stopped(self, at_ms: int, samples: Samples) -> list[Effect]:
        utterance = self._hearings.utterance
        detection = self._session.audio.input.turn_detection
        if utterance is None or detection is None:
            return []
        stopped = self._send(
            "input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=utterance.item_id
        )
        if self._is_backchannel(utterance):
            committed = self._committed(utterance, samples, in_model=False)
            return [stopped, *committed, *self._answers.give_next()]
        effects = [stopped, *self._committed(utterance, samples)]
        if not detection.create_response:
            return effects + self._answers.give_next()
        effects += self._interrupt()
        return effects + self._answers.answer_turn(self._session.options(None))

    def _is_backchannel(self, utterance: Utterance) -> bool:
        """A short sound while the agent speaks, and goes on speaking, asks for no answer."""
        short = self._semantic and not utterance.held
        return short and utterance.over_agent and self._answers.agent_speaks

    def _committed(
        self, utterance: Utterance, samples: Samples, *, in_model: bool = True
    ) -> list[Effect]:
        item = Message(utterance.item_id, "user", [SpeechPart()], in_model=in_model)
        previous = self._conversation.append(item)
        # A client that asks for answers itself must not ask for one to a sound in passing.
        passing = {} if in_model else {"vita_backchannel": True}
        effects: list[Effect] = [
            self._send(
                "input_audio_buffer.committed",
                item_id=item.id,
                previous_item_id=previous,
                **passing,
            ),
            *self._added(item.public(), previous),
            *self._hearings.commit(utterance, item, samples),
        ]
        if utterance.hearing_id is None or utterance.result is None:
            return effects
        if isinstance(utterance.result, Heard):
            return effects + self.heard(utterance.hearing_id, utterance.result)
        return effects + self.hearing_failed(utterance.hearing_id, utterance.result)

    def _interrupt(self) -> list[Effect]:
        return self._answers.interrupt("turn_detected") if self._interruptible else []

    @property
    def _interruptible(self) -> bool:
        detection = self._session.audio.input.turn_detection
        return detection is not None and detection.interrupt_response

    @property
    def _semantic(self) -> bool:
        return isinstance(self._session.audio.input.turn_detection, SemanticVad)

    # Small things ---------------------------------------------------------------------------

    @property
    def _wire(self) -> WireFormat:
        return self._session.audio.input.format.type

    def _public_session(self) -> Json:
        settings = self._session.model_dump(mode="json")
        return {"object": "realtime.session", "id": self.session_id, **settings}

    def _added(self, item: Json, previous: str | None) -> list[Effect]:
        kinds = ("conversation.item.added", "conversation.item.done")
        return sends([server_event(k, previous_item_id=previous, item=item) for k in kinds])

    def _send(self, kind: str, **fields: object) -> Effect:
        return Send(server_event(kind, **fields))
