"""What runs the language model of a large model: the torch engine, or vLLM beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from vita_model.assembly import VitaModel
from vita_model.checkpoint import CheckpointError, checkpoint_files, stored_shapes
from vita_model.engine.engine import Engine
from vita_model.engine.grammar import CallMarks, Grammars
from vita_model.engine.language import LanguageModel
from vita_model.engine.stock import stock_weights
from vita_model.engine.torch_engine import TorchEngine
from vita_model.engine.vllm_settings import VllmSettings
from vita_model.processor import VitaProcessor


@dataclass(frozen=True, slots=True)
class Thinker:
    """An engine and what it takes.

    Attributes:
        engine: Writes the answers.
        grammars: Of the tools' calls, compiled once for both.
        parameters: Weights it has beside those of the model's own modules.
        session_bytes: Memory of this machine that a full conversation takes; 0 if it takes none.
    """

    engine: Engine
    grammars: Grammars
    parameters: int
    session_bytes: int


def torch_thinker(model: VitaModel, processor: VitaProcessor) -> Thinker:
    """The model's own layers, where they are.

    Raises:
        CheckpointError: See `call_marks`.
    """
    grammars = Grammars(processor.tokenizer, call_marks(processor))
    language = LanguageModel(stock_weights(model.language))
    engine = TorchEngine(
        language,
        processor.tokenizer,
        states=processor.state().tokens,
        marks=grammars.marks,
        constraints=grammars.constraint,
    )
    most = model.config.max_length * 2 * language.row_bytes
    on_cpu = language.table.device.type == "cpu"
    return Thinker(engine, grammars, 0, most if on_cpu else 0)


def vllm_thinker(
    checkpoint: Path, processor: VitaProcessor, settings: VllmSettings, dtype: str
) -> Thinker:
    """A vLLM engine on a copy of the language model in `settings.folder`. Takes minutes.

    Args:
        checkpoint: What the copy is made of.
        processor: Of the checkpoint.
        settings: The machines and the memory; the rest is the checkpoint's.
        dtype: Type of the weights; `auto` keeps the stored one.

    Raises:
        VllmMissingError: The extra is not installed.
        CheckpointError: See `call_marks` and `plain_weights`.
        EngineStoppedError: vLLM did not start.
    """
    from vita_model.engine.vllm_engine import VllmEngine  # noqa: PLC0415 - an extra
    from vita_model.engine.vllm_weights import plain_weights, read_table  # noqa: PLC0415

    grammars = Grammars(processor.tokenizer, call_marks(processor))
    folder = plain_weights(checkpoint, settings.folder, processor)
    table = read_table(folder)
    kind = (str(table.dtype) if dtype == "auto" else dtype).removeprefix("torch.")
    engine = VllmEngine(
        replace(settings, folder=folder, dtype=kind, limit=processor.config.max_length),
        processor.tokenizer,
        states=processor.state().tokens,
        grammars=grammars,
    )
    shapes = stored_shapes(checkpoint_files(folder))
    count = sum(math.prod(shape) for shape in shapes.values())
    return Thinker(engine, grammars, count - table.numel(), 0)


def call_marks(processor: VitaProcessor) -> CallMarks:
    """How Qwen2.5 marks calls; no other special token, state or unused id belongs into an answer.

    Raises:
        CheckpointError: The tokenizer does not know the marks.
    """
    tokenizer, state = processor.tokenizer, processor.state()
    call, call_end = (tokenizer.token_to_id(tag) for tag in ("<tool_call>", "</tool_call>"))
    if call is None or call_end is None:
        raise CheckpointError("its tokenizer lacks <tool_call>; use the one of Qwen2.5")
    added = tokenizer.get_added_tokens_decoder()
    unused = range(tokenizer.get_vocab_size(), processor.config.language.vocab_size)
    others = {*added, *state.tokens.values(), *unused} - {call, call_end, state.end}
    return CallMarks(call, call_end, state.end, "\n", "\n", reserved=tuple(sorted(others)))
