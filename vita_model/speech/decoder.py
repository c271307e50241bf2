"""The speech decoder: text condition in, codec ids out, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vita_model.config import SpeechDecoderConfig


class Rotation(NamedTuple):
    """Cosines and sines of rotary positions, each `[n, head width]`."""

    cos: Tensor
    sin: Tensor


def rotation(positions: Tensor, head_width: int, theta: float) -> Rotation:
    """Rotary angles of `positions` `[n]`."""
    steps = torch.arange(0, head_width, 2, device=positions.device, dtype=torch.float32)
    angles = positions[:, None].float() * theta ** (-steps / head_width)
    angles = torch.cat([angles, angles], dim=1)
    return Rotation(angles.cos(), angles.sin())


def _rotate(heads: Tensor, turn: Rotation) -> Tensor:
    low, high = heads.chunk(2, dim=-1)
    turned = heads * turn.cos + torch.cat([-high, low], dim=-1) * turn.sin
    return turned.to(heads.dtype)


@dataclass(slots=True)
class KeyValues:
    """Keys and values of one layer, in buffers that double when they are full."""

    keys: Tensor | None = None
    values: Tensor | None = None
    filled: int = 0

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append `[batch, heads, n, width]`; returns all that is stored."""
        end = self.filled + keys.shape[2]
        if self.keys is None or self.values is None or end > self.keys.shape[2]:
            self.keys = self._grown(self.keys, keys, end)
            self.values = self._grown(self.values, values, end)
        self.keys[:, :, self.filled : end] = keys
        self.values[:, :, self.filled : end] = values
        self.filled = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def _grown(self, old: Tensor | None, like: Tensor, end: int) -> Tensor:
        batch, heads, _, width = like.shape
        new = like.new_empty(batch, heads, max(128, 2 * end), width)
        if old is not None:
            new[:, :, : self.filled] = old[:, :, : self.filled]
        return new


class Attention(nn.Module):
    """Multi-head attention with rotary positions and no biases."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def _split(self, rows: Tensor) -> Tensor:
        return rows.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def keys_and_values(self, rows: Tensor, turn: Rotation) -> tuple[Tensor, Tensor]:
        """Those of `rows` `[batch, n, width]`, each `[batch, heads, n, head width]`."""
        return _rotate(self._split(self.k_proj(rows)), turn), self._split(self.v_proj(rows))

    @override
    def forward(
        self, rows: Tensor, turn: Rotation, mask: Tensor | None, store: KeyValues | None
    ) -> Tensor:
        """`[batch, n, width]` to the same. Without a mask every row sees every key."""
        query = _rotate(self._split(self.q_proj(rows)), turn)
        key, value = self.keys_and_values(rows, turn)
        if store is not None:
            key, value = store.extend(key, value)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return cast(Tensor, self.o_proj(mixed.transpose(1, 2).flatten(2)))


class GatedMlp(nn.Module):
    """SiLU-gated feed-forward without biases."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    @override
    def forward(self, rows: Tensor) -> Tensor:
        """`[..., width]` to the same."""
        return cast(Tensor, self.down_proj(F.silu(self.gate_proj(rows)) * self.up_proj(rows)))


class Layer(nn.Module):
    """A Llama layer."""

    def __init__(self, config: SpeechDecoderConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.self_attn = Attention(width, config.heads)
        self.mlp = GatedMlp(width, config.intermediate_size)
        self.input_layernorm = nn.RMSNorm(width, eps=eps)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=eps)

    @override
    def forward(
        self, rows: Tensor, turn: Rotation, mask: Tensor | None, store: KeyValues | None
    ) -> Tensor:
        """See `Attention.forward`."""
        rows = rows + self.self_attn(self.input_layernorm(rows), turn, mask, store)
        return cast(Tensor, rows + self.mlp(self.post_attention_layernorm(rows)))

    def remember(self, rows: Tensor, turn: Rotation, store: KeyValues) -> None:
        """Keep what later rows will look back at, when nobody wants what becomes of these."""
        store.extend(*self.self_attn.keys_and_values(self.input_layernorm(rows), turn))


@dataclass(slots=True)
class SpeechState:
    """What a running utterance keeps between steps."""

    stores: list[KeyValues]
    position: int = 0


@dataclass(frozen=True, slots=True)
class SpeechSampling:
    """How codec ids are drawn.

    Attributes:
        top_k: 1 is greedy.
        penalty: Divides the logit of an id once for each time it stands in the window.
        window: Ids looked back at, the start id included; 0 or less switches the penalty off.
        max_codes: Codes after which an utterance ends anyway (40 a second).
    """

    top_k: int = 2
    penalty: float = 1.1
    window: int = -1
    max_codes: int = 1000


