"""The loop: batches in, weights out, on any number of devices, and exactly the same after a stop.

Accelerate spreads the work and keeps the state. Everything else a step depends on - which examples,
which rate, which noise - is a function of its number, so a run that was stopped goes on as if it had
not been.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, FullyShardedDataParallelPlugin
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from vita_model.training.order import Order, share
from vita_model.training.parts import Learner, Part, part_of
from vita_model.training.recipe import Optimiser, Recipe, Stage
from vita_model.training.stopping import stopping
from vita_model.training.tasks.task import Batch, Loss, Task

STATE_FILE = "trainer.json"


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Report:
    """One step, for progress bars and plots.

    Attributes:
        step: Steps done.
        steps: Steps of the stage.
        losses: The total and its parts, per token, utterance or sample.
        rate: Learning rate of parts that have none of their own.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    rate: float


class _Stepper(nn.Module):
    """What is spread over devices: one batch to its loss."""

    def __init__(self, learner: Learner, task: Task) -> None:
        super().__init__()
        self.learner = learner
        self._task = task

    @override
    def forward(self, batch: Batch) -> Loss:
        return self._task.loss(self.learner, batch)


def rate_at(step: int, steps: int, optimiser: Optimiser) -> float:
    """Share of the full rate at a step: it rises over the warm-up, then falls as scheduled."""
    warmup = round(optimiser.warmup * steps)
    if step < warmup:
        return (step + 1) / warmup
    if optimiser.schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, steps - warmup)
    return 1 - done if optimiser.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))


