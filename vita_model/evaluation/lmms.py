"""The model for lmms-eval, which brings the benchmarks of pictures, films and sound.

lmms-eval (MIT) finds this through its entry points once both are installed:

    lmms-eval --model vita_agent --model_args checkpoint=FOLDER --tasks mmstar,videomme
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmms_eval.api.instance import GenerationResult, Instance, TokenCounts
from lmms_eval.api.model import lmms
from lmms_eval.models.registry_v2 import ModelManifest
from rich.progress import track
from typing_extensions import override

from vita_model.assembly import load_model
from vita_model.checkpoint import CheckpointError
from vita_model.evaluation.messages import MOST_TOKENS, Answerer, as_until
from vita_model.placement import device_named, weight_type
from vita_model.processor import MOST_TILES, VitaProcessor


def manifest() -> ModelManifest:
    """What lmms-eval asks the entry point for."""
    return ModelManifest("vita_agent", chat_class_path=f"{__name__}.VitaChat")


class VitaChat(lmms):  # type: ignore[misc] # its types are not installed here
    """A folder of weights as one of lmms-eval's chat models. Answers are greedy.

    Args:
        checkpoint: Folder of the weights, as `vita model chat` takes it.
        device: Where they go; `auto` for all devices.
        dtype: Type of the weights, or `auto`.
        most_tiles: Tiles of the pictures of one message.
        batch_size: Must be 1.
        others: What lmms-eval hands to every model.

    Raises:
        CheckpointError: The weights cannot be used, or `batch_size` is not 1.
    """

    is_simple = False

    def __init__(
        self,
        checkpoint: str,
        device: str | None = "cpu",
        dtype: str = "auto",
        most_tiles: int | str = MOST_TILES,
        batch_size: int | str | None = 1,
        **others: object,
    ) -> None:
        del others
        super().__init__()
        if str(batch_size or 1) != "1":
            raise CheckpointError("Questions are answered one at a time; use --batch_size 1.")
        model = load_model(
            Path(checkpoint), dtype=weight_type(dtype), device=device_named(device or "cpu")
        )
        processor = VitaProcessor.from_pretrained(checkpoint)
        self._answer = Answerer(model, processor, most_tiles=int(most_tiles))

    @override
    def generate_until(self, requests: Sequence[Instance]) -> list[GenerationResult]:
        """The answer to every question, in order."""
        found = []
        for request in track(requests, "Answers"):
            _, to_messages, options, number, task, split = request.args
            text, tokens = self._answer(
                to_messages(self.task_dict[task][split][number]),
                most_tokens=int(options.get("max_new_tokens", MOST_TOKENS)),
                until=as_until(options),
            )
            found.append(GenerationResult(text, TokenCounts(output_tokens=tokens)))
        return found

    @override
    def loglikelihood(self, requests: Sequence[Instance]) -> Any:
        """Not offered: the model answers in words."""
        raise NotImplementedError("This model gives no likelihoods; choose a generating task.")

    @override
    def generate_until_multi_round(self, requests: Sequence[Instance]) -> Any:
        """Not offered."""
        raise NotImplementedError("Tasks of several rounds are not supported.")
