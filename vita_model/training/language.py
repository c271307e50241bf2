"""Stage 1 of vita-tiny: teach the backbone to answer from the facts in its prompt.

Low-rank adapters on the upper blocks, frozen backbone in bfloat16, prefix-shared packing: one
system prompt and many independent questions in one sequence, each of which sees only the prompt
and itself, its positions restarting after the prompt.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from vita_model.audio.units import unit_ids
from vita_model.backbone import Backbone, BackboneShape
from vita_model.engine.chat import Chat
from vita_model.training.dialogues import (
    Dialogue,
    Split,
    ToolCall,
    Turn,
    asr_noise,
    sample_dialogue,
    system_prompt,
)
from vita_model.training.heard import Heard
from vita_model.vision.words import word_ids

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of the stage. Right answers are counted when it saves if `examined`, else at the end."""

    rank: int = 24
    first_layer: int = 8
    scale: float = 2.0
    rate: float = 1.2e-3
    warmup: int = 20
    minutes: float = 60.0
    packs: int = 2
    questions: int = 10
    sampled_vocabulary: int = 6144
    seed: int = 1
    report_every: int = 10
    save_minutes: float = 3.0
    examined: bool = True
    pictures: float = 0.0


class Adapted(nn.Module):
    """The backbone with trainable low-rank adapters and marker rows."""

    def __init__(self, backbone: Backbone, recipe: Recipe, markers: list[int]) -> None:
        super().__init__()
        shape = backbone.shape
        self.shape: BackboneShape = shape
        self.recipe = recipe
        self.markers = torch.tensor(markers)
        self.embedding = backbone.tensor("token_embd.weight").bfloat16()
        self.norm = backbone.tensor("output_norm.weight").bfloat16()
        self.layers = [
            {name: value.bfloat16() for name, value in backbone.layer(i).items()}
            for i in range(shape.layers)
        ]
        self.marker_rows = nn.Parameter(self.embedding[self.markers].float())
        down, up = {}, {}
        generator = torch.Generator().manual_seed(recipe.seed)
        for index in range(recipe.first_layer, shape.layers):
            for name, value in self.layers[index].items():
                short = name.split(".")[-2]
                if short in PROJECTIONS:
                    key = f"{index}_{short}"
                    rows, columns = value.shape
                    noise = torch.randn(recipe.rank, columns, generator=generator)
                    down[key] = nn.Parameter(noise / math.sqrt(columns))
                    up[key] = nn.Parameter(torch.zeros(rows, recipe.rank))
        self.down = nn.ParameterDict(down)
        self.up = nn.ParameterDict(up)

    def start_from(self, delta: Mapping[str, Tensor]) -> None:
        """Take over matrices and marker rows as `export` wrote them."""
        with torch.no_grad():
            self.marker_rows.copy_(delta["markers.weight"])
            for key, down in self.down.items():
                layer, name = key.split("_", 1)
                place = f"layers.{layer}.{'self_attn' if name[0] in 'qkvo' else 'mlp'}.{name}"
                down.copy_(delta[f"{place}.down"])
                self.up[key].copy_(delta[f"{place}.up"] / self.recipe.scale)

    def _linear(self, x: Tensor, layer: int, name: str, short: str) -> Tensor:
        y = F.linear(x, self.layers[layer][name])
        if layer >= self.recipe.first_layer:
            key = f"{layer}_{short}"
            low = F.linear(x, self.down[key].bfloat16())
            y = y + self.recipe.scale * F.linear(low, self.up[key].bfloat16())
        return y

    def rows(self, ids: Tensor) -> Tensor:
        """Embedding rows with the trainable markers put in, `[tokens, width]`."""
        base = self.embedding[ids]
        for index, marker in enumerate(self.markers.tolist()):
            base = torch.where((ids == marker)[:, None], self.marker_rows[index].bfloat16(), base)
        return base

    @override
    def forward(self, ids: Tensor, positions: Tensor, allowed: Tensor) -> Tensor:
        """Final hidden states.

        Args:
            ids: `[tokens]`.
            positions: `[tokens]`, restarting after the prompt for every question.
            allowed: `[tokens, tokens]` boolean, who may see whom.

        Returns:
            `[tokens, width]` in bfloat16.
        """
        shape = self.shape
        x = self.rows(ids)
        half = shape.head_width // 2
        inverse = shape.rope_base ** (-torch.arange(half) / half)
        angle = positions[:, None].float() * inverse[None]
        cos, sin = angle.cos().bfloat16()[None], angle.sin().bfloat16()[None]

        def rotate(value: Tensor) -> Tensor:
            a, b = value[..., :half], value[..., half:]
            return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

        for index in range(shape.layers):
            with torch.set_grad_enabled(index >= self.recipe.first_layer and self.training):
                weights = self.layers[index]
                h = _norm(x, weights["input_layernorm.weight"], shape.epsilon)
                q = self._linear(h, index, "self_attn.q_proj.weight", "q_proj")
                k = self._linear(h, index, "self_attn.k_proj.weight", "k_proj")
                v = self._linear(h, index, "self_attn.v_proj.weight", "v_proj")
                tokens = len(ids)
                q = rotate(q.view(tokens, shape.heads, -1).transpose(0, 1))
                k = rotate(k.view(tokens, shape.kv_heads, -1).transpose(0, 1))
                v = v.view(tokens, shape.kv_heads, -1).transpose(0, 1)
                groups = shape.heads // shape.kv_heads
                out = F.scaled_dot_product_attention(
                    q[None],
                    k.repeat_interleave(groups, 0)[None],
                    v.repeat_interleave(groups, 0)[None],
                    attn_mask=allowed,
                )[0]
                out = out.transpose(0, 1).reshape(tokens, -1)
                x = x + self._linear(out, index, "self_attn.o_proj.weight", "o_proj")
                h = _norm(x, weights["post_attention_layernorm.weight"], shape.epsilon)
                gate = self._linear(h, index, "mlp.gate_proj.weight", "gate_proj")
                up = self._linear(h, index, "mlp.up_proj.weight", "up_proj")
                x = x + self._linear(F.silu(gate) * up, index, "mlp.down_proj.weight", "down_proj")
        return _norm(x, self.norm, shape.epsilon)


