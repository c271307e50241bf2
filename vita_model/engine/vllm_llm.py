"""vLLM's own engine, for prompts of embedding rows: the only module that knows vLLM.

Needs the extra `vllm`. A prompt of a wrong shape would end vLLM's engine for everybody: rows are
checked before they come here. Repetition is never penalised: with rows of several lengths that can
end it too.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from typing import Any

from torch import Tensor

from vita_model.engine.engine import EngineStoppedError
from vita_model.engine.vllm_settings import VllmMissingError, VllmSettings
from vita_model.engine.voice import LIKELIEST, Sampling

try:
    from vllm import SamplingParams
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.engine.exceptions import EngineDeadError
except ImportError as error:
    raise VllmMissingError(error) from error


@dataclass(frozen=True, slots=True)
class Output:
    """Something new of a request.

    Attributes:
        tokens: New tokens.
        scores: Log probability of tokens that were asked about, at the first new token.
        cached: Rows of the prompt that were not computed again.
    """

    tokens: Sequence[int]
    scores: Mapping[int, float]
    cached: int


class Llm:
    """Made and used on one running event loop.

    Attributes:
        block: Rows of a block of the cache: what is kept is found again by whole blocks.
        moved: When something came last, by the monotonic clock.
    """

    def __init__(self, settings: VllmSettings) -> None:
        self._llm: Any = AsyncLLM.from_engine_args(AsyncEngineArgs(**settings.arguments()))
        self.block = int(self._llm.vllm_config.cache_config.block_size)
        self.moved = time.monotonic()
        self._numbers = count()

    async def request(
        self,
        rows: Tensor,
        *,
        grammar: str | None = None,
        sampling: Sampling = LIKELIEST,
        **options: Any,
    ) -> AsyncGenerator[Output, None]:
        """Tokens after rows `[n, width]`. Closing it ends the computation.

        Args:
            rows: At least one; on the CPU, in the model's type.
            grammar: What the tokens must follow, in llguidance's Lark form.
            sampling: How they are chosen.
            options: As `SamplingParams` names them.

        Raises:
            EngineStoppedError: vLLM's engine is gone.
        """
        if grammar is not None:
            options["structured_outputs"] = StructuredOutputsParams(grammar=grammar)
        params = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
            detokenize=False,
            ignore_eos=True,
            output_kind=RequestOutputKind.DELTA,
            **options,
        )
        name, finished = f"vita-{next(self._numbers)}", False
        try:
            async with aclosing(
                self._llm.generate({"prompt_embeds": rows}, params, name)
            ) as outputs:
                async for output in outputs:
                    finished, self.moved = output.finished, time.monotonic()
                    yield _output(output)
        except EngineDeadError:
            raise EngineStoppedError(
                "The vLLM engine has stopped; restart the model server."
            ) from None
        finally:
            if not finished and not self._llm.errored:
                await self._llm.abort(name)

    def shutdown(self) -> None:
        """End vLLM's processes."""
        self._llm.shutdown()


def _output(output: Any) -> Output:
    new = output.outputs[0]
    scores = (
        {token: found.logprob for token, found in new.logprobs[0].items()} if new.logprobs else {}
    )
    return Output(list(new.token_ids), scores, output.num_cached_tokens or 0)