def make_accelerator(recipe: Recipe) -> Accelerator:
    """What Accelerate needs to know; torchrun or `accelerate launch` say how many devices."""
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2) if recipe.sharded else None
    return Accelerator(
        mixed_precision="bf16" if recipe.precision == "bfloat16" else "no",
        fsdp_plugin=plugin,
        # A batch without pictures leaves the projector without a gradient.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


class Trainer:
    """Runs one stage.

    Args:
        learner: The model; parts that do not learn stay as they are.
        task: Makes losses of examples.
        stage: What learns, how fast, how long.
        recipe: Seed and precision.
        folder: Where states and figures are kept.
        accelerator: From `make_accelerator`.
    """

    def __init__(
        self,
        learner: Learner,
        task: Task,
        *,
        stage: Stage,
        recipe: Recipe,
        folder: Path,
        accelerator: Accelerator,
    ) -> None:
        self._task = task
        self._stage = stage
        self._folder = folder
        self._accelerator = accelerator
        learner.let_learn(stage.learns)
        stepper = _Stepper(learner, task)
        optimiser = torch.optim.AdamW(
            _groups(stepper, stage.optimiser),
            betas=stage.optimiser.betas,
            weight_decay=stage.optimiser.weight_decay,
        )
        self._stepper, self._optimiser = accelerator.prepare(stepper, optimiser)
        self._full = [group["lr"] for group in self._optimiser.param_groups]
        self._order = Order(task.size, recipe.seed)
        self._seed = recipe.seed
        self.steps = stage.steps_of(task.size)
        self.step = 0

    @property
    def learner(self) -> Learner:
        """The model, out of its wrappers."""
        unwrapped = cast(_Stepper, self._accelerator.unwrap_model(self._stepper))
        return unwrapped.learner

    def resume(self) -> bool:
        """Go on from the newest state in the folder, if there is one."""
        states = sorted(self._folder.glob("state-*"), key=lambda path: path.name)
        states = [state for state in states if (state / STATE_FILE).is_file()]
        if not states:
            return False
        self._accelerator.load_state(str(states[-1]))
        found = json.loads((states[-1] / STATE_FILE).read_text())
        if found["examples"] != self._task.size or found["steps"] != self.steps:
            raise TrainingError(
                f"{states[-1]} belongs to {found['steps']} steps over {found['examples']} examples,"
                f" and this stage has {self.steps} over {self._task.size}; use another folder."
            )
        self.step = int(found["step"])
        return True

    def run(
        self, report: Callable[[Report], None] = lambda _: None, *, save_every: int = 500
    ) -> bool:
        """Train to the end; True when it is reached, False when a signal asked to stop before.

        A state is saved every so many steps, at the end, and when the process is asked to stop
        (SIGINT or SIGTERM): then the running step is finished first.

        Raises:
            TrainingError: The loss is no number any more.
        """
        main = self._accelerator.is_main_process
        board = SummaryWriter(str(self._folder / "board")) if main else None
        with stopping() as stop, ThreadPoolExecutor(1, "vita-batches") as pool:
            ahead = pool.submit(self._batches, self.step)
            while self.step < self.steps and not self._all_stop(asked=stop()):
                batches = ahead.result()
                if self.step + 1 < self.steps:
                    ahead = pool.submit(self._batches, self.step + 1)
                losses = self._take_step(batches)
                self.step += 1
                rate = self._stage.optimiser.rate * self._share(self.step - 1)
                if main and board is not None:
                    for name, value in {**losses, "rate": rate}.items():
                        board.add_scalar(name, value, self.step)
                report(Report(self.step, self.steps, losses, rate))
                if self.step % save_every == 0 and self.step < self.steps:
                    self.save()
        if board is not None:
            board.close()
        self.save()
        return self.step >= self.steps

    def save(self) -> None:
        """Keep the state, in place of the one before."""
        target = self._folder / f"state-{self.step:08d}"
        self._accelerator.save_state(str(target), safe_serialization=True)
        if self._accelerator.is_main_process:
            rest = {"step": self.step, "steps": self.steps, "examples": self._task.size}
            (target / STATE_FILE).write_text(json.dumps(rest))
            for old in self._folder.glob("state-*"):
                if old != target:
                    shutil.rmtree(old)
        self._accelerator.wait_for_everyone()

    def _all_stop(self, *, asked: bool) -> bool:
        """One process that was asked to stop stops all: they must end at the same step."""
        mine = torch.tensor(float(asked), device=self._accelerator.device)
        return bool(self._accelerator.reduce(mine, "sum"))

    def _share(self, step: int) -> float:
        return rate_at(step, self.steps, self._stage.optimiser)

    def _batches(self, step: int) -> list[Batch]:
        """What this process reads in a step."""
        accelerator, batch = self._accelerator, self._stage.batch
        repeats = batch.accumulated(accelerator.num_processes)
        size = batch.per_device * accelerator.num_processes
        found: list[Batch] = []
        for repeat in range(repeats):
            number = step * repeats + repeat
            wanted = self._order.step(number, size)
            mine = share(wanted, accelerator.process_index, accelerator.num_processes)
            seed = (self._seed << 32) + number * accelerator.num_processes
            found.append(self._task.batch(mine, seed + accelerator.process_index))
        return found

    def _take_step(self, batches: Sequence[Batch]) -> dict[str, float]:
        accelerator = self._accelerator
        mine = torch.tensor(
            sum(self._task.count(batch) for batch in batches), device=accelerator.device
        )
        count = float(cast(Tensor, accelerator.reduce(mine, "sum")))
        if not count:
            raise TrainingError(
                f"Step {self.step} has nothing to learn; its examples are too long."
            )
        share_now = self._share(self.step)
        for group, full in zip(self._optimiser.param_groups, self._full, strict=True):
            group["lr"] = full * share_now
        sums: dict[str, Tensor] = {}
        for number, batch in enumerate(batches):
            last = number == len(batches) - 1
            waits = nullcontext() if last else accelerator.no_sync(self._stepper)
            with waits:
                loss: Loss = self._stepper(_moved(batch, accelerator.device))
                # Gradients are averaged over processes, and the count is that of all of them.
                accelerator.backward(loss.total * (accelerator.num_processes / count))
            for name, value in {"loss": loss.total.detach(), **loss.parts}.items():
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value
        norm = accelerator.clip_grad_norm_(
            self._stepper.parameters(), self._stage.optimiser.largest_gradient
        )
        if norm is not None and not math.isfinite(float(norm)):
            raise TrainingError(
                f"The loss of step {self.step} is no number any more; lower the rate, or look at the"
                " examples of this step."
            )
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        names = sorted(sums)
        together = torch.stack([sums[name].float() for name in names])
        reduced = cast(Tensor, accelerator.reduce(together, "sum")) / count
        return dict(zip(names, reduced.tolist(), strict=True))


def _groups(stepper: _Stepper, optimiser: Optimiser) -> list[dict[str, Any]]:
    """Parameters that learn, by rate."""
    by_rate: dict[float, list[nn.Parameter]] = {}
    for name, parameter in stepper.learner.learning():
        part: Part = part_of(name)
        by_rate.setdefault(optimiser.rates.get(part, optimiser.rate), []).append(parameter)
    return [{"params": group, "lr": rate} for rate, group in by_rate.items()]


def _moved(batch: Batch, device: torch.device) -> Batch:
    def move(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device, non_blocking=True)
        return [move(one) for one in value] if isinstance(value, list) else value

    return {name: move(value) for name, value in batch.items()}