def _norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    wide = x.float()
    scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
    return scaled.to(x.dtype) * weight


@dataclass(slots=True)
class Pack:
    """One training sequence."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, ids: list[int], start: int, group: int, answer: bool) -> int:
        """Append tokens; answers are predicted from the token before. Returns the next position."""
        for offset, token in enumerate(ids):
            if answer and self.ids:
                self.targets[-1] = token
            self.ids.append(token)
            self.positions.append(start + offset)
            self.groups.append(group)
            self.targets.append(-100)
        return start + len(ids)

    def mask(self) -> Tensor:
        """Causal within the prompt (group 0) and within each question."""
        group = torch.tensor(self.groups)
        same = (group[:, None] == group[None]) | (group[None] == 0)
        order = torch.arange(len(group))
        return same & (order[:, None] >= order[None])


class Packer:
    """Turns sampled dialogues into packs."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        rng: random.Random,
        split: Split,
        *,
        noisy: bool,
        pictures: float = 0.0,
        heard: Heard | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.chat = Chat(tokenizer)
        self.rng = rng
        self.split: Split = split
        self.noisy = noisy
        self.pictures = pictures
        self.heard = heard or Heard({}, tokenizer)

    def user(self, turn: Turn) -> tuple[list[int], int]:
        """Token ids of a caller's turn, and the marker its answer starts with."""
        words, marker = self._words(turn)
        if turn.picture is None:
            return words, marker
        return [*self.chat.picture(word_ids(turn.picture, self.tokenizer)), *words], marker

    def _words(self, turn: Turn) -> tuple[list[int], int]:
        rng = self.rng
        if turn.said == "" or turn.reply == "":
            marker = self.chat.noise
        elif rng.random() < 0.2 and turn.typed and turn.heard is None:
            return self.chat.text(turn.typed), self.chat.typed
        else:
            marker = self.chat.query
        if turn.heard is not None:
            return list(turn.heard), marker
        said = turn.said
        if self.noisy and said and rng.random() < 0.55:
            said = asr_noise(rng, said, rng.choice([0.06, 0.12, 0.2]))
        return unit_ids(said, self.tokenizer), marker

    def _turn(self, pack: Pack, turn: Turn, at: int, group: int) -> int:
        ids, marker = self.user(turn)
        at = pack.add(self.chat.user(ids), at, group, answer=False)
        if isinstance(turn.reply, ToolCall):
            call = self.chat.tool_call(turn.reply.name, turn.reply.arguments)
            at = pack.add([marker, *call, self.chat.end], at, group, answer=True)
            if turn.tool_result:
                at = pack.add(self.chat.newline, at, group, answer=False)
                at = pack.add(self.chat.tool_output(turn.tool_result), at, group, answer=False)
                answer = [self.chat.query, *self.chat.text(turn.after), self.chat.end]
                at = pack.add(answer, at, group, answer=True)
        elif marker == self.chat.noise:
            at = pack.add([marker, self.chat.end], at, group, answer=True)
        else:
            answer = [marker, *self.chat.text(turn.reply), self.chat.end]
            at = pack.add(answer, at, group, answer=True)
        return pack.add(self.chat.newline, at, group, answer=False)

    def pack(self, questions: int) -> Pack:
        """A pack of independent questions (mostly) or one dialogue of several turns."""
        independent = self.rng.random() < 0.8
        count = questions if independent else self.rng.randint(3, 6)
        dialogue = sample_dialogue(
            self.rng, self.split, independent=independent, turns=count, pictures=self.pictures
        )
        turns = [self.heard.turn(self.rng, turn) for turn in dialogue.turns]
        return self.from_dialogue(replace(dialogue, turns=turns), independent)

    def from_dialogue(self, dialogue: Dialogue, independent: bool) -> Pack:
        """Pack a given dialogue."""
        pack = Pack()
        start = pack.add(self.chat.system(system_prompt(dialogue)), 0, 0, answer=False)
        at = start
        for index, turn in enumerate(dialogue.turns):
            if independent:
                self._turn(pack, turn, start, index + 1)
            else:
                at = self._turn(pack, turn, at, 1)
        return pack


