"""What the model still has to listen to: the turn going on, and the turns already committed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vita_model.audio.telephone import WireFormat
from vita_model.engine.voice import Heard, Request, Samples
from vita_model.serving.effects import CancelHearing, Effect, Hear, HearPartly, HearUpload
from vita_model.serving.events import Json, server_event
from vita_model.serving.items import Message, SpeechPart
from vita_model.serving.talkover import Talkover
from vita_model.serving.vad import VAD_RATE

_TRANSCRIPTION = "conversation.item.input_audio_transcription"


@dataclass(frozen=True, slots=True)
class Passes:
    """When the model listens to the beginning of a turn that goes on. All in ms of speech.

    Attributes:
        first: So much is worth a pass.
        more: And then so much more.
        share: And this part of all there is, so that passes over all of it cost no more than a few.
        last: Longer speech takes too long to hear for something that can wait.
    """

    first: int
    more: int
    share: float
    last: int


OVER_ALL = Passes(first=1_000, more=500, share=0.25, last=15_000)
"""For a model that hears the whole beginning anew in each pass."""
OVER_THE_NEW = Passes(first=400, more=400, share=0.0, last=60_000)
"""For one that hears what is new."""


@dataclass(slots=True)
class Words:
    """What the client was told of one turn's words.

    Words that were told cannot be taken back: a guess that changes them is kept until the end.
    """

    item_id: str
    content_index: int = 0
    told: str = ""

    def more(self, text: str) -> list[Json]:
        """The event that tells what was understood since the last one."""
        if not text.startswith(self.told) or text == self.told:
            return []
        delta, self.told = text[len(self.told) :], text
        return [self.event("delta", delta=delta)]

    def event(self, kind: str, **fields: object) -> Json:
        """An event about these words."""
        place = {"item_id": self.item_id, "content_index": self.content_index}
        return server_event(f"{_TRANSCRIPTION}.{kind}", **place, **fields)


@dataclass(slots=True)
class Utterance:
    """A spoken turn of the caller, from its onset until it is committed.

    Attributes:
        words: What was told of it; the item it will become has the same id.
        start_ms: Where in the session's audio it begins.
        talkover: What it is taken for, while the client does not know of it; None once it does.
        hearing_id: The model listens already, during the silence that may end the turn.
        pass_id: The model listens to the beginning, while the caller goes on.
        next_pass_ms: Speech that is worth the next such pass.
        certain: Words that were certain at the last pass.
        result: What was heard by then; a string tells why it failed.
    """

    words: Words
    start_ms: int = 0
    talkover: Talkover | None = None
    hearing_id: str | None = None
    pass_id: str | None = None
    next_pass_ms: float = 0.0
    certain: str = ""
    result: Heard | str | None = None

    @property
    def item_id(self) -> str:
        """Id of the item it will become."""
        return self.words.item_id


@dataclass(slots=True)
class Hearing:
    """A committed piece of speech the model listens to."""

    item: Message
    part: SpeechPart
    seconds: float
    words: Words

    def transcription(self, result: Heard | str) -> list[Json]:
        """The last events: the words, or why there are none."""
        if isinstance(result, Heard):
            usage = {"type": "duration", "seconds": round(self.seconds, 3)}
            text = result.transcript
            completed = self.words.event("completed", transcript=text, usage=usage)
            return [*self.words.more(text), completed]
        error = {"type": "server_error", "code": "hearing_failed", "message": result}
        return [self.words.event("failed", error=error)]


class Hearings:
    """Follows every piece of speech from its onset to its words."""

    def __init__(self, new_id: Callable[[str], str], passes: Passes | None) -> None:
        self._new_id = new_id
        self._passes = passes
        self._committed: dict[str, Hearing] = {}
        self.utterance: Utterance | None = None

    def begin(self, start_ms: int, talkover: Talkover | None) -> Utterance:
        """The caller begins to speak."""
        self.utterance = self.unannounced()
        self.utterance.start_ms, self.utterance.talkover = start_ms, talkover
        return self.utterance

    def unannounced(self) -> Utterance:
        """A turn whose onset nobody noticed."""
        return Utterance(Words(self._new_id("item")))

    def wants_pass(self, spoken_ms: int) -> bool:
        """Enough was said since the model last listened to the turn going on."""
        utterance, passes = self.utterance, self._passes
        return (
            passes is not None
            and utterance is not None
            and utterance.pass_id is None
            and utterance.hearing_id is None
            and max(passes.first, utterance.next_pass_ms) <= spoken_ms <= passes.last
        )

    def listen_on(self, samples: Samples, spoken_ms: int, request: Request) -> list[Effect]:
        """Listen to the beginning of a turn: words are known early, and less is left at its end."""
        if self.utterance is None or self._passes is None:
            return []
        self.utterance.pass_id = self._new_id("pass")
        more = self._passes.more + spoken_ms * self._passes.share
        self.utterance.next_pass_ms = spoken_ms + more
        return [HearPartly(self.utterance.pass_id, samples, request)]

    def listen_early(self, samples: Samples) -> list[Effect]:
        """Listen during the silence that may end the turn: that time would be lost otherwise."""
        if self.utterance is None:
            return []
        effects = _end_pass(self.utterance)
        self.utterance.hearing_id = self._new_id("hear")
        return [*effects, Hear(self.utterance.hearing_id, samples)]

    def speech_goes_on(self) -> list[Effect]:
        """What was heard early is not the whole turn."""
        utterance = self.utterance
        if utterance is None or utterance.hearing_id is None:
            return []
        hearing_id, utterance.hearing_id = utterance.hearing_id, None
        utterance.result = None
        return [CancelHearing(hearing_id)]

    def drop(self) -> list[Effect]:
        """The turn going on is forgotten."""
        effects = self.speech_goes_on()
        if self.utterance is not None:
            effects += _end_pass(self.utterance)
        self.utterance = None
        return effects

    def commit(self, utterance: Utterance, item: Message, samples: Samples) -> list[Effect]:
        """The turn is over: listen to it, unless that was done early."""
        self.utterance = None
        effects = _end_pass(utterance)
        part = next(part for part in item.parts if isinstance(part, SpeechPart))
        hearing = Hearing(item, part, len(samples) / VAD_RATE, utterance.words)
        if utterance.hearing_id is not None:
            self._committed[utterance.hearing_id] = hearing
            return effects
        hearing_id = self._new_id("hear")
        self._committed[hearing_id] = hearing
        return [*effects, Hear(hearing_id, samples)]

    def upload(self, item: Message, audio: bytes, wire: WireFormat, seconds: float) -> list[Effect]:
        """Listen to the audio of an item that the client made."""
        part = next(part for part in item.parts if isinstance(part, SpeechPart))
        hearing_id = self._new_id("hear")
        words = Words(item.id, item.parts.index(part))
        self._committed[hearing_id] = Hearing(item, part, seconds, words)
        return [HearUpload(hearing_id, audio, wire)]

    def take_words(self, pass_id: str, text: str) -> list[Json]:
        """A pass over the turn going on has ended. Gives what to tell of it.

        A turn the client does not know of yet is not told of either.
        """
        utterance = self.utterance
        if utterance is None or utterance.pass_id != pass_id:
            return []
        utterance.pass_id, utterance.certain = None, text
        return self.words_so_far()

    def words_so_far(self) -> list[Json]:
        """What to tell of the words of the turn going on."""
        utterance = self.utterance
        if utterance is None or utterance.talkover is not None:
            return []
        return utterance.words.more(utterance.certain)

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


def _end_pass(utterance: Utterance) -> list[Effect]:
    """Nobody waits for a pass over the beginning any more."""
    pass_id, utterance.pass_id = utterance.pass_id, None
    return [] if pass_id is None else [CancelHearing(pass_id)]
