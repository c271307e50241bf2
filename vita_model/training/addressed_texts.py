"""What is read aloud to teach the classifier of sounds over the agent."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

import yaml

from vita_model.evaluation.duplex_set import Half, sentences
from vita_model.serving.words import BACKCHANNELS, words_of
from vita_model.training.dialogues.sampler import sample_turn

_MARKS = ("", "", ".", ".", ".", "!", "?", ",", "...")
"""Speech synthesisers fall, rise or stay level at them."""
_AGAIN = re.compile(r"(.)\1+")


@cache
def _texts() -> dict[str, list[str]]:
    raw = files("vita_model.training").joinpath("addressed_texts.yaml").read_text(encoding="utf-8")
    texts: dict[str, list[str]] = yaml.safe_load(raw)
    return texts


def sounds(text: str) -> str:
    """The same for two spellings of one sound: `Hmm.` and `hm`, `OK` and `okay`, `all right` and `alright`."""
    letters = "".join(words_of(text)).replace("allright", "alright").replace("okay", "ok")
    return _AGAIN.sub(r"\1", letters)


class Texts:
    """Draws them; no sentence of the given halves of the duplex set is among them.

    Args:
        chance: Where the draws come from.
        hidden: Halves whose sentences are never drawn.
    """

    def __init__(self, chance: random.Random, hidden: tuple[Half, ...] = ("report",)) -> None:
        self._chance = chance
        halves: tuple[Half, ...] = ("tuning", "report")
        open_ones = {sounds(s) for h in halves if h not in hidden for s in sentences(h)}
        self._hidden = {sounds(s) for h in hidden for s in sentences(h)} - open_ones

    def query(self) -> str:
        """What somebody says who wants the word. One that begins with a backchannel is a late query."""
        return self._drawn(self._query)

    def backchannel(self) -> str:
        """What somebody says who listens: one to four words, often two of them."""
        return self._drawn(self._backchannel) + self._chance.choice(_MARKS)

    def side_talk(self) -> str:
        """What somebody in the room says to somebody else."""
        return self._drawn(lambda: self._chance.choice(_texts()["side_talk"]))

    def _drawn(self, draw: Callable[[], str]) -> str:
        while True:
            text = draw()
            if words_of(text) and sounds(text) not in self._hidden:
                return text

    def _query(self) -> str:
        chance, texts = self._chance, _texts()
        while True:
            if chance.random() < 0.3:
                text = chance.choice(texts["interrupting_alone"])
            else:
                text = sample_turn(chance, "train").said
                if chance.random() < 0.35:
                    text = f"{chance.choice(texts['interrupting'])}, {text}"
            words = words_of(text)
            if words and words[0] not in BACKCHANNELS:
                return text

    def _backchannel(self) -> str:
        chance, texts = self._chance, _texts()
        comma = chance.choice((", ", ", ", " "))
        pick = chance.random()
        alone = chance.choice(texts[chance.choice(("hum", "assent", "assent", "praise", "phrase"))])
        if pick < 0.45:
            return alone
        if pick < 0.55:
            word = chance.choice([*texts["hum"], *texts["assent"], *texts["praise"]])
            return comma.join([word] * chance.choice((2, 2, 2, 3)))
        opener = chance.choice(texts["opener"])
        if pick < 0.85:
            return f"{opener}{comma}{alone}"
        return f"{alone}{comma}{chance.choice(texts['closer'])}"
