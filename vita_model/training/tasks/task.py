"""The interface between the trainer and what is learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from vita_model.training.parts import Learner

Batch = Mapping[str, Any]
"""Tensors (or lists of them) by name, on the CPU until the trainer moves them."""


class Loss(NamedTuple):
    """What one batch gave, as sums: the trainer divides by the count of the whole step.

    Attributes:
        total: What is made small, `[]`.
        parts: Its parts without gradient, for the log.
    """

    total: Tensor
    parts: dict[str, Tensor]


class Task(Protocol):
    """Reads examples and computes their loss. Holds no weights."""

    @property
    def size(self) -> int:
        """Number of examples."""
        ...

    def batch(self, indices: Sequence[int], seed: int) -> Batch:
        """Read these examples. Anything random in it is fixed by `seed`."""
        ...

    def count(self, batch: Batch) -> float:
        """What the summed loss of a batch is divided by: tokens, utterances or samples."""
        ...

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        """Forward pass and loss."""
        ...


class TaskError(ValueError):
    """A stage's task, data and model do not fit together; the message says what to change."""
