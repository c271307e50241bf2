"""One of several processes that train together: recipe, folder, file for the losses.

After two steps the first process is asked to stop, and all go on from what they saved.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import torch

from vita_model.training.recipe import Stage, read_recipe
from vita_model.training.run import run_recipe
from vita_model.training.trainer import Report

if __name__ == "__main__":
    file, work, log = (Path(argument) for argument in sys.argv[1:])
    losses: list[float] = []

    def note(_: Stage, step: Report) -> None:
        losses.append(step.losses["loss"])
        if step.step == 2:
            signal.raise_signal(signal.SIGTERM)

    recipe = read_recipe(file)
    (stopped,) = run_recipe(recipe, work, report=note)
    assert (stopped.step, stopped.checkpoint) == (2, None)
    run_recipe(recipe, work, resume=True, report=note)
    if losses:
        log.write_text(json.dumps(losses))
    torch.distributed.destroy_process_group()
