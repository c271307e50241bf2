"""What one step of the small world reads: so many examples of every kind, all at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vita_model.evaluation.claim import world
from vita_model.evaluation.claim.sounds import Lexicon
from vita_model.evaluation.claim.world import AGENT, END, NOISE, QUERY, TYPED, USER, Question
from vita_model.speech.decoder import SpeechDecoder
from vita_model.splice import AUDIO, IGNORE, IMAGE
from vita_model.training.parts import Learner
from vita_model.training.tasks.task import Batch, Loss
from vita_model.training.tasks.transcription import transcriber_scores

Kind = Literal[
    "talk",
    "captions",
    "pictures",
    "words heard",
    "transcripts",
    "spoken talk",
    "spoken pictures",
    "noise",
    "words said",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
_SPOKEN = ("transcripts", "spoken talk", "spoken pictures", "noise")


@dataclass(slots=True)
class Chats:
    """Conversations as the language model's task takes them."""

    ids: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    tiles: list[Tensor] = field(default_factory=list)
    sounds: list[Tensor] = field(default_factory=list)

    def add(
        self,
        question: Question,
        rng: random.Random,
        sound: Tensor | None = None,
        *,
        marker: int | None = None,
        task: str = "",
    ) -> None:
        """One turn: picture, then the words or their sound, then a task; and the answer."""
        asked = [IMAGE] * (question.scene is not None)
        asked += world.encode(question.said) if sound is None else [AUDIO]
        before = [USER, *asked, *world.encode(task), AGENT]
        sign = marker or (TYPED if sound is None else QUERY)
        answer = [sign, *world.encode(question.answer), END]
        self.ids.append(torch.tensor([*before, *answer]))
        self.labels.append(torch.tensor([*[IGNORE] * len(before), *answer]))
        if question.scene is not None:
            self.tiles.append(world.draw(rng, question.scene))
        if sound is not None:
            self.sounds.append(sound)

    def batch(self) -> dict[str, object]:
        """For `answers`."""
        found: dict[str, object] = {"ids": self.ids, "labels": self.labels}
        if self.tiles:
            found["tiles"] = torch.stack(self.tiles)
        if self.sounds:
            found["features"], found["lengths"] = padded(self.sounds)
        return found


