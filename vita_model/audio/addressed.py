"""Is a sound meant for the agent? A small classifier on the listener's rows of the last 0.7 s."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, get_args

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

Sound = Literal["query", "backchannel", "side talk", "noise"]
SOUNDS: tuple[Sound, ...] = get_args(Sound)
ROWS = 36
"""Rows it looks at: 0.72 s, which holds the onset and a little before it."""
_SQUEEZED = 32
_HIDDEN = 32
_ENCODER = "encoder"


class Addressed(nn.Module):
    """Rows of the encoder in, logits of `SOUNDS` out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(width, _SQUEEZED)
        self.hidden = nn.Linear(ROWS // 2 * _SQUEEZED, _HIDDEN)
        self.out = nn.Linear(_HIDDEN, len(SOUNDS))

    @override
    def forward(self, rows: Tensor) -> Tensor:
        """`[batch, ROWS, width]` to `[batch, len(SOUNDS)]`."""
        squeezed = F.gelu(self.squeeze(rows))
        pairs = squeezed.unflatten(1, (ROWS // 2, 2)).mean(2)
        logits: Tensor = self.out(F.gelu(self.hidden(pairs.flatten(1))))
        return logits

    def query(self, rows: Tensor, tail: int) -> float:
        """Probability that the sound so far is meant for the agent; see `recent` for the arguments."""
        return float(self(recent(rows, tail)[None]).softmax(-1)[0, 0])


def recent(rows: Tensor, tail: int) -> Tensor:
    """The last `ROWS` rows of sound, zeros before what is shorter.

    Args:
        rows: Rows of one utterance, `[rows, width]`.
        tail: Rows at the end that hear only the silence the encoder adds.
    """
    kept = rows[: len(rows) - tail][-ROWS:]
    return F.pad(kept, (0, 0, ROWS - len(kept), 0))


def fingerprint(encoder: nn.Module) -> str:
    """Tells encoders apart: the classifier knows the rows of one only."""
    digest = hashlib.sha256()
    for value in encoder.state_dict().values():
        digest.update(value.half().numpy().tobytes())
    return digest.hexdigest()


def save_addressed(module: Addressed, encoder: nn.Module, path: Path) -> None:
    """Write the weights in half precision."""
    weights = {name: value.half().contiguous() for name, value in module.state_dict().items()}
    save_file(weights, path, {_ENCODER: fingerprint(encoder)})


def load_addressed(path: Path, encoder: nn.Module, width: int) -> Addressed | None:
    """Read the weights; None when they were trained for another encoder.

    Raises:
        OSError: there is no such file.
        RuntimeError: they do not fit.
        SafetensorError: the file cannot be read.
    """
    with safe_open(path, "pt") as file:
        if (file.metadata() or {}).get(_ENCODER) != fingerprint(encoder):
            return None
        weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - it is no mapping
    module = Addressed(width)
    module.load_state_dict(weights)
    return module.eval()
