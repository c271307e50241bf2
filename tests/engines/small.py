"""A small Qwen2 with random weights and a tokenizer of bytes, in a checkpoint folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from vita_model.bench.byte_tokens import byte_tokenizer
from vita_model.engine.grammar import CallMarks
from vita_model.engine.voice import Marker

SPECIAL = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "☞", "☜", "☟")
LIMIT = 640
"""Rows of a conversation, answer included."""


@cache
def tokenizer() -> Tokenizer:
    """One token a byte, and the special ones."""
    return byte_tokenizer(SPECIAL)


def marks() -> CallMarks:
    """How the tokenizer marks calls."""
    start, end, call, call_end, *states = (tokenizer().token_to_id(text) for text in SPECIAL)
    return CallMarks(call, call_end, end, "\n", "\n", reserved=(start, *states))


def states() -> dict[Marker, int]:
    """Tokens of states."""
    find = tokenizer().token_to_id
    return {"query": find("☞"), "typed": find("☜"), "noise": find("☟")}


@cache
def model() -> Qwen2ForCausalLM:
    """Random weights, large enough that its choices are clear.

    It writes nothing but ASCII without spaces, so that text tells its tokens, and ends no answer by
    itself.
    """
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=272,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2 * LIMIT,
        tie_word_embeddings=False,
        initializer_range=0.2,
        eos_token_id=marks().end,
    )
    found = Qwen2ForCausalLM(config).eval()
    letters = [chr(code) for code in range(128) if not chr(code).isspace()]
    spoken = {tokenizer().encode(letter).ids[0] for letter in letters}
    silent = set(range(config.vocab_size)) - spoken - {marks().call, *states().values()}
    with torch.no_grad():
        found.lm_head.weight[sorted(silent)] = 0.0
    return found


def save(folder: Path) -> Path:
    """Write both as transformers and vLLM read them."""
    model().save_pretrained(folder)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer(), eos_token="<|im_end|>")
    fast.save_pretrained(folder)
    return folder
