"""Stage 1 of vita-tiny: teach the backbone to answer from the facts in its prompt.

Low-rank adapters on the upper blocks, frozen backbone, prefix-shared packing: one
system prompt and many independent questions in one sequence, each of which sees only the prompt
and itself, its positions restarting after the prompt.
"""

from __future__ import annotations

import random
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
    sample_aside,
    sample_dialogue,
    system_prompt,
)
from vita_model.training.heard import Heard
from vita_model.training.loop import Run, train_steps
from vita_model.training.own import Own
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
        asides: float = 0.0,
        heard: Heard | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.chat = Chat(tokenizer)
        self.rng = rng
        self.split: Split = split
        self.noisy = noisy
        self.pictures = pictures
        self.asides = asides
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
        if independent and self.asides:
            turns = [
                sample_aside(self.rng, self.split) if self.rng.random() < self.asides else turn
                for turn in turns
            ]
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


def loss_of_pack(model: Adapted, pack: Pack, recipe: Recipe) -> tuple[Tensor, int, int]:
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
    return loss, len(labels), right


@torch.no_grad()
def examine(
    model: Adapted, tokenizer: Tokenizer, dialogue: Dialogue, seed: int = 0
) -> tuple[int, int, dict[str, tuple[int, int]]]:
    """Turns whose whole answer is predicted, of how many, and both by intent."""
    model.eval()
    pack = Packer(tokenizer, random.Random(seed), "test", noisy=False).from_dialogue(dialogue, True)
    hidden = model(torch.tensor(pack.ids), torch.tensor(pack.positions), pack.mask())
    targets, groups = torch.tensor(pack.targets), torch.tensor(pack.groups)
    logits = hidden @ model.rows(torch.arange(model.shape.vocabulary)).T
    good = logits.argmax(1) == targets
    intents: dict[str, tuple[int, int]] = {}
    for index, turn in enumerate(dialogue.turns):
        hit = bool(good[(targets >= 0) & (groups == index + 1)].all())
        right, asked = intents.get(turn.intent, (0, 0))
        intents[turn.intent] = (right + hit, asked + 1)
    model.train()
    return sum(r for r, _ in intents.values()), len(dialogue.turns), intents


def train(
    backbone: Backbone,
    run: Run,
    recipe: Recipe,
    *,
    start: Mapping[str, Tensor] | None = None,
    heard: Heard | None = None,
    own: Own | None = None,
) -> bool:
    """Run or resume; when done, `language.safetensors` stands beside the state.

    Args:
        backbone: The frozen language model.
        run: Length, place and chance.
        recipe: Settings.
        start: Matrices to go on from instead of none.
        heard: What the listener made of picture questions, as `heard.make` wrote it.
        own: A business's own phrases, which some of the packs are about.
    """
    torch.manual_seed(run.seed)
    tokenizer = backbone.tokenizer()
    recipe = replace(recipe, seed=run.seed)
    model = Adapted(backbone, recipe, Chat(tokenizer).trained_tokens, start)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=run.pace.rate, betas=(0.9, 0.98), weight_decay=0.0
    )

    def loss_of(_: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        packer = Packer(
            tokenizer,
            rng,
            "train",
            noisy=True,
            pictures=recipe.pictures,
            asides=recipe.asides,
            heard=heard,
        )
        total, answers, good = torch.zeros(()), 0, 0
        for _ in range(recipe.packs):
            if own is not None and rng.random() < own.share:
                pack = packer.from_dialogue(own.dialogue(rng), True)
            else:
                pack = packer.pack(recipe.questions)
            loss, count, right = loss_of_pack(model, pack, recipe)
            (loss / recipe.packs).backward()
            total, answers, good = total + loss.detach(), answers + count, good + right
        return total / recipe.packs, {"right": good / max(1, answers)}

    finished = train_steps(run, model, optimiser, loss_of, state=run.state())
    if finished:
        export(cut(model, backbone, start, recipe.rank), run.file.with_suffix(".safetensors"))
    return finished


def export(delta: Mapping[str, Tensor], path: Path) -> None:
    """Write low-rank matrices and marker rows in half precision."""
    save_file({name: value.half().contiguous() for name, value in delta.items()}, path)


def load(path: Path) -> dict[str, Tensor]:
    """Read what `export` wrote."""
    return load_file(path)
