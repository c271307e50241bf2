"""The caller's side of a session: turns found in the audio, and what becomes of each."""

from __future__ import annotations

from collections.abc import Callable

from vita_model.audio.telephone import WireFormat
from vita_model.engine.voice import Heard, Samples
from vita_model.serving.answers import Answers
from vita_model.serving.conversation import Conversation
from vita_model.serving.effects import Effect, item_added, send, sends
from vita_model.serving.events import Json, ProtocolError
from vita_model.serving.hearing import Hearing, Hearings, Utterance
from vita_model.serving.items import Message, SpeechPart
from vita_model.serving.listener import Listener, Turn
from vita_model.serving.recordings import Recordings
from vita_model.serving.session import SemanticVad, Session
from vita_model.serving.turns import Signal
from vita_model.serving.vad import VAD_RATE, SpeechDetector

MIN_COMMIT_MS = 100


class Caller:
    """Follows the caller of one session."""

    def __init__(
        self,
        *,
        session: Session,
        detector: SpeechDetector,
        answers: Answers,
        conversation: Conversation,
        recordings: Recordings,
        new_id: Callable[[str], str],
    ) -> None:
        self._session = session
        self._answers = answers
        self._conversation = conversation
        self._recordings = recordings
        self._new_id = new_id
        self._listener = Listener(detector, self.wire, session.rules)
        self._hearings = Hearings(new_id)

    @property
    def wire(self) -> WireFormat:
        """The format the caller's audio comes in."""
        return self._session.audio.input.format.type

    @property
    def bytes_per_second(self) -> int:
        """What one second of the caller's audio takes."""
        return self._listener.bytes_per_second

    @property
    def speaking(self) -> bool:
        """A turn is going on."""
        return self._listener.speaking

    def configure(self, session: Session) -> list[Effect]:
        """Take new settings."""
        self._session = session
        self._listener.configure(self.wire, session.rules)
        return [] if self._listener.speaking else self._hearings.drop()

    def append(self, data: bytes) -> list[Effect]:
        """Take audio in the session's input format."""
        return [effect for turn in self._listener.feed(data) for effect in self._turn(turn)]

    def commit(self) -> list[Effect]:
        """The client ends the turn.

        Raises:
            ProtocolError: there is nothing to commit.
        """
        samples = self._listener.take()
        if len(samples) < MIN_COMMIT_MS * VAD_RATE // 1000:
            raise ProtocolError(
                f"There is less than {MIN_COMMIT_MS} ms of audio to commit.",
                "input_audio_buffer_commit_empty",
            )
        effects = self._hearings.speech_goes_on()
        utterance = self._hearings.utterance or Utterance(self._new_id("item"))
        return effects + self._committed(utterance, samples)

    def clear(self) -> list[Effect]:
        """The client takes back the audio of the turn going on."""
        self._listener.clear()
        return [*self._hearings.drop(), send("input_audio_buffer.cleared")]

    def upload(self, item: Message, audio: bytes, seconds: float) -> list[Effect]:
        """Listen to the audio of an item that the client made."""
        self._recordings.add(item.id, audio, self.wire)
        return self._hearings.upload(item, audio, self.wire, seconds)

    def heard(self, hearing_id: str, result: Heard | str) -> list[Effect]:
        """The model has listened, or a string tells why it could not."""
        hearing = self._hearings.take(hearing_id, result)
        return [] if hearing is None else self._listened(hearing, result)

    def heard_partly(self, hearing_id: str, text: str) -> list[Effect]:
        """The model has understood some words of what it listens to: all of them so far."""
        return self._told(self._hearings.take_words(hearing_id, text))

    def _told(self, events: list[Json]) -> list[Effect]:
        return sends(events) if self._session.audio.input.transcription is not None else []

    def _listened(self, hearing: Hearing, result: Heard | str) -> list[Effect]:
        effects = self._told(hearing.transcription(result))
        if isinstance(result, str) and hearing.item.in_model:
            effects += self._answers.fail_waiting(result)
        return effects + self._answers.resume()

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
        started = send(
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
        stopped = send(
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
        self._recordings.add_samples(item.id, samples, VAD_RATE)
        # A client that asks for answers itself must not ask for one to a sound in passing.
        passing = {} if in_model else {"vita_backchannel": True}
        effects: list[Effect] = [
            send(
                "input_audio_buffer.committed",
                item_id=item.id,
                previous_item_id=previous,
                **passing,
            ),
            *item_added(item.public(), previous),
            *self._hearings.commit(utterance, item, samples),
        ]
        if utterance.hearing_id is None:
            return effects
        effects += self.heard_partly(utterance.hearing_id, utterance.words)
        if utterance.result is None:
            return effects
        return effects + self.heard(utterance.hearing_id, utterance.result)

    def _interrupt(self) -> list[Effect]:
        return self._answers.interrupt("turn_detected") if self.interruptible else []

    @property
    def interruptible(self) -> bool:
        """Speech of the caller ends the answer being given."""
        detection = self._session.audio.input.turn_detection
        return detection is not None and detection.interrupt_response

    @property
    def _semantic(self) -> bool:
        return isinstance(self._session.audio.input.turn_detection, SemanticVad)
