"""Camera pictures: colour, shape and digit of one thing, and how many, asked aloud."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vita_model.engine.voice import Entry, UserImage, UserSpeech, VoiceModel
from vita_model.evaluation.agent_tasks import instructions, sample_tasks, specs
from vita_model.evaluation.callers import VOICES, over, read
from vita_model.evaluation.figures import Measure, Row
from vita_model.evaluation.replies import PHONE_RATE, ask
from vita_model.evaluation.suite import Shelf
from vita_model.training.dialogues import Dialogue
from vita_model.training.pictures import Shown, draw, draw_several
from vita_model.vision.words import COLOURS, THINGS

QUESTIONS = {
    "colour": ("what colour is this", "tell me the colour of what i am holding"),
    "shape": ("what shape is this", "which shape do you see on my card"),
    "digit": ("what number is this", "which digit am i holding up"),
    "count": ("how many of these do you see", "how many shapes are there in the picture"),
}
OF_EACH = 100
COUNTS = ("one", "two", "three", "four", "five")


@dataclass(frozen=True, slots=True)
class Look:
    """One question about one picture."""

    key: str
    kind: str
    said: str
    voice: str
    shown: Shown
    dialogue: Dialogue
    number: int = 1
    """How many there are."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The words any of which answers it."""
        if self.kind == "count":
            return str(self.number), COUNTS[self.number - 1]
        return (self.shown.colour if self.kind == "colour" else self.shown.thing,)


class PictureSuite:
    """Right answers about what the camera sees."""

    name = "pictures"
    small = 32
    about = (
        "A camera picture of 640 x 480 (drawn: one thing on a card or by itself before walls and "
        "rooms, with light, blur, noise and JPEG traces; new ones, never trained) and a spoken "
        "question about it over the phone, voices no training used. Right if the reply names the "
        "colour, shape or digit, or the number of things where one to five are shown."
    )
    measures = (Measure("right", bars={"": 95}),)

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed

    def items(self, count: int | None) -> Sequence[Look]:
        """The kinds in turn."""
        found: list[Look] = []
        for number in range(OF_EACH if count is None else -(-count // len(QUESTIONS))):
            rng = random.Random(f"pictures-{self._seed}-{number}")
            dialogue = sample_tasks(self._seed + 5_000 + number, 1)[0].dialogue
            for kind, questions in QUESTIONS.items():
                things = [
                    t for t in THINGS[:-1] if kind == "colour" or t.isdigit() == (kind == "digit")
                ]
                shown = Shown(rng.choice(COLOURS), rng.choice(things))
                many = rng.randint(1, len(COUNTS)) if kind == "count" else 1
                said, voice = questions[number % len(questions)], VOICES[number % len(VOICES)]
                found.append(Look(f"{kind}-{number:03d}", kind, said, voice, shown, dialogue, many))
        return found[:count]

    async def run(self, model: VoiceModel, item: Look, shelf: Shelf) -> Row:
        """Show the picture, ask, and look for the word."""
        file = io.BytesIO()
        chance = random.Random(f"{self._seed}-{item.key}")
        if item.kind == "count":
            picture = draw_several(chance, item.shown, item.number)
        else:
            picture = draw(chance, item.shown)
        picture.save(file, "JPEG", quality=88)
        samples = over(item.key, read(item.key, item.said, item.voice, shelf), "clean")
        seen, heard = await model.see(file.getvalue()), await model.hear(samples)
        entries: list[Entry] = [UserImage(seen), UserSpeech(heard)]
        spoken = await ask(
            model, item.key, instructions(item.dialogue), specs(item.dialogue), entries
        )
        words = re.findall(r"\w+", spoken.reply.text.lower())
        files = {
            "picture": shelf.data(item.key, "picture.jpg", file.getvalue()),
            "input": shelf.sound(item.key, "input", samples, model.input_rate),
        }
        if len(spoken.samples):
            files["reply"] = shelf.sound(item.key, "reply", spoken.on_phone(), PHONE_RATE)
        return Row(
            item.key,
            item.kind,
            {"right": (float(not set(item.wanted).isdisjoint(words)), 1.0)},
            wanted=item.wanted[0],
            got=str(spoken.reply),
            said=item.said,
            heard=heard.transcript,
            files=files,
        )
