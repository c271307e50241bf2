"""An answer while it is still being generated: its text as it comes, and an end at any moment."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.generation.stopping_criteria import StoppingCriteria
from transformers.generation.streamers import BaseStreamer
from typing_extensions import override

if TYPE_CHECKING:
    from vita_model.assembly import VitaForConditionalGeneration
    from vita_model.processor import VitaProcessor
    from vita_model.prompt import Marker

_HALF_A_CHARACTER = "\ufffd"


class LiveAnswer(BaseStreamer, StoppingCriteria):
    """What one `generate` writes. Iterate, once, for the pieces of its text without the state.

    Attributes:
        ids: All ids so far, the state's first.
    """

    def __init__(
        self, processor: VitaProcessor, write: Callable[[str], None] | None = None
    ) -> None:
        self._processor = processor
        self._write = write
        self._pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stopped = False
        self._written = ""
        self.ids: list[int] = []

    @property
    def marker(self) -> Marker | None:
        """The state it began with, once there is one."""
        return self._decoded()[0]

    @property
    def text(self) -> str:
        """All text so far."""
        return self._decoded()[1]

    def _decoded(self) -> tuple[Marker | None, str]:
        return self._processor.decode(torch.tensor(self.ids, dtype=torch.int64))

    def wait(self) -> None:
        """Return when the answer has ended; its pieces are then gone."""
        for _ in self:
            pass

    def stop(self) -> None:
        """Let `generate` end before its next token."""
        self._stopped = True

    @override
    def put(self, value: Tensor) -> None:
        """Take the next ids; called by `generate`."""
        self.ids += value.reshape(-1).tolist()
        text = self.text
        if len(text) > len(self._written) and not text.endswith(_HALF_A_CHARACTER):
            piece = text[len(self._written) :]
            self._written = text
            if self._write is not None:
                self._write(piece)
            self._pieces.put(piece)

    @override
    def end(self) -> None:
        """Nothing follows; called by `generate`, and when it failed."""
        self._pieces.put(None)

    @override
    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Any:
        """Which rows of the batch are done; called by `generate`."""
        return torch.full((input_ids.shape[0],), self._stopped, device=input_ids.device)

    def __iter__(self) -> Iterator[str]:
        """Pieces of text, whole characters only, until the answer ends."""
        while (piece := self._pieces.get()) is not None:
            yield piece


@contextmanager
def answering(
    model: VitaForConditionalGeneration,
    processor: VitaProcessor,
    inputs: Mapping[str, Any],
    *,
    write: Callable[[str], None] | None = None,
    **options: Any,
) -> Iterator[LiveAnswer]:
    """Generate in a thread of its own while the answer is shown and spoken.

    Leaving early ends the generation within a token. What went wrong in it is raised on leaving.

    Args:
        model: Loaded weights.
        processor: Of the same checkpoint.
        inputs: What the processor made of the question.
        write: Gets each piece of the text as soon as it is there, in the thread that generates,
            however slowly the pieces are taken from the answer.
        options: Further arguments of `generate`.
    """
    live = LiveAnswer(processor, write)

    def work() -> None:
        try:
            model.generate(**inputs, streamer=live, stopping_criteria=[live], **options)
        finally:
            live.end()

    with ThreadPoolExecutor(1, "vita-answer") as pool:
        job = pool.submit(work)
        try:
            yield live
        finally:
            live.stop()
        job.result()
