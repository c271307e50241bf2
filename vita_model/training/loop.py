"""The loop of vita-tiny's stages on one core: the same losses after a stop as without one.

Everything a step draws comes from the seed and its number, so only weights, optimiser and what a
stage keeps besides are saved.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vita_model.training.stopping import stopping
from vita_model.training.trainer import Report, TrainingError

State = dict[str, Any]
LossOf = Callable[[int, random.Random], tuple[Tensor, Mapping[str, float]]]
_LEAST_RATE = 0.02


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how fast a stage learns.

    Attributes:
        steps: Its length.
        rate: Learning rate after the warm-up.
        warmup: Steps over which the rate rises.
        fall: Share of the steps, at the end, over which the rate falls in a line.
        largest_gradient: Longer gradients are cut to this norm.
        save_every: Steps between saved states.
    """

    steps: int
    rate: float
    warmup: int = 50
    fall: float = 1.0
    largest_gradient: float = 1.0
    save_every: int = 100

    def rate_at(self, step: int) -> float:
        """Learning rate of a step."""
        left = (1 - step / self.steps) / self.fall
        return self.rate * min(1.0, (step + 1) / self.warmup) * max(_LEAST_RATE, min(1.0, left))


@dataclass(frozen=True, slots=True)
class Run:
    """How a stage is run.

    Attributes:
        file: Where its state is kept; also what later stages read.
        seed: Fixes order and noise.
        pace: See there.
        report: Called after every step.
    """

    file: Path
    seed: int
    pace: Pace
    report: Callable[[Report], None] = lambda _: None

    def state(self) -> State | None:
        """What was saved, if anything was."""
        if not self.file.exists():
            return None
        return dict(torch.load(self.file, weights_only=True))

    def draw(self, step: int) -> random.Random:
        """The chance of a step; PyTorch's own is set along with it."""
        rng = random.Random(f"{self.seed}-{step}")
        torch.manual_seed(rng.getrandbits(62))
        return rng


def train_steps(
    run: Run,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    loss_of: LossOf,
    *,
    state: State | None,
    kept: Callable[[], State] = dict,
) -> bool:
    """Learn until the last step; True when it is reached, False when asked to stop before.

    Args:
        run: Length, place and chance.
        module: What is saved as `model`.
        optimiser: Of the parameters that learn.
        loss_of: The loss of a step and its parts; it may call `backward` on pieces and return their
            sum without a gradient.
        state: From `run.state()`; the caller has read what `kept` gave it.
        kept: What is saved besides.

    Raises:
        TrainingError: The loss is no number any more, or the state is of a longer or shorter stage.
    """
    torch.set_num_threads(1)
    pace, step = run.pace, 0
    if state is not None:
        if state["steps"] != pace.steps:
            raise TrainingError(
                f"{run.file} belongs to {state['steps']} steps and this stage has {pace.steps};"
                " use another folder, or delete the file."
            )
        module.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step = int(state["step"])

    def save() -> None:
        run.file.parent.mkdir(parents=True, exist_ok=True)
        parts = {"model": module.state_dict(), "optimiser": optimiser.state_dict()}
        fresh = run.file.with_suffix(".new")
        torch.save({**parts, "step": step, "steps": pace.steps, **kept()}, fresh)
        fresh.replace(run.file)

    module.train()
    learning = [p for group in optimiser.param_groups for p in group["params"]]
    with stopping() as asked:
        while step < pace.steps and not asked():
            for group in optimiser.param_groups:
                group["lr"] = pace.rate_at(step)
            loss, figures = loss_of(step, run.draw(step))
            if loss.requires_grad:
                loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(learning, pace.largest_gradient)
            if not math.isfinite(float(norm)):
                raise TrainingError(
                    f"The loss of step {step} is no number any more; lower the rate."
                )
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            rate = pace.rate_at(step)
            step += 1
            shown = {"loss": float(loss.detach()), **figures}
            run.report(Report(step, pace.steps, shown, rate))
            if step % pace.save_every == 0 and step < pace.steps:
                save()
    save()
    module.eval()
    return step >= pace.steps
