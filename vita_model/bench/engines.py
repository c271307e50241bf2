"""Both engines beside transformers' `generate`, on a language model of a given size.

Weights are random, since speed does not depend on them. What is compared takes turns in every
round, so that whatever else the machine does meets all of it.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
import torch
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from vita_model.bench.byte_tokens import byte_tokenizer
from vita_model.engine.engine import Engine
from vita_model.engine.grammar import CallMarks, Grammars
from vita_model.engine.job import Job, Prompt, Usage
from vita_model.engine.language import LanguageModel
from vita_model.engine.scheduler import Scheduler
from vita_model.engine.stock import stock_weights
from vita_model.engine.torch_engine import TorchEngine
from vita_model.engine.voice import Marker

GENERATE, TORCH, VLLM = "generate", "torch engine", "vLLM engine"
SPECIAL = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "☞", "☜", "☟")
HALF_BILLION = Qwen2Config(
    vocab_size=151_936,
    hidden_size=896,
    intermediate_size=4_864,
    num_hidden_layers=24,
    num_attention_heads=14,
    num_key_value_heads=2,
    max_position_embeddings=32_768,
    tie_word_embeddings=True,
    dtype="bfloat16",
)
"""The sizes of Qwen2.5-0.5B: 494 million parameters."""


_BLOCK = 128
"""Rows of a block of vLLM's cache on a CPU."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked: so many prompts of random tokens at once, each answered at full length."""

    streams: Sequence[int] = (1, 4, 8, 16)
    prompt: int = 128
    answer: int = 32
    rounds: int = 2


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the rounds.

    Attributes:
        tokens_s: Tokens of all answers by the wall time until the last was complete.
        cpu_ms: Process time, user and system, of all processes it takes, for each of those tokens.
        first_s: Until the last of the answers had its first token; 0 where that is not known.
    """

    what: str
    streams: int
    tokens_s: float
    cpu_ms: float
    first_s: float


@dataclass(frozen=True, slots=True)
class Table:
    """All rows, and what they are of. `threads` are those of this process."""

    rows: list[Row]
    work: Work
    parameters: int
    threads: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of some prompts."""

    tokens: int
    first_s: float = 0.0


class Contender(Protocol):
    """Something that answers several prompts of ids at once."""

    name: str

    def answer(self, prompts: Sequence[list[int]], count: int) -> Batch:
        """Write `count` tokens to each prompt."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class Generate:
    """The loop of transformers over one batch of prompts of one length, which is its best case."""

    name = GENERATE

    def __init__(self, model: Qwen2ForCausalLM) -> None:
        self._model: Any = model

    @torch.inference_mode()
    def answer(self, prompts: Sequence[list[int]], count: int) -> Batch:
        """As `Contender`."""
        ids = torch.tensor(prompts)
        found = self._model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            min_new_tokens=count,
            max_new_tokens=count,
            pad_token_id=0,
        )
        return Batch(found[:, ids.shape[1] :].numel())

    def close(self) -> None:
        """As `Contender`."""


class Hosted:
    """An engine on a scheduler, as in the server."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self._engine = engine
        self._scheduler = Scheduler([engine], 1)
        self._asked = 0

    def answer(self, prompts: Sequence[list[int]], count: int) -> Batch:
        """As `Contender`.

        Raises:
            RuntimeError: An answer failed.
        """
        jobs, ends = [], [_End() for _ in prompts]
        for prompt, end in zip(prompts, ends, strict=True):
            self._asked += 1
            job = Job(
                f"bench {self._asked}",
                Prompt([*prompt], {}, ("query",)),
                lambda _: None,
                end.come,
                lambda: False,
                limit=count,
                usage=Usage(),
            )
            jobs.append(job)
            self._engine.submit(job)
        self._scheduler.wake()
        for end, job in zip(ends, jobs, strict=True):
            end.wait()
            self._engine.close(job.session_id)
        first = max(job.usage.first_token_s for job in jobs)
        return Batch(sum(job.usage.output_tokens for job in jobs), first)

    def close(self) -> None:
        """As `Contender`."""
        self._scheduler.close()
        self._engine.stop()


