"""One of several processes that train together: recipe, folder, file for the losses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from vita_model.training.recipe import read_recipe
from vita_model.training.run import run_recipe

if __name__ == "__main__":
    file, work, log = (Path(argument) for argument in sys.argv[1:])
    losses: list[float] = []
    run_recipe(read_recipe(file), work, report=lambda _, step: losses.append(step.losses["loss"]))
    if losses:
        log.write_text(json.dumps(losses))
    torch.distributed.destroy_process_group()
