"""Reads the listener's posteriors with knowledge of which words follow one another.

The best unit of every frame gives `in the address by the way`; a search over whole utterances that
adds a word model's opinion gives `and the address by the way`. Prefix beam search after Hannun et
al. 2014 (arXiv:1408.2873), on the few units of each frame that have any weight.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

EDGE = 0
"""Stands for the beginning and the end of an utterance; as a class of the adapter it is the blank."""
_BASE = 1 << 16
_DISCOUNT = 0.75


@dataclass(frozen=True, slots=True)
class WordModel:
    """Probabilities of units after one or two others, with absolute discounting.

    Attributes:
        chances: Logarithm of the probability of a sequence's last unit, by packed sequence.
        rest: Logarithm of what a context leaves to shorter ones, by packed context.
        units: How many units there are.
    """

    chances: dict[int, float]
    rest: dict[int, float]
    units: int

    @classmethod
    def count(cls, texts: Iterable[Sequence[int]], units: int, least: int = 2) -> WordModel:
        """Learn from utterances of units 1 to `units`; threes seen less than `least` times go."""
        threes: Counter[tuple[int, ...]] = Counter()
        twos: Counter[tuple[int, ...]] = Counter()
        ones: Counter[tuple[int, ...]] = Counter()
        for text in texts:
            row = [EDGE, EDGE, *text, EDGE]
            for a, b, c in zip(row, row[1:], row[2:], strict=False):
                threes[a, b, c] += 1
                twos[b, c] += 1
                ones[c,] += 1
        threes = Counter({key: n for key, n in threes.items() if n >= least})
        chances: dict[int, float] = {}
        rest: dict[int, float] = {}
        total = ones.total() + units
        single = {key[0]: (n + 1) / total for key, n in ones.items()}
        chances |= {_pack((u,)): math.log(single.get(u, 1 / total)) for u in range(units + 1)}
        shorter: dict[tuple[int, ...], float] = {
            (u,): single.get(u, 1 / total) for u in range(units + 1)
        }
        for grams in (twos, threes):
            sums: Counter[tuple[int, ...]] = Counter()
            kinds: Counter[tuple[int, ...]] = Counter()
            for key, n in grams.items():
                sums[key[:-1]] += n
                kinds[key[:-1]] += 1
            left = {key: _DISCOUNT * kinds[key] / n for key, n in sums.items()}
            rest |= {_pack(key): math.log(share) for key, share in left.items()}
            longer = {
                key: (n - _DISCOUNT) / sums[key[:-1]] + left[key[:-1]] * shorter[key[1:]]
                for key, n in grams.items()
            }
            chances |= {_pack(key): math.log(chance) for key, chance in longer.items()}
            shorter = longer
        return cls(chances, rest, units)

    def score(self, before: tuple[int, int], unit: int) -> float:
        """Logarithm of the probability of a unit after two others."""
        a, b = before
        found = self.chances.get(_pack((a, b, unit)))
        if found is not None:
            return found
        left = self.rest.get(_pack((a, b)), 0.0)
        found = self.chances.get(_pack((b, unit)))
        if found is not None:
            return left + found
        return left + self.rest.get(_pack((b,)), 0.0) + self.chances[_pack((unit,))]

    def tensors(self) -> dict[str, Tensor]:
        """As tensors to store, keys sorted."""
        out: dict[str, Tensor] = {"units": torch.tensor([self.units], dtype=torch.int32)}
        for name, table in (("chances", self.chances), ("rest", self.rest)):
            keys = sorted(table)
            out[f"{name}.keys"] = torch.tensor(keys, dtype=torch.int64)
            out[f"{name}.values"] = torch.tensor([table[k] for k in keys]).half()
        return out

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> WordModel:
        """What `tensors` gave."""
        chances, rest = (
            dict(
                zip(
                    tensors[f"{name}.keys"].tolist(),
                    tensors[f"{name}.values"].float().tolist(),
                    strict=True,
                )
            )
            for name in ("chances", "rest")
        )
        return cls(chances, rest, int(tensors["units"]))


def _pack(units: tuple[int, ...]) -> int:
    """A sequence of up to three units as one number; lengths never collide."""
    packed = 1
    for unit in units:
        packed = packed * _BASE + unit
    return packed


@dataclass(slots=True)
class _Path:
    """One beginning of an utterance: its shares ending in a blank and in a unit, and its price."""

    blank: float
    unit: float
    words: float

    @property
    def share(self) -> float:
        return self.blank + self.unit


_Paths = dict[tuple[int, ...], _Path]


@dataclass(frozen=True, slots=True)
class Search:
    """How the likeliest units of an utterance are found.

    Attributes:
        model: Which units follow one another.
        weight: Of the word model's logarithms against the listener's.
        bonus: For every unit, against the word model's taste for short utterances.
        width: Beginnings kept after every frame.
        least: Units below this probability in a frame are not tried in it.
    """

    model: WordModel
    weight: float = 0.5
    bonus: float = 1.0
    width: int = 8
    least: float = 2e-3

    def units(self, logits: Tensor) -> list[int]:
        """Classes 1 to `units`; none if the best path frame by frame has none.

        Args:
            logits: Of one utterance, `[frames, units + 1]`, class 0 the blank.
        """
        posterior = torch.softmax(logits.float(), -1)
        if not bool(posterior.argmax(-1).any()):
            return []
        paths: _Paths = {(): _Path(1.0, 0.0, 0.0)}
        for row, blank in zip(posterior, posterior[:, 0].tolist(), strict=True):
            if blank > 1 - self.least:
                for path in paths.values():
                    path.blank, path.unit = path.share, 0.0
                continue
            tried = [unit for unit in torch.nonzero(row > self.least)[:, 0].tolist() if unit]
            chances = list(zip(tried, row[tried].tolist(), strict=True))
            paths = self._kept(self._step(paths, blank, chances))
        ends = ((self._value(paths, prefix, ended=True), prefix) for prefix in paths)
        return list(max(ends)[1])

    def _step(self, paths: _Paths, blank: float, chances: list[tuple[int, float]]) -> _Paths:
        after: _Paths = {}
        for prefix, path in paths.items():
            stays = after.setdefault(prefix, _Path(0.0, 0.0, path.words))
            stays.blank += path.share * blank
            for unit, chance in chances:
                again = bool(prefix) and prefix[-1] == unit
                if again:
                    stays.unit += path.unit * chance
                came = (path.blank if again else path.share) * chance
                longer = (*prefix, unit)
                if came > 0 and longer not in after:
                    words = path.words + self.model.score(_last(prefix), unit)
                    after[longer] = _Path(0.0, 0.0, words)
                if came > 0:
                    after[longer].unit += came
        return after

    def _kept(self, paths: _Paths) -> _Paths:
        best = sorted(paths, key=lambda prefix: -self._value(paths, prefix))[: self.width]
        largest = max(paths[prefix].share for prefix in best)
        for prefix in best:
            paths[prefix].blank /= largest
            paths[prefix].unit /= largest
        return {prefix: paths[prefix] for prefix in best}

    def _value(self, paths: _Paths, prefix: tuple[int, ...], *, ended: bool = False) -> float:
        path = paths[prefix]
        words = path.words + (self.model.score(_last(prefix), EDGE) if ended else 0.0)
        return math.log(path.share + 1e-30) + self.weight * words + self.bonus * len(prefix)


def _last(prefix: tuple[int, ...]) -> tuple[int, int]:
    padded = (EDGE, EDGE, *prefix[-2:])
    return padded[-2], padded[-1]
