"""Small networks in ONNX files, run on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime


def network(weights: bytes | Path) -> Any:
    """A session of onnxruntime on one thread: the networks are small, and calls share the cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source = str(weights) if isinstance(weights, Path) else weights
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
