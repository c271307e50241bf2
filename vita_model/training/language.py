"""Stage 1 of vita-tiny: teach the backbone to answer from the facts in its prompt.

Low-rank adapters on the upper blocks, frozen backbone in bfloat16, prefix-shared packing: one
system prompt and many independent questions in one sequence, each of which sees only the prompt
and itself, its positions restarting after the prompt.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from vita_model.audio.units import unit_ids
from vita_model.backbone import Backbone
from vita_model.engine.chat import Chat
from vita_model.training.adapted import Adapted, Recipe, cut
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
    model = Adapted(backbone, recipe, Chat(tokenizer).trained_tokens, start)
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
            if not recipe.whole or spent >= total:
                export(cut(model, backbone, start, recipe.rank), folder / "language.safetensors")
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


def export(delta: Mapping[str, Tensor], path: Path) -> None:
    """Write low-rank matrices and marker rows in half precision."""
    save_file({name: value.half().contiguous() for name, value in delta.items()}, path)


def load(path: Path) -> dict[str, Tensor]:
    """Read what `export` wrote."""
    return load_file(path)