class SpeechLoss(NamedTuple):
    """Training output: summed cross entropy, logits `[batch, n + 1, vocabulary]`, targets."""

    loss: Tensor
    logits: Tensor
    targets: Tensor


def penalise(logits: Tensor, recent: Sequence[int], sampling: SpeechSampling) -> Tensor:
    """A float32 copy of `logits` `[vocabulary]`, smaller for each time an id stands in the window.

    Args:
        logits: What the decoder gave.
        recent: Ids so far, the start id included.
        sampling: Penalty and window.
    """
    logits = logits.float().clone()
    for seen in recent[-sampling.window :] if sampling.window > 0 else ():
        logits[seen] /= sampling.penalty
    return logits


@dataclass(slots=True)
class _Draw:
    """Draws one id after another; ids that are neither a code nor the end are never drawn."""

    config: SpeechDecoderConfig
    sampling: SpeechSampling
    generator: torch.Generator | None
    recent: list[int] = field(default_factory=list)

    def __call__(self, logits: Tensor) -> int:
        logits = penalise(logits, self.recent, self.sampling)
        logits[self.config.separator : self.config.end] = -torch.inf  # the start id too
        logits[self.config.pad] = -torch.inf
        if self.sampling.top_k == 1:
            drawn = int(logits.argmax())
        else:
            chances = logits.softmax(dim=0)
            best = chances.topk(min(self.sampling.top_k, chances.shape[0]))
            weights = torch.zeros_like(chances).scatter(0, best.indices, best.values)
            drawn = int(torch.multinomial(weights, 1, generator=self.generator))
        self.recent.append(drawn)
        return drawn


class SingleSteps(Protocol):
    """A quicker way to take steps of one row; see `vita_model.speech.steps`."""

    def can(self, ids: Sequence[int], state: SpeechState) -> bool:
        """Whether it can take this step."""
        ...

    def __call__(self, code: int, state: SpeechState) -> Tensor:
        """See `SpeechDecoder.step`."""
        ...


