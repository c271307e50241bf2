"""What the model still has to listen to: the turn going on, and the turns already committed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vita_model.audio.telephone import WireFormat
from vita_model.engine.voice import Heard, Samples
from vita_model.serving.effects import CancelHearing, Effect, Hear, HearUpload
from vita_model.serving.events import Json, server_event
from vita_model.serving.items import Message, SpeechPart
from vita_model.serving.talkover import Talkover
from vita_model.serving.vad import VAD_RATE

_TRANSCRIPTION = "conversation.item.input_audio_transcription"


@dataclass(slots=True)
class Utterance:
    """A spoken turn of the caller, from its onset until it is committed.

    Attributes:
        item_id: Id of the item it will become.
        start_ms: Where in the session's audio it begins.
        talkover: What it is taken for, while the client does not know of it; None once it does.
        hearing_id: The model listens already, during the silence that may end the turn.
        words: What was understood by then.
        result: What was heard by then; a string tells why it failed.
    """

    item_id: str
    start_ms: int = 0
    talkover: Talkover | None = None
    hearing_id: str | None = None
    words: str = ""
    result: Heard | str | None = None


@dataclass(slots=True)
class Hearing:
    """A committed piece of speech the model listens to. `told` are the words sent so far."""

    item: Message
    part: SpeechPart
    seconds: float
    told: str = ""

    def words(self, text: str) -> list[Json]:
        """The event that tells what was understood since the last one.

        Words that were told cannot be taken back: a guess that changes them is kept until the end.
        """
        if not text.startswith(self.told) or text == self.told:
            return []
        delta, self.told = text[len(self.told) :], text
        return [server_event(f"{_TRANSCRIPTION}.delta", **self._place, delta=delta)]

    def transcription(self, result: Heard | str) -> list[Json]:
        """The last events: the words, or why there are none."""
        if isinstance(result, Heard):
            usage = {"type": "duration", "seconds": round(self.seconds, 3)}
            completed = server_event(
                f"{_TRANSCRIPTION}.completed",
                **self._place,
                transcript=result.transcript,
                usage=usage,
            )
            return [*self.words(result.transcript), completed]
        error = {"type": "server_error", "code": "hearing_failed", "message": result}
        return [server_event(f"{_TRANSCRIPTION}.failed", **self._place, error=error)]

    @property
    def _place(self) -> Json:
        return {"item_id": self.item.id, "content_index": self.item.parts.index(self.part)}


class Hearings:
    """Follows every piece of speech from its onset to its words."""

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        self._committed: dict[str, Hearing] = {}
        self.utterance: Utterance | None = None

    def begin(self, start_ms: int, talkover: Talkover | None) -> Utterance:
        """The caller begins to speak."""
        self.utterance = Utterance(self._new_id("item"), start_ms, talkover)
        return self.utterance

    def listen_early(self, samples: Samples) -> list[Effect]:
        """Listen during the silence that may end the turn: that time would be lost otherwise."""
        if self.utterance is None:
            return []
        self.utterance.hearing_id = self._new_id("hear")
        return [Hear(self.utterance.hearing_id, samples)]

    def speech_goes_on(self) -> list[Effect]:
        """What was heard early is not the whole turn."""
        utterance = self.utterance
        if utterance is None or utterance.hearing_id is None:
            return []
        hearing_id, utterance.hearing_id = utterance.hearing_id, None
        utterance.result, utterance.words = None, ""
        return [CancelHearing(hearing_id)]

    def drop(self) -> list[Effect]:
        """The turn going on is forgotten."""
        effects = self.speech_goes_on()
        self.utterance = None
        return effects

    def commit(self, utterance: Utterance, item: Message, samples: Samples) -> list[Effect]:
        """The turn is over: listen to it, unless that was done early."""
        self.utterance = None
        part = next(part for part in item.parts if isinstance(part, SpeechPart))
        hearing = Hearing(item, part, len(samples) / VAD_RATE)
        if utterance.hearing_id is not None:
            self._committed[utterance.hearing_id] = hearing
            return []
        hearing_id = self._new_id("hear")
        self._committed[hearing_id] = hearing
        return [Hear(hearing_id, samples)]

    def upload(self, item: Message, audio: bytes, wire: WireFormat, seconds: float) -> list[Effect]:
        """Listen to the audio of an item that the client made."""
        part = next(part for part in item.parts if isinstance(part, SpeechPart))
        hearing_id = self._new_id("hear")
        self._committed[hearing_id] = Hearing(item, part, seconds)
        return [HearUpload(hearing_id, audio, wire)]

    def take_words(self, hearing_id: str, text: str) -> list[Json]:
        """The model has understood `text` so far. Gives what to tell of it."""
        if self.utterance is not None and self.utterance.hearing_id == hearing_id:
            self.utterance.words = text
        hearing = self._committed.get(hearing_id)
        return [] if hearing is None else hearing.words(text)

    def take(self, hearing_id: str, result: Heard | str) -> Hearing | None:
        """The model has listened, or failed to. Gives the committed piece this belongs to."""
        if self.utterance is not None and self.utterance.hearing_id == hearing_id:
            self.utterance.result = result
            return None
        hearing = self._committed.pop(hearing_id, None)
        if hearing is None:
            return None
        if isinstance(result, Heard):
            hearing.part.heard = result
        else:
            hearing.part.failed = True
        return hearing
