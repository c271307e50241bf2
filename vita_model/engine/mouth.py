"""Speaks the growing texts of all answers: one lane, codes of all voices decided together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from vita_model.engine.scheduler import NORMAL, URGENT
from vita_model.engine.voice import Audio
from vita_model.speech.phrases import Phrase, PhraseCutter
from vita_model.speech.speaker import FIRST_CHUNK, PhraseVoice, Speaker

BURST = 8
"""Codes of every voice in one step; before its first sound as many as that takes."""
MOST_VOICES = 16
"""Voices that speak in one step; more take turns."""


class Voice:
    """One answer being spoken.

    Text comes from the thread that writes it; the rest belongs to the lane. `end` is called once, with
    None when everything has sounded (or nobody listens), or with what went wrong.
    """

    def __init__(
        self,
        emit: Callable[[Audio], None],
        end: Callable[[BaseException | None], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self.emit, self.end, self.cancelled = emit, end, cancelled
        self.begin = time.perf_counter()
        self.first_audio_s = 0.0
        self.phrase: Phrase | None = None
        self.speaking: PhraseVoice | None = None
        self._cutter = PhraseCutter()
        self._ready: deque[Phrase] = deque()
        self._guard = threading.Lock()
        self._complete = False
        self._spoken_end = 0

    def feed(self, text: str) -> None:
        """More text of the answer."""
        with self._guard:
            self._ready.extend(self._cutter.push(text))

    def finish(self) -> None:
        """No more text comes."""
        with self._guard:
            self._ready.extend(self._cutter.finish())
            self._complete = True

    @property
    def all_said(self) -> bool:
        """Everything has sounded."""
        with self._guard:
            return self._complete and not self._ready and self.speaking is None

    def wants_reading(self) -> bool:
        """There is text to lay out before more can be said."""
        speaking, phrase = self.speaking, self.phrase
        if speaking is not None and (speaking.finished or speaking.sayable):
            return False
        with self._guard:
            early = self._early()
            known = 0 if speaking is None or phrase is None else len(phrase.text)
            return bool(self._ready) or (early is not None and len(early.text) > known)

    def has_work(self) -> bool:
        """A step would get on with it. Quick, from any thread."""
        if self.cancelled() or self.all_said or self.wants_reading():
            return True
        speaking = self.speaking
        return speaking is not None and bool(speaking.sayable or speaking.sounds)

    def _early(self) -> Phrase | None:
        """The unfinished phrase, of the first words only: later ones have time to be finished."""
        if self._spoken_end or self._complete:
            return None
        return self._cutter.early()

    def read(self, speaker: Speaker) -> None:
        """Lay out the next phrase, or a little more of the one being said."""
        with self._guard:
            whole = bool(self._ready)
            phrase = self._ready[0] if whole else self._early()
        if phrase is None:
            return
        if phrase.start < self._spoken_end:
            said = self._spoken_end - phrase.start
            phrase = Phrase(phrase.text[said:], self._spoken_end, phrase.end)
        voice = self.speaking or PhraseVoice(speaker)
        if not voice.read(phrase.text, finished=whole):
            voice.settle()  # what was read early is a phrase of its own, what follows another
            return
        self.phrase, self.speaking = phrase, voice
        if whole:
            with self._guard:
                self._ready.popleft()
        self._leave_phrase()

    def sound(self) -> None:
        """Give the piece that is ready."""
        if self.speaking is None or self.phrase is None:
            return
        piece = self.speaking.sound()
        end = min(self.phrase.start + piece.characters, self.phrase.end)
        self.emit(Audio(piece.samples, end))
        self.first_audio_s = self.first_audio_s or time.perf_counter() - self.begin
        self._leave_phrase()

    def _leave_phrase(self) -> None:
        if self.speaking is not None and self.speaking.done and self.phrase is not None:
            self._spoken_end = self.phrase.end
            self.speaking = None


class Mouth:
    """A lane of voices. A voice that has not sounded yet is urgent: its caller waits in silence."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._inbox: deque[Voice] = deque()
        self._voices: list[Voice] = []

    def begin(
        self,
        emit: Callable[[Audio], None],
        end: Callable[[BaseException | None], None],
        cancelled: Callable[[], bool],
    ) -> Voice:
        """As `SpeechLane`. From any thread."""
        voice = Voice(emit, end, cancelled)
        self._inbox.append(voice)
        return voice

    @property
    def speaking(self) -> int:
        """Answers being spoken."""
        return len(self._voices) + len(self._inbox)

    def urgency(self) -> int | None:
        """As `Lane`."""
        if self._inbox:
            return URGENT
        busy = [voice for voice in list(self._voices) if voice.has_work()]
        if not busy:
            return None
        return NORMAL if all(voice.first_audio_s for voice in busy) else URGENT

    def step(self) -> None:
        """As `Lane`."""
        while self._inbox:
            self._voices.append(self._inbox.popleft())
        for voice in [v for v in self._voices if v.cancelled() or v.all_said]:
            self._end(voice)
        waiting = [voice for voice in self._voices if voice.wants_reading()]
        waiting.sort(key=lambda voice: voice.first_audio_s > 0)
        for voice in waiting[:1]:
            voice.read(self._speaker)
        self._say([v for v in self._voices if v.speaking is not None and v.speaking.sayable])
        for voice in list(self._voices):
            while voice.speaking is not None and voice.speaking.sounds:
                voice.sound()
            if voice.all_said:
                self._end(voice)

    def fail(self, error: BaseException) -> None:
        """As `Lane`."""
        while self._inbox:
            self._voices.append(self._inbox.popleft())
        for voice in list(self._voices):
            self._end(voice, error)

    def _say(self, voices: Sequence[Voice]) -> None:
        """A burst of codes; those who wait for their first sound go first and alone."""
        silent = [voice for voice in voices if not voice.first_audio_s]
        chosen = (silent or list(voices))[:MOST_VOICES]
        speaking = [voice.speaking for voice in chosen if voice.speaking is not None]
        if speaking:
            self._speaker.say(speaking, FIRST_CHUNK if silent else BURST)
        if len(chosen) < len(voices):
            self._voices.sort(key=lambda voice: voice in chosen)

    def _end(self, voice: Voice, error: BaseException | None = None) -> None:
        self._voices.remove(voice)
        voice.end(error)
