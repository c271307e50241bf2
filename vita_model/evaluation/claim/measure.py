"""What a model of the small world can do: asked with other pictures, words and voices than it learnt from."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from vita_model.evaluation.asr import errors
from vita_model.evaluation.claim import world
from vita_model.evaluation.claim.mixture import Chats, Kind, answers, ask, padded
from vita_model.evaluation.claim.sounds import UNHEARD, Lexicon
from vita_model.evaluation.claim.world import AGENT, END, NOISE, QUERY, USER
from vita_model.speech.decoder import SpeechDecoder, SpeechSampling
from vita_model.splice import AUDIO
from vita_model.training.parts import Learner

Counts = Mapping[str, tuple[float, float]]
"""Points and possible points by the name of a measure."""
SEEN = "pictures, typed"
ASKED_ALOUD = "pictures, spoken"
TALKED = "talk, spoken"
TYPED_TALK = "talk, typed"
WRITTEN = "words wrong"
SILENT = "states right"
SPOKEN_WRONG = "codes wrong"
_LONGEST_ANSWER = 7
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Size:
    """Items of each measure."""

    answers: int = 400
    words: int = 200
    sentences: int = 30


@torch.no_grad()
def seeing(learner: Learner, lexicon: Lexicon, seed: int, size: Size) -> Counts:
    """Questions on pictures and talk, both typed."""
    learner.eval()
    return {
        SEEN: _share(learner, "pictures", lexicon, seed, size),
        TYPED_TALK: _share(learner, "talk", lexicon, seed, size),
    }


@torch.no_grad()
def everything(learner: Learner, lexicon: Lexicon, seed: int, size: Size) -> Counts:
    """All measures."""
    return {
        **seeing(learner, lexicon, seed, size),
        ASKED_ALOUD: _share(learner, "spoken pictures", lexicon, seed, size),
        TALKED: _share(learner, "spoken talk", lexicon, seed, size),
        WRITTEN: _words_wrong(learner, lexicon, seed, size),
        SILENT: _states(learner, lexicon, seed, size),
        SPOKEN_WRONG: _codes_wrong(learner, lexicon, seed, size),
    }


def _batches(count: int) -> Iterator[range]:
    for start in range(0, count, _BATCH):
        yield range(start, min(count, start + _BATCH))


def _rng(kind: str, seed: int, number: int) -> random.Random:
    return random.Random(f"claim-test-{kind}-{seed}-{number}")


def _unheard(lexicon: Lexicon) -> Callable[[random.Random, str], Tensor]:
    """Says words in voices no training hears."""

    def say(rng: random.Random, said: str) -> Tensor:
        return lexicon.utterance(rng, said, UNHEARD) if said else lexicon.noise(rng)

    return say


def _share(
    learner: Learner, kind: Kind, lexicon: Lexicon, seed: int, size: Size
) -> tuple[float, float]:
    """Answers of which every word is the likeliest after the right ones before it."""
    right = 0
    for numbers in _batches(size.answers):
        chats = Chats()
        for number in numbers:
            ask(chats, kind, _rng(kind, seed, number), _unheard(lexicon))
        logits, wanted = answers(learner, chats.batch())
        hit = logits.argmax(1) == wanted
        begins = (wanted < AGENT + 4) & (wanted > END)  # a sign begins an answer
        answer = begins.cumsum(0) - 1
        said = ~begins
        misses = torch.zeros(int(begins.sum())).index_add_(0, answer[said], (~hit[said]).float())
        right += int((misses == 0).sum())
    return float(right), float(size.answers)


def _words_wrong(learner: Learner, lexicon: Lexicon, seed: int, size: Size) -> tuple[float, float]:
    """Word errors of what the language model writes of an unheard voice, word by word."""
    wrong = length = 0
    task = world.encode("write")
    for numbers in _batches(size.words):
        said, sounds = [], []
        for number in numbers:
            rng = _rng("words", seed, number)
            said.append(world.any_saying(rng))
            sounds.append(lexicon.utterance(rng, said[-1], UNHEARD))
        written = _continue(learner, sounds, [USER, AUDIO, *task, AGENT, QUERY])
        for wanted, got in zip(said, written, strict=True):
            found = errors(wanted.split(), world.decode(got).split())
            wrong += found.substitutions + found.deletions + found.insertions
            length += found.length
    return float(wrong), float(length)


def _continue(learner: Learner, sounds: list[Tensor], prompt: list[int]) -> list[list[int]]:
    llm = learner.language
    audios = llm.embed_audio(*padded(sounds))
    found: list[list[int]] = [[] for _ in sounds]
    for _ in range(_LONGEST_ANSWER):
        ids = [torch.tensor([*prompt, *got]) for got in found]
        rows = llm.embed_prompt(ids, audios=audios, pad_left=True)
        hidden = llm.model(
            inputs_embeds=rows.embeds,
            attention_mask=rows.mask,
            position_ids=rows.positions,
            use_cache=False,
        ).last_hidden_state
        for got, token in zip(found, llm.lm_head(hidden[:, -1]).argmax(1).tolist(), strict=True):
            got.append(token)
    return [got[: got.index(END)] if END in got else got for got in found]


def _states(learner: Learner, lexicon: Lexicon, seed: int, size: Size) -> tuple[float, float]:
    """☟ at sounds of nobody, ☞ at questions; half of each."""
    right = 0
    for numbers in _batches(size.words):
        chats = Chats()
        for number in numbers:
            kind: Kind = "noise" if number % 2 else "spoken talk"
            ask(chats, kind, _rng("state", seed, number), _unheard(lexicon))
        logits, wanted = answers(learner, chats.batch())
        begins = (wanted == NOISE) | (wanted == QUERY)
        right += int((logits[begins].argmax(1) == wanted[begins]).sum())
    return float(right), float(size.words)


def _codes_wrong(learner: Learner, lexicon: Lexicon, seed: int, size: Size) -> tuple[float, float]:
    """Edits from the codes of the agent's voice to those the decoder gives, one after another."""
    decoder = cast(SpeechDecoder, learner.speech)
    table = learner.language.get_input_embeddings()
    wrong = length = 0
    for number in range(size.sentences):
        text = world.some_words(_rng("codes", seed, number), 2, 4)
        wanted = lexicon.codes(text)
        hidden = table(torch.tensor([world.encode(text)]))
        sampling = SpeechSampling(top_k=1, penalty=1.0, max_codes=2 * len(wanted))
        got = list(decoder.generate(hidden, sampling=sampling))
        found = errors([str(code) for code in wanted], [str(code) for code in got])
        wrong += found.substitutions + found.deletions + found.insertions
        length += found.length
    return float(wrong), float(length)
