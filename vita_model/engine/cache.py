"""Keys and values of one conversation."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch.nn import functional as F


@dataclass(slots=True)
class Cache:
    """Keys and values of one sequence, with the identity of every row.

    Attributes:
        keys: `[layers, kv_heads, capacity, head_width]`; grows by doubling.
        values: Like `keys`.
        rows: What stands at each position; the length is the number of rows in use.
    """

    keys: Tensor
    values: Tensor
    rows: list[Hashable] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """Memory taken, room for growth included."""
        return self.keys.nbytes + self.values.nbytes

    def shared(self, rows: Sequence[Hashable]) -> int:
        """Length of the common beginning with another sequence."""
        count = 0
        for mine, other in zip(self.rows, rows, strict=False):
            if mine != other:
                break
            count += 1
        return count

    def cut(self, length: int) -> None:
        """Forget everything from `length` on."""
        del self.rows[length:]

    def reserve(self, length: int) -> None:
        """Make room for `length` rows."""
        capacity = self.keys.shape[2]
        if length > capacity:
            more = max(capacity, length - capacity)
            self.keys = F.pad(self.keys, (0, 0, 0, more))
            self.values = F.pad(self.values, (0, 0, 0, more))
