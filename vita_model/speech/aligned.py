"""The small speech decoder: phonemes to codec codes by NAR, then AR.

The NAR part reads all phonemes at once, decides how long each one lasts and lays out one row per
code with a first guess of the code. The AR part goes through the rows from left to right, sees its
own previous codes and decides. Lengths come from an aligned synthesiser, so nothing can be skipped
or repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from vita_model.audio.ctc_adapter import Block


@dataclass(frozen=True, slots=True)
class AlignedConfig:
    """Sizes of the decoder."""

    phonemes: int = 0
    codes: int = 1024
    width: int = 256
    heads: int = 4
    hidden: int = 640
    reading: int = 3
    laying: int = 3
    speaking: int = 3
    code_rate: int = 40


class CausalBlock(nn.Module):
    """Pre-norm block that sees earlier rows, with a growing cache."""

    def __init__(self, width: int, heads: int, hidden: int, window: int = 64) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Training: `[batch, rows, width]` with a causal window."""
        batch, rows, width = x.shape
        q, k, v = (
            part.view(batch, rows, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, -1)
        )
        place = torch.arange(rows)
        distance = place[:, None] - place[None]
        mask = (distance >= 0) & (distance < self.window)
        bias = torch.where(mask, -0.05 * distance, float("-inf"))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.out(out.transpose(1, 2).reshape(batch, rows, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))

    def step(self, x: Tensor, cache: list[Tensor]) -> Tensor:
        """Inference: one row `[width]`; `cache` holds keys and values of the window."""
        width = x.shape[-1]
        q, k, v = self.qkv(self.norm1(x)).view(3, self.heads, 1, -1)
        if cache:
            k, v = torch.cat([cache[0], k], 1), torch.cat([cache[1], v], 1)
        k, v = k[:, -self.window :], v[:, -self.window :]
        cache[:] = [k, v]
        count = k.shape[1]
        bias = -0.05 * torch.arange(count - 1, -1, -1)
        scores = (q @ k.transpose(1, 2)) * (width // self.heads) ** -0.5 + bias
        out = (torch.softmax(scores, -1) @ v).reshape(width)
        x = x + self.out(out)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


@dataclass(frozen=True, slots=True)
class Plan:
    """What the NAR part decided: a row per code, its logits, and each phoneme's last code."""

    rows: Tensor
    logits: Tensor
    ends: list[int]


class AlignedSpeechDecoder(nn.Module):
    """NAR layout and AR decision over codec codes."""

    def __init__(self, config: AlignedConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.phonemes = nn.Embedding(config.phonemes + 1, width)
        self.reading = nn.ModuleList(
            Block(width, config.heads, config.hidden) for _ in range(config.reading)
        )
        self.length = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1)
        )
        self.place = nn.Linear(4, width)
        self.laying = nn.ModuleList(
            Block(width, config.heads, config.hidden) for _ in range(config.laying)
        )
        self.guess = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.codes))
        self.previous = nn.Embedding(config.codes + 1, width)
        self.previous_fine = nn.Embedding(config.codes + 1, width)
        self.speaking = nn.ModuleList(
            CausalBlock(width, config.heads, config.hidden) for _ in range(config.speaking)
        )
        self.decide = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.codes))
        self.decided = nn.Embedding(config.codes, width)
        self.refine = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.codes))

    def read(self, phonemes: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """`[batch, n]` phoneme ids to rows and log lengths (in codes), `[batch, n]`."""
        x = self.phonemes(phonemes)
        for block in self.reading:
            x = block(x, mask)
        return x, self.length(x)[..., 0]

    def lay(self, rows: Tensor, places: Tensor, mask: Tensor | None) -> Tensor:
        """Rows per code `[batch, codes, width]`; `places` holds where in its phoneme a code is."""
        x = rows + self.place(places)
        for block in self.laying:
            x = block(x, mask)
        return x

    def speak(self, rows: Tensor, before: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Training: coarse and fine logits, `[batch, codes, codes]` each.

        Args:
            rows: Laid-out rows, `[batch, codes, width]`.
            before: Codes before each place, `[batch, codes, 2]`; `config.codes` stands for none.
            coarse: Right coarse codes, which the fine ones are decided after.
        """
        x = rows + self.previous(before[..., 0]) + self.previous_fine(before[..., 1])
        for block in self.speaking:
            x = block(x)
        return self.decide(x), self.refine(x + self.decided(coarse))

    @torch.no_grad()
    def plan(self, phonemes: Tensor, pace: float = 1.0) -> Plan:
        """NAR pass over one phrase, `[n]` phoneme ids. `pace` above 1 speaks slower."""
        rows, lengths = self.read(phonemes[None], None)
        exact = torch.cumsum(torch.exp(lengths[0]) * pace, 0)
        ends = torch.round(exact).long()
        owner, places = layout(exact)
        laid = self.lay(rows[:, owner], places[None], None)[0]
        return Plan(laid, self.guess(laid), ends.tolist())

    @torch.no_grad()
    def codes(self, plan: Plan, *, top: int = 1, seed: int = 0) -> Iterator[tuple[int, int]]:
        """AR pass: coarse and fine code one place after another; `top` 1 is greedy."""
        generator = torch.Generator().manual_seed(seed)
        caches: list[list[Tensor]] = [[] for _ in self.speaking]
        coarse = fine = self.config.codes
        for row in plan.rows:
            x = row + self.previous.weight[coarse] + self.previous_fine.weight[fine]
            for block, cache in zip(self.speaking, caches, strict=True):
                x = cast(CausalBlock, block).step(x, cache)
            values, indices = self.decide(x).topk(top)
            pick = torch.multinomial(torch.softmax(values, -1), 1, generator=generator)
            coarse = int(indices[pick])
            fine = int(self.refine(x + self.decided.weight[coarse]).argmax())
            yield coarse, fine


def layout(exact_ends: Tensor) -> tuple[Tensor, Tensor]:
    """Which phoneme each code belongs to and where in it the code lies.

    Args:
        exact_ends: Cumulative lengths in codes, `[n]`, not rounded.

    Returns:
        Owner of every code `[codes]` and four place features `[codes, 4]`.
    """
    total = max(1, int(torch.round(exact_ends[-1])))
    middle = torch.arange(total) + 0.5
    owner = torch.searchsorted(exact_ends.contiguous(), middle).clamp(max=len(exact_ends) - 1)
    starts = F.pad(exact_ends[:-1], (1, 0))
    length = (exact_ends - starts).clamp(min=1e-3)[owner]
    inside = ((middle - starts[owner]) / length).clamp(0, 1)
    places = torch.stack([inside, 1 - inside, torch.log(length), (inside - 0.5).abs()], 1)
    return owner, places