def loss_of(
    model: Adapted, pack: Pack, recipe: Recipe, rng: random.Random
) -> tuple[Tensor, int, int]:
    """Cross entropy over a sampled vocabulary; number of answer tokens, of right ones."""
    ids = torch.tensor(pack.ids)
    hidden = model(ids, torch.tensor(pack.positions), pack.mask())
    targets = torch.tensor(pack.targets)
    places = torch.nonzero(targets >= 0)[:, 0]
    wanted = targets[places]
    sample = torch.randint(0, model.shape.vocabulary, (recipe.sampled_vocabulary // 4,))
    vocabulary = torch.unique(
        torch.cat([torch.arange(recipe.sampled_vocabulary), ids, wanted, sample])
    )
    table = model.rows(vocabulary)
    logits = (hidden[places] @ table.T).float()
    lookup = torch.full((model.shape.vocabulary,), -1)
    lookup[vocabulary] = torch.arange(len(vocabulary))
    labels = lookup[wanted]
    loss = F.cross_entropy(logits, labels)
    right = int((logits.argmax(1) == labels).sum())
    del rng
    return loss, len(labels), right


@torch.no_grad()
def exact_rate(
    model: Adapted,
    tokenizer: Tokenizer,
    split: Split,
    count: int,
    *,
    seed: int,
    pictures: float = 0.0,
) -> tuple[float, dict[str, tuple[int, int]]]:
    """Share of turns whose whole answer is predicted, overall and by intent."""
    model.eval()
    rng = random.Random(seed)
    packer = Packer(tokenizer, rng, split, noisy=False)
    right, total = 0, 0
    intents: dict[str, tuple[int, int]] = {}
    while total < count:
        dialogue = sample_dialogue(rng, split, independent=True, turns=8, pictures=pictures)
        pack = packer.from_dialogue(dialogue, True)
        ids = torch.tensor(pack.ids)
        hidden = model(ids, torch.tensor(pack.positions), pack.mask())
        targets = torch.tensor(pack.targets)
        groups = torch.tensor(pack.groups)
        logits = hidden @ model.rows(torch.arange(model.shape.vocabulary)).T
        good = logits.argmax(1) == targets
        for index, turn in enumerate(dialogue.turns):
            place = (targets >= 0) & (groups == index + 1)
            hit = bool(good[place].all())
            right += hit
            total += 1
            old = intents.get(turn.intent, (0, 0))
            intents[turn.intent] = (old[0] + hit, old[1] + 1)
    model.train()
    return right / total, intents


def train(
    backbone: Backbone,
    folder: Path,
    recipe: Recipe,
    *,
    start: Mapping[str, Tensor] | None = None,
    heard: Path | None = None,
) -> None:
    """Run or resume the stage; writes `folder/language.safetensors` and a log of figures.

    Args:
        backbone: The frozen language model.
        folder: Where state and result are kept.
        recipe: Settings.
        start: Matrices to go on from instead of none.
        heard: What the listener made of picture questions, as `heard.make` wrote it.
    """
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = backbone.tokenizer()
    model = Adapted(backbone, recipe, Chat(tokenizer).trained_tokens)
    if start is not None:
        model.start_from(start)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.0
    )
    state_file = folder / "language.pt"
    step, spent = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    rng = random.Random(recipe.seed + step)
    packer = Packer(
        tokenizer,
        rng,
        "train",
        noisy=True,
        pictures=recipe.pictures,
        heard=Heard.read(heard, tokenizer) if heard else None,
    )
    model.train()
    total = recipe.minutes * 60
    last_save = time.monotonic()
    losses: list[tuple[float, int, int]] = []
    while spent < total:
        begin = time.process_time()
        share = spent / total
        rate = recipe.rate * min(1.0, (step + 1) / recipe.warmup) * max(0.02, 1.0 - share)
        for group in optimiser.param_groups:
            group["lr"] = rate
        for _ in range(recipe.packs):
            loss, count, right = loss_of(model, packer.pack(recipe.questions), recipe, rng)
            (loss / recipe.packs).backward()
            losses.append((float(loss.detach()), count, right))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        spent += time.process_time() - begin
        if step % recipe.report_every == 0:
            tokens = sum(c for _, c, _ in losses)
            line = {
                "step": step,
                "minutes": round(spent / 60, 2),
                "loss": round(sum(v * c for v, c, _ in losses) / tokens, 4),
                "token_accuracy": round(sum(r for _, _, r in losses) / tokens, 4),
            }
            losses.clear()
            print(json.dumps(line), flush=True)
        if time.monotonic() - last_save > recipe.save_minutes * 60 or spent >= total:
            last_save = time.monotonic()
            torch.save(
                {
                    "model": model.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step,
                    "spent": spent,
                },
                state_file,
            )
            export(model, folder / "language.safetensors")
            if recipe.examined or spent >= total:
                rates = _rates(model, tokenizer, recipe.pictures)
                print(json.dumps({"step": step, **rates}), flush=True)


def _rates(model: Adapted, tokenizer: Tokenizer, pictures: float) -> dict[str, float]:
    """Shares of whole answers right: unseen and known wording, and questions about pictures."""
    test, _ = exact_rate(model, tokenizer, "test", 64, seed=5)
    known, _ = exact_rate(model, tokenizer, "train", 32, seed=6)
    rates = {"exact_unseen": test, "exact_known": known}
    if pictures:
        mixed, intents = exact_rate(model, tokenizer, "test", 96, seed=7, pictures=pictures)
        right, asked = map(
            sum, zip(*(p for n, p in intents.items() if n.startswith("picture")), strict=True)
        )
        rates |= {"exact_mixed": mixed, "exact_pictures": right / max(1, asked)}
    return {name: round(value, 3) for name, value in rates.items()}


def export(model: Adapted, path: Path) -> None:
    """Write adapters and marker rows in half precision."""
    tensors = {"markers.weight": model.marker_rows.detach()}
    for key, value in model.down.items():
        layer, name = key.split("_", 1)
        part = "self_attn" if name[0] in "qkvo" else "mlp"
        tensors[f"layers.{layer}.{part}.{name}.down"] = value.detach()
        tensors[f"layers.{layer}.{part}.{name}.up"] = model.up[key].detach() * model.recipe.scale
    save_file({name: value.half().contiguous() for name, value in tensors.items()}, path)


def load(path: Path) -> dict[str, Tensor]:
    """Read what `export` wrote."""
    return load_file(path)
