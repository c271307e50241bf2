"""How vLLM is to run: the weights, the machines, the memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


class VllmMissingError(ImportError):
    """vLLM is not installed; the message says how to get it."""

    def __init__(self, reason: ImportError) -> None:
        super().__init__(
            f"The vLLM engine needs a package that is missing ({reason}): pip install"
            " 'vita-agent[vllm]', or see Engines in docs/model-servers.md."
        )


@dataclass(frozen=True, slots=True)
class VllmSettings:
    """The first four are about the model, the others about the machines.

    Attributes:
        folder: Plain Qwen2 weights as transformers saves them, with `config.json` and tokenizer.
        dtype: Type of weights and rows.
        limit: Most rows of a conversation, answer included.
        answers: Answers written at the same time; more wait.
        tensor_parallel: Accelerators that share each layer.
        pipeline_parallel: Groups of accelerators that share the layers, also over machines.
        executor: "mp" on one machine, "ray" over the machines of a Ray cluster.
        memory_share: Of an accelerator's memory that vLLM takes.
        cache_bytes: Memory for caches, in place of what `memory_share` leaves; a CPU needs it.
        block: Rows of a block of the cache; None for vLLM's own.
        eager: No compilation and no CUDA graphs: quicker to start, slower to run.
        start_s: Seconds it may take to start.
    """

    folder: Path
    dtype: str = "bfloat16"
    limit: int = 6_200
    answers: int = 64
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    executor: Literal["mp", "ray"] = "mp"
    memory_share: float = 0.85
    cache_bytes: int | None = None
    block: int | None = None
    eager: bool = False
    start_s: float = 900.0

    def arguments(self) -> dict[str, Any]:
        """As vLLM calls them."""
        found: dict[str, Any] = {
            "model": str(self.folder),
            "dtype": self.dtype,
            "max_model_len": self.limit + 1,  # vLLM wants room for one more
            "max_num_seqs": self.answers,
            "tensor_parallel_size": self.tensor_parallel,
            "pipeline_parallel_size": self.pipeline_parallel,
            "gpu_memory_utilization": self.memory_share,
            "enforce_eager": self.eager,
            "enable_prompt_embeds": True,
            "enable_prefix_caching": True,
            "generation_config": "vllm",
            "structured_outputs_config": {"backend": "guidance"},
            "disable_log_stats": True,
        }
        if self.executor == "ray" or self.tensor_parallel * self.pipeline_parallel > 1:
            found["distributed_executor_backend"] = self.executor  # one alone needs no process more
        if self.cache_bytes is not None:
            found["kv_cache_memory_bytes"] = self.cache_bytes
        if self.block is not None:
            found["block_size"] = self.block
        return found
