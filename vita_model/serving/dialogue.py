"""The Realtime conversation as a state machine: events in, effects out, no I/O.

What the client sends goes to `handle` (audio to `append`), what the model gives to `heard`,
`heard_partly`, `hearing_failed`, `seen`, `seeing_failed`, `replied` and `reply_failed`, and `tick` tells that
time passed. Every method returns effects in the order they are to be carried out. Its parts: `Caller` follows the turns, `Editor` the items,
`Answers` who answers when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatchmethod

from vita_model.engine.voice import Heard, ReplyEvent, Samples, Seen, State, ToolSpec
from vita_model.serving.answers import Answers
from vita_model.serving.caller import Caller
from vita_model.serving.conversation import Conversation, decode_base64
from vita_model.serving.editor import Editor
from vita_model.serving.effects import Effect, Prepare, Send, send
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
)
from vita_model.serving.hearing import OVER_ALL, Passes
from vita_model.serving.recordings import Recordings
from vita_model.serving.session import Session
from vita_model.serving.vad import SpeechDetector


class Dialogue:
    """One session.

    Args:
        model_name: What the weights are called.
        output_rate: Samples per second of the model's speech.
        detector: Tells speech from silence, for this session alone.
        clock: Seconds that only ever grow.
        session: Settings to begin with; None for the defaults.
        expires_at: When the server ends the session, in seconds since 1970.
        ids: Makes a new unique id with a prefix.
        passes: When the model listens while the caller still speaks; None for never.
    """

    def __init__(
        self,
        *,
        model_name: str,
        output_rate: int,
        detector: SpeechDetector,
        clock: Callable[[], float],
        session: Session | None = None,
        expires_at: int | None = None,
        ids: Callable[[str], str] = new_id,
        passes: Passes | None = OVER_ALL,
    ) -> None:
        self.session_id = ids("sess")
        self._session = session or Session(model=model_name)
        self._expires_at = expires_at
        conversation, recordings = Conversation(), Recordings()
        self._answers = Answers(
            session_id=self.session_id,
            conversation=conversation,
            recordings=recordings,
            output_rate=output_rate,
            caller_speaks=lambda: self._caller.speaking,
            settings=lambda: self._session.options(None),
            clock=clock,
            new_id=ids,
        )
        self._caller = Caller(
            session=self._session,
            detector=detector,
            answers=self._answers,
            conversation=conversation,
            recordings=recordings,
            new_id=ids,
            passes=passes,
        )
        self._editor = Editor(
            conversation=conversation,
            recordings=recordings,
            caller=self._caller,
            answers=self._answers,
            new_id=ids,
        )

    @property
    def bytes_per_second(self) -> int:
        """What one second of the caller's audio takes; `append` at most this much at once."""
        return self._caller.bytes_per_second

    def greet(self) -> list[Effect]:
        """The first effects of a session."""
        return [send("session.created", session=self._public_session())]

    def append(self, data: bytes) -> list[Effect]:
        """Take the caller's audio in the session's input format."""
        return self._caller.append(data)

    def cut(self, data: bytes) -> list[Samples]:
        """`append` for those who judge the windows themselves: gives the windows it completes."""
        return self._caller.cut(data)

    @property
    def detects(self) -> bool:
        """The windows have to be judged."""
        return self._caller.detects

    def judged(self, windows: Sequence[Samples], probabilities: Sequence[float]) -> list[Effect]:
        """Take the windows of `cut` with how likely each is speech, if this `detects` any."""
        return self._caller.judged(windows, probabilities)

    def tick(self) -> list[Effect]:
        """Time passed, with audio or without; to be called a few times a second."""
        return self._caller.tick()

    def new_tools(self, event: ClientEvent) -> Sequence[ToolSpec]:
        """Tools that an event offers; the model should check them before it is handled."""
        try:
            match event:
                case SessionUpdate(session=patch) if "tools" in patch:
                    return self._session.updated(patch).options(None).tools
                case CreateResponse(response=dict(patch)) if "tools" in patch:
                    return self._session.options(patch).tools
        except ProtocolError:
            pass  # `handle` says what is wrong with it
        return ()

    def handle(self, event: ClientEvent) -> list[Effect]:
        """Take one event of the client. A fault is answered with an `error` event."""
        try:
            return self._handle(event) + self._answers.give_next()
        except ProtocolError as error:
            return [Send(error_event(error, event.event_id))]

    # What the model gives -------------------------------------------------------------------

    def heard(self, hearing_id: str, heard: Heard) -> list[Effect]:
        """The model has listened."""
        return self._caller.heard(hearing_id, heard)

    def heard_partly(self, pass_id: str, text: str) -> list[Effect]:
        """The model has listened to the beginning of a turn; these of its words are certain."""
        return self._caller.heard_partly(pass_id, text)

    def hearing_failed(self, hearing_id: str, reason: str) -> list[Effect]:
        """The model could not listen: the turn has no words and its answer fails."""
        return self._caller.heard(hearing_id, reason)

    def seen(self, seeing_id: str, seen: Seen) -> list[Effect]:
        """The model has looked at a picture."""
        return self._editor.seen(seeing_id, seen)

    def seeing_failed(self, seeing_id: str, error: ProtocolError) -> list[Effect]:
        """The model could not see a picture: the client is told, and its item stays without it."""
        return self._editor.seeing_failed(seeing_id, error)

    def replied(self, reply_id: str, event: ReplyEvent) -> list[Effect]:
        """The model gave a piece of its answer."""
        if isinstance(event, State) and self._answers.anticipates(reply_id):
            return [*self._answers.take(reply_id, event), *self._caller.felt(event)]
        return self._answers.take(reply_id, event)

    def reply_failed(self, reply_id: str, reason: str) -> list[Effect]:
        """The model could not answer."""
        return self._answers.fail(reply_id, reason)

    # What the client sends ------------------------------------------------------------------

    @singledispatchmethod
    def _handle(self, event: ClientEvent) -> list[Effect]:
        raise NotImplementedError(type(event).__name__)

    @_handle.register
    def _append(self, event: AppendAudio) -> list[Effect]:
        return self.append(decode_base64(event.audio, "audio"))

    @_handle.register
    def _commit(self, _: CommitAudio) -> list[Effect]:
        return self._caller.commit()

    @_handle.register
    def _clear(self, _: ClearAudio) -> list[Effect]:
        return self._caller.clear()

    @_handle.register
    def _update(self, event: SessionUpdate) -> list[Effect]:
        before = self._session
        session = before.updated(event.session, voice_frozen=self._answers.has_spoken)
        options = session.options(None)
        self._session = session
        effects = self._caller.configure(session)
        effects.append(send("session.updated", session=self._public_session()))
        if (before.instructions, before.tools) != (session.instructions, session.tools):
            effects.append(Prepare(options.instructions, options.tools))
            effects += self._answers.look_ahead()
        return effects

    @_handle.register
    def _create_item(self, event: CreateItem) -> list[Effect]:
        return [*self._editor.create(event), *self._answers.look_ahead()]

    @_handle.register
    def _delete_item(self, event: DeleteItem) -> list[Effect]:
        return self._editor.delete(event)

    @_handle.register
    def _retrieve_item(self, event: RetrieveItem) -> list[Effect]:
        return self._editor.retrieve(event)

    @_handle.register
    def _truncate_item(self, event: TruncateItem) -> list[Effect]:
        return [*self._editor.truncate(event), *self._answers.look_ahead()]

    @_handle.register
    def _create_response(self, event: CreateResponse) -> list[Effect]:
        options = self._session.options(event.response)
        after_caller = options.say is None and self._caller.interruptible
        return self._answers.create(options, after_caller=after_caller)

    @_handle.register
    def _cancel_response(self, event: CancelResponse) -> list[Effect]:
        return self._answers.cancel(event.response_id)

    @_handle.register
    def _clear_output(self, _: ClearOutput) -> list[Effect]:
        return []

    def _public_session(self) -> Json:
        settings = self._session.model_dump(mode="json")
        return {
            "object": "realtime.session",
            "id": self.session_id,
            "expires_at": self._expires_at,
            **settings,
        }