class _End:
    def __init__(self) -> None:
        self._event = threading.Event()
        self._error: BaseException | None = None

    def come(self, error: BaseException | None) -> None:
        self._error = error
        self._event.set()

    def wait(self) -> None:
        if not self._event.wait(600):
            raise RuntimeError("an answer took longer than ten minutes")
        if self._error is not None:
            raise RuntimeError(f"an answer failed: {self._error}") from self._error


@torch.no_grad()
def random_model(config: Qwen2Config) -> Qwen2ForCausalLM:
    """Random weights in the configuration's type."""
    torch.manual_seed(1)
    return Qwen2ForCausalLM._from_config(config).eval()  # noqa: SLF001 - it takes the type


def contenders(
    model: Qwen2ForCausalLM, folder: Path, work: Work, *, vllm: bool
) -> Iterator[Contender]:
    """All that are compared, on the same weights.

    Args:
        model: In bfloat16.
        folder: An empty one, for vLLM's copy of the weights.
        work: Says how much room is needed.
        vllm: The vLLM engine too. It takes minutes to start.

    Raises:
        VllmMissingError: It is not installed.
    """
    tokenizer = byte_tokenizer(SPECIAL)
    special = tokenizer.encode("".join(SPECIAL), add_special_tokens=False).ids
    start, end, call, call_end, *states = special
    markers: dict[Marker, int] = dict(zip(("query", "typed", "noise"), states, strict=True))
    grammars = Grammars(tokenizer, CallMarks(call, call_end, end, reserved=(start, *states)))
    if vllm:
        from vita_model.engine.vllm_engine import VllmEngine  # noqa: PLC0415 - an extra
        from vita_model.engine.vllm_settings import VllmSettings  # noqa: PLC0415

        model.save_pretrained(folder)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
        room = work.prompt + work.answer + 16
        most = max(work.streams)
        cache = 4 * most * (room + _BLOCK) * LanguageModel(stock_weights(model)).row_bytes
        settings = VllmSettings(folder, limit=room, answers=most, cache_bytes=cache, eager=True)
        yield Hosted(VLLM, VllmEngine(settings, tokenizer, states=markers, grammars=grammars))
    yield Generate(model)
    yield Hosted(
        TORCH,
        TorchEngine(
            LanguageModel(stock_weights(model)),
            tokenizer,
            states=markers,
            marks=grammars.marks,
            constraints=grammars.constraint,
        ),
    )


def measure(
    found: Sequence[Contender], parameters: int, work: Work, step: Callable[[str], object]
) -> Table:
    """Let all of them answer, in turn, at every number of streams."""
    chance = torch.Generator().manual_seed(7)
    spent: dict[tuple[str, int], list[Row]] = {}
    for one in found:
        step(f"{one.name}: first answer")
        one.answer(_prompts(1, work.prompt, chance), 2)
    for streams in work.streams:
        for turn in range(work.rounds):
            prompts = _prompts(streams, work.prompt, chance)
            for one in found:
                step(f"{one.name}, {streams} at once, round {turn + 1}")
                spent.setdefault((one.name, streams), []).append(_timed(one, prompts, work.answer))
    rows = [_median(rows) for rows in spent.values()]
    return Table(rows, work, parameters, torch.get_num_threads())


def _prompts(count: int, length: int, chance: torch.Generator) -> list[list[int]]:
    return torch.randint(0, 256, (count, length), generator=chance).tolist()


def _timed(one: Contender, prompts: Sequence[list[int]], count: int) -> Row:
    cpu, wall = _cpu(), time.perf_counter()
    batch = one.answer(prompts, count)
    wall, cpu = time.perf_counter() - wall, _cpu() - cpu
    tokens = batch.tokens
    return Row(one.name, len(prompts), tokens / wall, 1000 * cpu / tokens, batch.first_s)


def _median(rows: Sequence[Row]) -> Row:
    figures = {
        name: statistics.median(asdict(row)[name] for row in rows)
        for name in ("tokens_s", "cpu_ms", "first_s")
    }
    return Row(rows[0].what, rows[0].streams, **figures)


def _cpu() -> float:
    """Process time of this process and all below it."""
    this = psutil.Process()
    total = 0.0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total