class SpeechDecoder(nn.Module):
    """A bidirectional front over the text condition, then autoregressive layers over codec ids.

    Attributes:
        steps: Takes single steps where the weights were packed for it.
    """

    def __init__(self, config: SpeechDecoderConfig) -> None:
        super().__init__()
        self.config = config
        vocabulary = config.codes + 4
        self.embedding = nn.Embedding(vocabulary, config.hidden_size, padding_idx=config.pad)
        self.layers_pre_nn = nn.ModuleList(Layer(config) for _ in range(config.front_layers))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        if config.prefix:
            self.layers_prefix = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.out_fnn = nn.Linear(config.hidden_size, vocabulary)
        self.steps: SingleSteps | None = None

    def _run(
        self,
        layers: nn.ModuleList,
        rows: Tensor,
        start: int = 0,
        mask: Tensor | None = None,
        stores: Sequence[KeyValues] | None = None,
    ) -> Tensor:
        turn = self._turn(start, rows)
        for number, layer in enumerate(layers):
            rows = layer(rows, turn, mask, None if stores is None else stores[number])
        return rows

    def _fill(
        self,
        layers: nn.ModuleList,
        rows: Tensor,
        stores: Sequence[KeyValues],
        mask: Tensor | None = None,
    ) -> None:
        """Like `_run` from position 0, but only for what the stores remember."""
        turn = self._turn(0, rows)
        for number, layer in enumerate(layers[:-1]):
            rows = layer(rows, turn, mask, stores[number])
        cast(Layer, layers[-1]).remember(rows, turn, stores[-1])

    def _turn(self, start: int, rows: Tensor) -> Rotation:
        positions = torch.arange(start, start + rows.shape[1], device=rows.device)
        width = self.config.hidden_size // self.config.heads
        return rotation(positions, width, self.config.rope_theta)

    def _embed(self, ids: Sequence[int], batch: int) -> Tensor:
        device = self.embedding.weight.device
        rows = self.embedding(torch.tensor(list(ids), device=device))
        return cast(Tensor, rows[None].expand(batch, -1, -1))

    def condition(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """The front: `[batch, n, width]` to the same, every row seeing every row."""
        return self._run(self.layers_pre_nn, hidden, mask=mask)

    def _fill_prefix(self, prefix: Tensor, mask: Tensor | None) -> list[KeyValues]:
        if not self.config.prefix:
            raise ValueError("this speech decoder has no prefix layers; leave the prefix out")
        stores = [KeyValues() for _ in self.layers]
        self._fill(self.layers_prefix, prefix, stores, mask)
        return stores

    def begin(self, hidden: Tensor, prefix: Tensor | None = None) -> tuple[SpeechState, Tensor]:
        """Read the text condition and feed the start id.

        Args:
            hidden: `[batch, n, width]`: embedding rows of the text, each cut into `width` pieces.
            prefix: `[batch, m, width]` for the prefix layers; it shares positions with the text.

        Returns:
            The state and the logits `[batch, vocabulary]` of the first code.
        """
        none = [KeyValues() for _ in self.layers]
        stores = none if prefix is None else self._fill_prefix(prefix, None)
        batch = hidden.shape[0]
        front = self.condition(hidden)
        rows = torch.cat([self._embed([self.config.separator], batch).to(front), front], dim=1)
        self._fill(self.layers, rows, stores)
        state = SpeechState(stores, rows.shape[1])
        return state, self.step([self.config.start] * batch, state)

    def step(self, ids: Sequence[int], state: SpeechState) -> Tensor:
        """Feed one id per batch row; returns the logits `[batch, vocabulary]` of the next."""
        if self.steps is not None and self.steps.can(ids, state):
            return self.steps(ids[0], state)
        rows = self._embed(ids, 1).transpose(0, 1)
        rows = self._run(self.layers, rows, state.position, stores=state.stores)
        state.position += 1
        return cast(Tensor, self.out_fnn(self.norm(rows[:, 0])))

    @torch.inference_mode()
    def generate(
        self,
        hidden: Tensor,
        *,
        prefix: Tensor | None = None,
        sampling: SpeechSampling | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[int]:
        """Yield codec ids (below `config.codes`) until the end id or `max_codes`.

        Args:
            hidden: See `begin`; the batch is one.
            prefix: See `begin`.
            sampling: How ids are drawn.
            generator: Source of randomness; None takes torch's default one.
        """
        sampling = sampling or SpeechSampling()
        draw = _Draw(self.config, sampling, generator, [self.config.start])
        state, logits = self.begin(hidden, prefix)
        for number in range(sampling.max_codes):
            if number:
                logits = self.step(draw.recent[-1:], state)
            drawn = draw(logits[0])
            if drawn == self.config.end:
                return
            yield drawn

    @override
    def forward(
        self,
        hidden: Tensor,
        hidden_lengths: Tensor,
        codes: Tensor,
        code_lengths: Tensor,
        *,
        prefix: Tensor | None = None,
        prefix_lengths: Tensor | None = None,
    ) -> SpeechLoss:
        """Teacher-forced training pass over a padded batch.

        Args:
            hidden: Text condition `[batch, n, width]`.
            hidden_lengths: int64 `[batch]`.
            codes: Codec ids `[batch, m]`, anything beyond the lengths.
            code_lengths: int64 `[batch]`.
            prefix: Optional `[batch, p, width]` for the prefix layers.
            prefix_lengths: int64 `[batch]`; needed with a prefix.
        """
        batch, size = codes.shape
        column = torch.arange(size + 1, device=codes.device)
        ends = code_lengths[:, None]
        padded = F.pad(codes, (0, 1)).masked_fill(column >= ends, self.config.pad)
        targets = torch.where(column == ends, self.config.end, padded)
        text = torch.arange(hidden.shape[1], device=codes.device) < hidden_lengths[:, None]
        front = self.condition(hidden, text[:, None, None])
        rows = torch.cat(
            [
                self._embed([self.config.separator], batch),
                front,
                self._embed([self.config.start], batch),
                self.embedding(padded[:, :-1]),
            ],
            dim=1,
        )
        known = F.pad(text, (1, 0), value=True)
        total, seen = rows.shape[1], known.shape[1]
        mask = torch.ones(total, total, dtype=torch.bool, device=codes.device).tril()
        mask = mask.expand(batch, -1, -1).clone()
        mask[:, :, :seen] = known[:, None]
        mask[:, :seen, seen:] = False
        stores = None
        if prefix is not None and prefix_lengths is not None:
            before = torch.arange(prefix.shape[1], device=codes.device) < prefix_lengths[:, None]
            stores = self._fill_prefix(prefix, before[:, None, None])
            mask = torch.cat([before[:, None].expand(-1, total, -1), mask], dim=2)
        rows = self._run(self.layers, rows, mask=mask[:, None], stores=stores)
        logits = self.out_fnn(self.norm(rows[:, seen:]))
        loss = F.cross_entropy(
            logits.flatten(0, 1).float(),
            targets.flatten(),
            ignore_index=self.config.pad,
            reduction="sum",
        )
        return SpeechLoss(loss, logits, targets)
