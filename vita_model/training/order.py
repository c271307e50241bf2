"""Which examples a step reads: a pure function of seed and step, so that it can be resumed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Order:
    """Shuffles anew for every pass over the data. Costs no memory between steps but one permutation.

    Attributes:
        size: Number of examples.
    """

    def __init__(self, size: int, seed: int) -> None:
        if size < 1:
            raise ValueError("there is no example to read")
        self.size = size
        self._seed = seed
        self._known: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))

    def at(self, place: int) -> int:
        """The example at a place of the endless sequence of passes."""
        epoch, offset = divmod(place, self.size)
        if self._known[0] != epoch:
            generator = np.random.default_rng([self._seed, epoch])
            self._known = (epoch, generator.permutation(self.size))
        return int(self._known[1][offset])

    def step(self, step: int, batch: int) -> list[int]:
        """The examples of a step of `batch`."""
        return [self.at(place) for place in range(step * batch, (step + 1) * batch)]


def share(indices: Sequence[int], process: int, processes: int) -> list[int]:
    """What one of several processes reads of a step: every n-th example."""
    return list(indices[process::processes])


def kept(size: int, part: float) -> list[int]:
    """The examples of a source of which only a part is used, spread evenly over it."""
    count = max(1, round(size * part))
    return [int(index * size / count) for index in range(count)]
