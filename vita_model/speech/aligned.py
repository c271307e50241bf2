"""The small speech decoder: phonemes to codec codes by NAR, then AR.

The NAR part reads all phonemes at once, decides how long each one lasts and lays out one row per
code with a first guess of the code. The AR part goes through the rows from left to right, sees its
own previous codes and decides. Lengths come from an aligned synthesiser, so nothing can be skipped
or repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    def step(self, x: Tensor, past: _Past, at: int, bias: Tensor) -> Tensor:
        """Inference: one row for each voice.

        Args:
            x: Their rows, `[voices, width]`.
            past: Keys and values of all voices; the row's own are written into it.
            at: Place of the row.
            bias: What is added to the scores of the window, `[voices, 1, 1, window]`.
        """
        voices, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(voices, 3, self.heads, 1, -1).unbind(1)
        past.keys[:, :, at], past.values[:, :, at] = k[:, :, 0], v[:, :, 0]
        window = slice(at + 1 - self.window, at + 1)
        scores = torch.matmul(q, past.keys[:, :, window].transpose(2, 3))
        weights = torch.softmax(scores * (width // self.heads) ** -0.5 + bias, -1)
        out = torch.matmul(weights, past.values[:, :, window]).reshape(voices, width)
        x = x + self.out(out)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


@dataclass(frozen=True, slots=True)
class _Past:
    """Keys and values of one block, `[voices, heads, places, head_width]`."""

    keys: Tensor
    values: Tensor


@dataclass(slots=True)
class Memory:
    """What one voice remembers between steps of the AR part.

    Attributes:
        past: Keys and values of the last window, `[blocks, 2, heads, window, head_width]`.
        count: Codes spoken so far.
        coarse: The last code; `config.codes` stands for none.
        fine: Like `coarse`.
    """

    past: Tensor
    count: int
    coarse: int
    fine: int


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

    def memory(self) -> Memory:
        """Of a voice that has said nothing yet."""
        block = cast(CausalBlock, self.speaking[0])
        size = (len(self.speaking), 2, block.heads, block.window, self.config.width // block.heads)
        return Memory(torch.zeros(size), 0, self.config.codes, self.config.codes)

    @torch.no_grad()
    def codes(self, memories: Sequence[Memory], rows: Tensor) -> Tensor:
        """AR pass of several voices, place by place.

        Args:
            memories: What each voice remembers; brought up to date.
            rows: The next laid-out rows of each, `[voices, places, width]`.

        Returns:
            Coarse and fine codes, `[voices, places, 2]`.
        """
        places = rows.shape[1]
        blocks = [cast(CausalBlock, block) for block in self.speaking]
        window = blocks[0].window
        stacked = F.pad(torch.stack([memory.past for memory in memories]), (0, 0, 0, places))
        pasts = [_Past(stacked[:, index, 0], stacked[:, index, 1]) for index in range(len(blocks))]
        known = torch.tensor([min(memory.count, window) for memory in memories])
        age = torch.arange(window - 1, -1, -1)
        coarse = torch.tensor([memory.coarse for memory in memories])
        fine = torch.tensor([memory.fine for memory in memories])
        found = []
        for place in range(places):
            unknown = age[None] > known[:, None] + place
            bias = (-0.05 * age).expand(len(memories), window).masked_fill(unknown, float("-inf"))
            x = rows[:, place] + self.previous(coarse) + self.previous_fine(fine)
            for block, past in zip(blocks, pasts, strict=True):
                x = block.step(x, past, window + place, bias[:, None, None])
            coarse = self.decide(x).argmax(-1)
            fine = self.refine(x + self.decided(coarse)).argmax(-1)
            found.append(torch.stack([coarse, fine], -1))
        codes = torch.stack(found, 1)
        for memory, past, spoken in zip(memories, stacked, codes, strict=True):
            memory.past = past[:, :, :, -window:].clone()
            memory.count += places
            memory.coarse, memory.fine = spoken[-1].tolist()
        return codes


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
