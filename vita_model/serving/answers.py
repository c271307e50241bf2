"""Who answers when: one answer at a time, one more waiting, and the caller always first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vita_model.engine.voice import (
    AssistantText,
    Done,
    Entry,
    Heard,
    ReplyEvent,
    Request,
    UserSpeech,
)
from vita_model.serving.conversation import Conversation
from vita_model.serving.early import EarlyReply
from vita_model.serving.effects import (
    CancelReply,
    Effect,
    LookAhead,
    StartReply,
    StartSaying,
    sends,
)
from vita_model.serving.events import Json, ProtocolError
from vita_model.serving.recordings import Recordings
from vita_model.serving.reply import Reply
from vita_model.serving.session import ReplyOptions


class Answers:
    """The answers of one session. Every method gives effects in the order to carry them out."""

    def __init__(
        self,
        *,
        session_id: str,
        conversation: Conversation,
        recordings: Recordings,
        output_rate: int,
        caller_speaks: Callable[[], bool],
        settings: Callable[[], ReplyOptions],
        clock: Callable[[], float],
        new_id: Callable[[str], str],
    ) -> None:
        self._session_id = session_id
        self._conversation = conversation
        self._recordings = recordings
        self._conversation_id = new_id("conv")
        self._rate = output_rate
        self._caller_speaks = caller_speaks
        self._settings = settings
        self._clock = clock
        self._new_id = new_id
        self._active: Reply | None = None
        self._began = 0.0
        self._waits_for_hearing = False
        self._queued: ReplyOptions | None = None
        self._early: EarlyReply | None = None
        self._speaks_until = 0.0
        self._over_at: float | None = None
        self.has_spoken = False
        """Some speech was sent in this session."""

    @property
    def agent_speaks(self) -> bool:
        """An answer is being given, or the client still plays one, as far as can be told here."""
        return self._active is not None or self._clock() < self._speaks_until

    @property
    def silent_s(self) -> float:
        """Seconds since the last answer was given and played, while it is for the caller to speak.

        Zero until then, and while the client owes the result of a tool.
        """
        if self._over_at is None or self.agent_speaks or self._queued is not None:
            return 0.0
        return self._clock() - max(self._over_at, self._speaks_until)

    def caller_began(self) -> None:
        """The caller speaks: silence counts again after the next answer."""
        self._over_at = None

    def speaks(self, item_id: str) -> bool:
        """The answer being given speaks this item."""
        return self._active is not None and self._active.speaks(item_id)

    def fell_silent(self) -> None:
        """The client has stopped playing."""
        self._speaks_until = self._clock()

    def create(self, options: ReplyOptions, *, after_caller: bool) -> list[Effect]:
        """Answer now, or next.

        Args:
            options: Settings of the answer.
            after_caller: Wait while the caller speaks.

        Raises:
            ProtocolError: one answer is waiting already.
        """
        if self._active is None and not (after_caller and self._caller_speaks()):
            return self._start(options)
        if self._queued is not None:
            raise ProtocolError(
                "An answer is being given and another is waiting already.",
                "conversation_already_has_active_response",
            )
        self._queued = options
        return []

    def answer_turn(self, options: ReplyOptions) -> list[Effect]:
        """The caller has finished: give the waiting answer, or else one with these settings."""
        if self._queued is None:
            self._queued = options
        return self.give_next()

    def give_next(self) -> list[Effect]:
        """Give the waiting answer, unless one is being given or the caller speaks."""
        if self._queued is None or self._active is not None or self._caller_speaks():
            return []
        options, self._queued = self._queued, None
        return self._start(options)

    def resume(self) -> list[Effect]:
        """Begin the answer that waited for the model to listen, if it has."""
        reply = self._active
        if reply is None or not self._waits_for_hearing or self._conversation.pending:
            return []
        self._waits_for_hearing = False
        return [StartReply(reply.id, self._request(reply.options, self._conversation.entries()))]

    def outlook(self, options: ReplyOptions) -> Request:
        """What the model would be asked if the caller's turn were not to come."""
        return self._request(options, self._conversation.entries())

    def look_ahead(self) -> list[Effect]:
        """Compute what can be for the next answer, if it is for the caller to speak before."""
        if self._active is not None or self._queued is not None:
            return []
        entries = self._conversation.entries()
        if self._conversation.pending or not entries or not isinstance(entries[-1], AssistantText):
            return []
        return [LookAhead(self._request(self._settings(), entries))]

    def anticipate(self, options: ReplyOptions, heard: Heard) -> list[Effect]:
        """Begin to answer before the turn is certain; nobody is told until it is."""
        effects = self.take_back()
        if self._active is not None or self._queued is not None or self._conversation.pending:
            return effects
        request = self._request(options, [*self._conversation.entries(), UserSpeech(heard)])
        self._early = EarlyReply(self._new_id("resp"), request)
        return [*effects, StartReply(self._early.id, request)]

    def anticipates(self, reply_id: str) -> bool:
        """The answer of that id was begun before the turn is certain."""
        return self._early is not None and self._early.id == reply_id

    def take_back(self) -> list[Effect]:
        """The turn went on, or came to nothing: throw away what was begun early."""
        early, self._early = self._early, None
        return [] if early is None or early.over else [CancelReply(early.id)]

    def take(self, reply_id: str, event: ReplyEvent) -> list[Effect]:
        """A piece of the answer. Pieces of an ended answer are ignored."""
        if self._early is not None and self._early.id == reply_id:
            self._early.events.append(event)
            return []
        reply = self._active
        if reply is None or reply.id != reply_id:
            return []
        if isinstance(event, Done) and reply.noise:
            self._conversation.forget_last_speech()  # it was not meant for the agent
        before_ms = reply.audio_ms
        events = reply.take(event)
        self._count_speech(reply, before_ms)
        if isinstance(event, Done):
            self._end(reply)
            return [*sends(events), *self.give_next(), *self.look_ahead()]
        if reply.too_long:
            self._end(reply)
            details = {"type": "incomplete", "reason": "max_output_tokens"}
            events += reply.finish("incomplete", details)
            return [CancelReply(reply_id), *sends(events), *self.give_next()]
        return sends(events)

    def fail(self, reply_id: str, reason: str) -> list[Effect]:
        """The model could not answer. The session goes on."""
        if self._early is not None and self._early.id == reply_id:
            if not self._early.over:
                self._early = None  # the model is asked again when the turn is certain
            return []
        reply = self._active
        if reply is None or reply.id != reply_id:
            return []
        self._end(reply)
        error = {"type": "server_error", "code": "model_failed", "message": reason}
        events = reply.finish("failed", {"type": "failed", "error": error})
        return [*sends(events), *self.give_next()]

    def fail_waiting(self, reason: str) -> list[Effect]:
        """The turn that an answer waits for could not be heard."""
        if self._active is None or not self._waits_for_hearing:
            return []
        return self.fail(self._active.id, reason)

    def interrupt(self, reason: str) -> list[Effect]:
        """End the answer being given, if there is one. A waiting answer waits on."""
        reply = self._active
        self.fell_silent()
        if reply is None:
            return []
        self._end(reply)
        return [CancelReply(reply.id), *sends(reply.finish("cancelled", _cancelled(reason)))]

    def cancel(self, reply_id: str | None) -> list[Effect]:
        """The client wants silence: end the answer being given and the one waiting.

        Raises:
            ProtocolError: no such answer is being given.
        """
        if self._active is None or reply_id not in {None, self._active.id}:
            raise ProtocolError(
                "Cancellation failed: no such answer is being given.",
                "response_cancel_not_active",
                "response_id",
            )
        reason = "client_cancelled"
        effects = self.interrupt(reason)
        if self._queued is not None:
            dropped, self._queued = self._new_reply(self._queued), None
            effects += sends(dropped.created() + dropped.finish("cancelled", _cancelled(reason)))
        return effects

    def _end(self, reply: Reply) -> None:
        self._active, self._waits_for_hearing = None, False
        self._over_at = None if reply.calls else self._clock()

    def _request(self, options: ReplyOptions, entries: Sequence[Entry]) -> Request:
        return Request(
            session_id=self._session_id,
            instructions=options.instructions,
            tools=options.tools,
            entries=entries,
            speak=options.speak,
            max_tokens=options.max_tokens,
            tool_choice=options.tool_choice,
            parallel_calls=options.parallel_calls,
            voice=options.voice,
            sampling=options.sampling,
        )

    def _new_reply(self, options: ReplyOptions, reply_id: str | None = None) -> Reply:
        return Reply(
            reply_id=reply_id or self._new_id("resp"),
            options=options,
            conversation=self._conversation,
            recordings=self._recordings,
            conversation_id=self._conversation_id,
            output_rate=self._rate,
            new_id=self._new_id,
        )

    def _start(self, options: ReplyOptions) -> list[Effect]:
        early = self._fitting(options)
        effects = self.take_back() if early is None else []
        self._early = None
        reply = self._new_reply(options, None if early is None else early.id)
        self._active, self._began = reply, self._clock()
        effects += sends(reply.created())
        if options.say is not None:
            return [*effects, StartSaying(reply.id, options.say, options.voice)]
        if early is not None:
            reply.note("vita_early", "true")
            return effects + [e for event in early.events for e in self.take(reply.id, event)]
        self._waits_for_hearing = True
        return [*effects, *self.resume()]

    def _fitting(self, options: ReplyOptions) -> EarlyReply | None:
        """What was begun early, if it is the answer that is wanted now."""
        if self._early is None or options.say is not None or self._conversation.pending:
            return None
        wanted = self._request(options, self._conversation.entries())
        return self._early if self._early.answers(wanted) else None

    def _count_speech(self, reply: Reply, before_ms: float) -> None:
        added_ms = reply.audio_ms - before_ms
        if not added_ms:
            return
        now = self._clock()
        if not before_ms:
            reply.note("vita_first_audio_ms", f"{(now - self._began) * 1000:.0f}")
        self.has_spoken = True
        self._speaks_until = max(now, self._speaks_until) + added_ms / 1000


def _cancelled(reason: str) -> Json:
    return {"type": "cancelled", "reason": reason}