def padded(sounds: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Filter banks `[batch, frames, bins]` and their lengths."""
    lengths = torch.tensor([len(sound) for sound in sounds])
    return pad_sequence(list(sounds), batch_first=True), lengths


def ask(
    chats: Chats, kind: Kind, rng: random.Random, say: Callable[[random.Random, str], Tensor]
) -> Question:
    """Add a random question of a kind; gives it back.

    Args:
        chats: Where it goes.
        kind: Which.
        rng: Draws it.
        say: Gives the sound of words, and that of nobody for none.
    """
    match kind:
        case "captions":
            question = world.captioned(rng)
        case "pictures" | "spoken pictures":
            question = world.about_picture(rng)
        case "transcripts":
            said = world.any_saying(rng)
            question = Question(said, said)
        case "noise":
            question = Question("", "")
        case _:
            question = world.talk(rng)
    sound = say(rng, question.said) if kind in _SPOKEN else None
    chats.add(
        question,
        rng,
        sound,
        marker=NOISE if kind == "noise" else None,
        task="write" if kind == "transcripts" else "",
    )
    return question


class Mixture:
    """A task whose every example is one step's batch; the kinds' means are added up.

    Args:
        lexicon: The spoken words.
        totals: Examples of each kind over all steps; spread evenly.
        steps: Number of steps.
        seed: Other seeds make other examples.
    """

    def __init__(self, lexicon: Lexicon, totals: Mapping[Kind, int], steps: int, seed: int) -> None:
        self._lexicon = lexicon
        self._totals = totals
        self._steps = steps
        self._seed = seed

    @property
    def size(self) -> int:
        """Steps."""
        return self._steps

    def _say(self, rng: random.Random, said: str) -> Tensor:
        if not said:
            return self._lexicon.noise(rng)
        return self._lexicon.training_utterance(rng, said)

    def _wanted(self, kind: Kind, step: int) -> int:
        total = self._totals.get(kind, 0)
        return total * (step + 1) // self._steps - total * step // self._steps

    def batch(self, indices: Sequence[int], seed: int) -> Batch:
        """Conversations, words to be written by the listener (`heard`), words to be spoken (`said`)."""
        del seed
        (step,) = indices
        rng = random.Random(f"claim-{self._seed}-{step}-{sorted(self._totals.items())}")
        chats, heard, said = Chats(), [], []
        for kind in KINDS:
            for _ in range(self._wanted(kind, step)):
                if kind == "words heard":
                    words = world.any_saying(rng)
                    sound = self._say(rng, words)
                    heard.append((sound, world.encode(words)))
                elif kind == "words said":
                    said.append(world.some_words(rng, 1, 4))
                else:
                    ask(chats, kind, rng, self._say)
        batch = chats.batch() if chats.ids else {}
        if heard:
            features, lengths = padded([sound for sound, _ in heard])
            batch["heard"] = {
                "features": features,
                "lengths": lengths,
                "targets": torch.cat([torch.tensor(words) for _, words in heard]),
                "target_lengths": torch.tensor([len(words) for _, words in heard]),
            }
        if said:
            batch["said"] = spoken(said, self._lexicon)
        return batch

    def count(self, batch: Batch) -> float:
        """Losses are means already."""
        del batch
        return 1.0

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        """The sum of the means."""
        parts: dict[str, Tensor] = {}
        if "ids" in batch:
            logits, wanted = answers(learner, batch)
            parts["answer"] = F.cross_entropy(logits, wanted)
        if "heard" in batch:
            parts["ctc"] = _ctc(learner, batch["heard"])
        if "said" in batch:
            parts["codes"] = _codes(learner, batch["said"])
        total = torch.stack(list(parts.values())).sum()
        return Loss(total, {name: value.detach() for name, value in parts.items()})


def answers(learner: Learner, batch: Batch) -> tuple[Tensor, Tensor]:
    """Scores `[n, vocabulary]` of all tokens of all answers, and the tokens, in order."""
    llm = learner.language
    images = list(llm.embed_images(batch["tiles"])) if "tiles" in batch else []
    audios = llm.embed_audio(batch["features"], batch["lengths"]) if "features" in batch else []
    rows = llm.embed_prompt(batch["ids"], images=images, audios=audios, labels=batch["labels"])
    hidden = llm.model(
        inputs_embeds=rows.embeds, attention_mask=rows.mask, use_cache=False
    ).last_hidden_state
    wanted = cast(Tensor, rows.labels)[:, 1:]
    chosen = wanted != IGNORE
    return llm.lm_head(hidden[:, :-1][chosen]).float(), wanted[chosen]


def _ctc(learner: Learner, heard: Mapping[str, Tensor]) -> Tensor:
    scores, lengths = transcriber_scores(learner, heard["features"], heard["lengths"])
    return F.ctc_loss(
        scores.transpose(0, 1),
        heard["targets"],
        lengths,
        heard["target_lengths"],
        reduction="sum",
        zero_infinity=True,
    ) / len(heard["targets"])


def spoken(texts: Sequence[str], lexicon: Lexicon) -> dict[str, Tensor]:
    """Ids, codes and their lengths, padded."""
    ids = [torch.tensor(world.encode(text)) for text in texts]
    codes = [torch.tensor(lexicon.codes(text)) for text in texts]
    return {
        "ids": pad_sequence(ids, batch_first=True),
        "id_lengths": torch.tensor([len(row) for row in ids]),
        "codes": pad_sequence(codes, batch_first=True),
        "code_lengths": torch.tensor([len(row) for row in codes]),
    }


def _codes(learner: Learner, said: Mapping[str, Tensor]) -> Tensor:
    """The decoder reads the language model's embedding rows, which learn nothing by it."""
    decoder = cast(SpeechDecoder, learner.speech)
    with torch.no_grad():
        hidden = learner.language.get_input_embeddings()(said["ids"])
    found = decoder(hidden, said["id_lengths"], said["codes"], said["code_lengths"])
    return found.loss / (found.targets != decoder.config.pad).sum()
