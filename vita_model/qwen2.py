"""The whole model's configuration as transformers knows it."""

from __future__ import annotations

from typing import Any

from transformers.models.qwen2.configuration_qwen2 import Qwen2Config

from vita_model.config import VitaConfig


class VitaQwen2Config(Qwen2Config):
    """Qwen2's configuration under the published model type.

    `vita` holds the configuration of all parts as `VitaConfig.to_json` gives it. A published
    `config.json` has none; its own further keys stay attributes.
    """

    model_type = "vita-Qwen2"


def qwen2_config(config: VitaConfig) -> VitaQwen2Config:
    """The language model's part with the whole configuration in it."""
    language = config.language
    settings: dict[str, Any] = {
        "vocab_size": language.vocab_size,
        "hidden_size": language.hidden_size,
        "intermediate_size": language.intermediate_size,
        "num_hidden_layers": language.layers,
        "num_attention_heads": language.heads,
        "num_key_value_heads": language.kv_heads,
        "rms_norm_eps": language.rms_norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": language.rope_theta},
        "max_position_embeddings": language.max_positions,
        "tie_word_embeddings": language.tie_embeddings,
        "vita": config.to_json(),
    }
    return VitaQwen2Config(**settings)
