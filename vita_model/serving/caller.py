"""The caller's side of a session: turns found in the audio, and what becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vita_model.audio.telephone import WireFormat
from vita_model.engine.voice import Heard, Samples, State
from vita_model.serving.answers import Answers
from vita_model.serving.conversation import Conversation
from vita_model.serving.effects import Effect, item_added, send, sends
from vita_model.serving.events import Json, ProtocolError
from vita_model.serving.hearing import Hearing, Hearings, Passes, Utterance
from vita_model.serving.items import Message, SilencePart, SpeechPart
from vita_model.serving.listener import Listener, Turn
from vita_model.serving.overlap import FAR_IN_SILENCE_DB, CallerLevel, Verdict, loudness
from vita_model.serving.patience import silence_ms
from vita_model.serving.recordings import Recordings
from vita_model.serving.session import SemanticVad, ServerVad, Session
from vita_model.serving.talkover import Talkover
from vita_model.serving.turns import Signal
from vita_model.serving.vad import VAD_RATE, WINDOW, SpeechDetector
from vita_model.serving.words import is_finished

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
        passes: Passes | None,
    ) -> None:
        self._session = session
        self._answers = answers
        self._conversation = conversation
        self._recordings = recordings
        self._new_id = new_id
        self._listener = Listener(detector, self.wire, session.rules)
        self._hearings = Hearings(new_id, passes)
        self._level = CallerLevel()
        self._far_turns = 0
        self._ducked = False
        self._silent_from_ms = 0

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
        """A turn is going on, as far as the agent minds it."""
        talkover = self._talkover
        passing = talkover is not None and talkover.verdict is Verdict.GO_ON
        return self._listener.speaking and not passing

    @property
    def _talkover(self) -> Talkover | None:
        utterance = self._hearings.utterance
        return None if utterance is None else utterance.talkover

    def configure(self, session: Session) -> list[Effect]:
        """Take new settings."""
        self._session = session
        self._listener.configure(self.wire, session.rules)
        return [] if self._listener.speaking else self._forget()

    def append(self, data: bytes) -> list[Effect]:
        """Take audio in the session's input format."""
        return self._turns(self._listener.feed(data))

    def cut(self, data: bytes) -> list[Samples]:
        """Take audio in the session's input format; the windows it completes come to `judged`."""
        return self._listener.cut(data)

    @property
    def detects(self) -> bool:
        """The windows have to be judged."""
        return self._listener.detects

    def judged(self, windows: Sequence[Samples], probabilities: Sequence[float]) -> list[Effect]:
        """Take windows with how likely each is speech."""
        return self._turns(self._listener.judged(windows, probabilities))

    def _turns(self, turns: Sequence[Turn]) -> list[Effect]:
        return [effect for turn in turns for effect in self._turn(turn)]

    def tick(self) -> list[Effect]:
        """Time passed: a caller who has said nothing for long enough is spoken to again."""
        silent_ms = int(self._answers.silent_s * 1_000)
        if not silent_ms:
            self._silent_from_ms = self._listener.heard_ms
        detection = self._session.audio.input.turn_detection
        if not isinstance(detection, ServerVad) or detection.idle_timeout_ms is None:
            return []
        due = silent_ms >= detection.idle_timeout_ms and not self._listener.speaking
        if not due or not detection.create_response:
            return []
        item = Message(self._new_id("item"), "user", [SilencePart(silent_ms / 1_000)])
        previous = self._conversation.append(item)
        return [
            send(
                "input_audio_buffer.timeout_triggered",
                audio_start_ms=self._silent_from_ms,
                audio_end_ms=self._listener.heard_ms,
                item_id=item.id,
            ),
            send("input_audio_buffer.committed", item_id=item.id, previous_item_id=previous),
            *item_added(item.public(), previous),
            *self._answers.answer_turn(self._session.options(None)),
        ]

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
        effects = [*self._hearings.speech_goes_on(), *self._answers.take_back()]
        effects += self._duck(on=False)
        utterance = self._hearings.utterance or self._hearings.unannounced()
        return effects + self._committed(utterance, samples)

    def clear(self) -> list[Effect]:
        """The client takes back the audio of the turn going on."""
        self._listener.clear()
        return [*self._forget(), send("input_audio_buffer.cleared")]

    def _forget(self) -> list[Effect]:
        """There is no turn going on."""
        looks = [] if self._talkover is None else self._talkover.drop()
        dropped = [*self._hearings.drop(), *self._answers.take_back()]
        return [*looks, *dropped, *self._duck(on=False)]

    def upload(self, item: Message, audio: bytes, seconds: float) -> list[Effect]:
        """Listen to the audio of an item that the client made."""
        self._recordings.add(item.id, audio, self.wire)
        return self._hearings.upload(item, audio, self.wire, seconds)

    def heard(self, hearing_id: str, result: Heard | str) -> list[Effect]:
        """The model has listened, or a string tells why it could not."""
        talkover = self._talkover
        if talkover is not None and talkover.looked(hearing_id, result):
            return self._settle()
        hearing = self._hearings.take(hearing_id, result)
        if hearing is not None:
            return self._listened(hearing, result)
        utterance = self._hearings.utterance
        early = utterance is not None and utterance.hearing_id == hearing_id
        return self._heard_early(result) if early else []

    def felt(self, state: State) -> list[Effect]:
        """The model began to answer what was heard at a pause, and tells whether it is a question."""
        utterance = self._hearings.utterance
        if utterance is not None and isinstance(utterance.result, Heard):
            self._be_patient(utterance.result, state.probabilities.get("noise"))
        return []

    def heard_partly(self, pass_id: str, text: str) -> list[Effect]:
        """The model has listened to the beginning of a turn: all its words that are certain."""
        return self._told(self._hearings.take_words(pass_id, text))

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
            case Signal.LOOK:
                return self._look()
            case Signal.PAUSED:
                return self._hearings.listen_early(turn.samples)
            case Signal.RESUMED:
                return [*self._hearings.speech_goes_on(), *self._answers.take_back()]
            case Signal.STOPPED:
                return self._speech_stopped(turn.at_ms, turn.samples)

    def _speech_started(self, at_ms: int) -> list[Effect]:
        held_back = self._semantic and self.interruptible and self._answers.agent_speaks
        talkover = Talkover(self._level, self._new_id) if held_back else None
        utterance = self._hearings.begin(at_ms, talkover)
        self._answers.caller_began()
        return self._duck(on=True) if held_back else self._announce(utterance)

    def _announce(self, utterance: Utterance) -> list[Effect]:
        """Tell the client that the caller speaks, which makes it stop the agent."""
        looks = [] if utterance.talkover is None else utterance.talkover.drop()
        utterance.talkover = None
        self._ducked = False
        started = send(
            "input_audio_buffer.speech_started",
            audio_start_ms=utterance.start_ms,
            item_id=utterance.item_id,
        )
        words = self._told(self._hearings.words_so_far())
        return [*looks, started, *words, *self._interrupt()]

    def _duck(self, *, on: bool) -> list[Effect]:
        """Ask the client to lower the agent's voice, or to raise it again."""
        if on == self._ducked:
            return []
        self._ducked = on
        return [send("rate_limits.updated", rate_limits=[], vita_duck=on)]

    def _look(self) -> list[Effect]:
        utterance, talkover = self._hearings.utterance, self._talkover
        if utterance is None or talkover is None:
            return self._listen_on()
        if not self._answers.agent_speaks:
            return self._announce(utterance)
        looks = talkover.look(
            self._listener.so_far, self._listener.spoken_ms, self._listener.elapsed_ms
        )
        return [*looks, *self._settle()]

    def _listen_on(self) -> list[Effect]:
        """Listen to the turn going on, once in a while."""
        spoken_ms = self._listener.spoken_ms
        if not self._hearings.wants_pass(spoken_ms):
            return []
        request = self._answers.outlook(self._session.options(None))
        return self._hearings.listen_on(self._listener.so_far, spoken_ms, request)

    def _settle(self) -> list[Effect]:
        """Do what a sound over the agent's speech is taken for."""
        utterance, talkover = self._hearings.utterance, self._talkover
        if utterance is None or talkover is None:
            return []
        match talkover.verdict:
            case Verdict.STOP:
                return self._announce(utterance)
            case Verdict.GO_ON:
                return [*self._duck(on=False), *self._answers.give_next()]
            case Verdict.OPEN:
                return []

    def _heard_early(self, result: Heard | str) -> list[Effect]:
        """The model has listened to what was said before a pause."""
        talkover, detection = self._talkover, self._session.audio.input.turn_detection
        if talkover is not None:
            talkover.paused(self._listener.so_far, self._listener.spoken_ms, result)
            return self._settle()
        if not isinstance(result, Heard) or detection is None:
            return []
        self._be_patient(result, None)
        worth = bool(result.transcript) and detection.create_response
        if not worth or (self._semantic and not is_finished(result.transcript)):
            return []
        return self._answers.anticipate(self._session.options(None), result)

    def _be_patient(self, heard: Heard, noise: float | None) -> None:
        """Wait for more as long as what was said makes it likely."""
        detection = self._session.audio.input.turn_detection
        if isinstance(detection, SemanticVad):
            finished = is_finished(heard.transcript) if heard.transcript else None
            silence = silence_ms(detection.eagerness, finished=finished, noise=noise)
            self._listener.wait(silence)

    def _speech_stopped(self, at_ms: int, samples: Samples) -> list[Effect]:
        utterance = self._hearings.utterance
        detection = self._session.audio.input.turn_detection
        if utterance is None or detection is None:
            return []
        effects: list[Effect] = []
        if utterance.talkover is not None:
            if self._answers.agent_speaks and not self._is_question(utterance, samples):
                return [*self._duck(on=False), *self._passed(utterance, at_ms, samples)]
            effects += self._announce(utterance)
        effects.append(
            send("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=utterance.item_id)
        )
        if self._is_far(samples):
            return [*effects, *self._passed(utterance, at_ms, samples)]
        effects += self._committed(utterance, samples)
        if not detection.create_response:
            return effects + self._answers.give_next()
        effects += self._interrupt()
        return effects + self._answers.answer_turn(self._session.options(None))

    def _is_question(self, utterance: Utterance, samples: Samples) -> bool:
        """A sound over the agent's speech is over: does it want an answer?"""
        talkover = utterance.talkover
        if talkover is None:
            return True
        talkover.paused(samples, self._listener.spoken_ms, utterance.result)
        return talkover.verdict is Verdict.STOP

    def _is_far(self, samples: Samples) -> bool:
        """Somebody else spoke, or not to the phone. Twice in a row it was the caller after all."""
        if not self._semantic:
            return False
        loud = loudness(samples, WINDOW)
        below = self._level.below(loud)
        if below is not None and below > FAR_IN_SILENCE_DB and self._far_turns == 0:
            self._far_turns += 1
            return True
        if self._far_turns:
            self._level.forget()
        self._far_turns = 0
        self._level.note(loud)
        return False

    def _passed(self, utterance: Utterance, at_ms: int, samples: Samples) -> list[Effect]:
        """A sound in passing: it is kept for the record, and nobody answers it.

        A client that asks for answers itself must not ask for one, and was not told when it was.
        """
        passing = {
            "vita_backchannel": True,
            "vita_audio_start_ms": utterance.start_ms,
            "vita_audio_end_ms": at_ms,
        }
        effects = self._answers.take_back()
        effects += self._committed(utterance, samples, in_model=False, passing=passing)
        return effects + self._answers.give_next()

    def _committed(
        self,
        utterance: Utterance,
        samples: Samples,
        *,
        in_model: bool = True,
        passing: Json | None = None,
    ) -> list[Effect]:
        item = Message(utterance.item_id, "user", [SpeechPart()], in_model=in_model)
        previous = self._conversation.append(item)
        self._recordings.add_samples(item.id, samples, VAD_RATE)
        effects: list[Effect] = [
            send(
                "input_audio_buffer.committed",
                item_id=item.id,
                previous_item_id=previous,
                **(passing or {}),
            ),
            *item_added(item.public(), previous),
            *self._hearings.commit(utterance, item, samples),
        ]
        if utterance.hearing_id is None or utterance.result is None:
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
