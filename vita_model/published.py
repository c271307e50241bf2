"""Reads the configuration files that are published with VITA-1.5 and its parts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vita_model.assembly import CONFIG_FILE
from vita_model.checkpoint import CheckpointError, convert_torch_file, stored_shapes
from vita_model.config import (
    AdapterConfig,
    AudioEncoderConfig,
    CodecConfig,
    LanguageConfig,
    SpeechDecoderConfig,
    VisionConfig,
    VitaConfig,
)

_PROJECTORS = {"mlp2x_gelu": "mlp", "linear": "linear"}


class UnsupportedVariantError(ValueError):
    """A configuration asks for a variant this model does not have."""


def _want(found: object, wanted: object, name: str) -> None:
    if found != wanted:
        raise UnsupportedVariantError(f"{name} is {found!r}; only {wanted!r} is supported")


def language_config(data: Mapping[str, Any]) -> LanguageConfig:
    """From the model's `config.json`."""
    return LanguageConfig(
        vocab_size=data["vocab_size"],
        hidden_size=data["hidden_size"],
        intermediate_size=data["intermediate_size"],
        layers=data["num_hidden_layers"],
        heads=data["num_attention_heads"],
        kv_heads=data["num_key_value_heads"],
        rms_norm_eps=data["rms_norm_eps"],
        rope_theta=data["rope_theta"],
        max_positions=data["max_position_embeddings"],
        tie_embeddings=data["tie_word_embeddings"],
    )


def vision_config(data: Mapping[str, Any], projector: str = "mlp2x_gelu") -> VisionConfig:
    """From the vision tower's `config.json` and the model's `mm_projector_type`."""
    _want(data["hidden_act"], "gelu", "hidden_act")
    if projector not in _PROJECTORS:
        raise UnsupportedVariantError(f"mm_projector_type {projector!r} is not supported")
    return VisionConfig.model_validate(
        {
            "hidden_size": data["hidden_size"],
            "layers": data["num_hidden_layers"],
            "heads": data["num_attention_heads"],
            "intermediate_size": data["intermediate_size"],
            "patch_size": data["patch_size"],
            "image_size": data["image_size"],
            "channels": data["num_channels"],
            "norm": data["norm_type"],
            "norm_eps": data["layer_norm_eps"],
            "qkv_bias": data["qkv_bias"],
            "qk_norm": data["qk_normalization"],
            "layer_scale": data["initializer_factor"],
            "projector": _PROJECTORS[projector],
        }
    )


def audio_config(data: Mapping[str, Any]) -> AudioEncoderConfig:
    """From the audio encoder's `train.yaml`.

    A drawn (dynamic) chunk size is never reproduced: it makes answers random; such a file gives
    full attention.
    """
    para = data["encoder_conf"]["para_conf"]
    conv, stack = para["subsampling"], para["transformer"]
    _want(conv["subsampling-rate"], 4, "subsampling-rate")
    _want(stack["transformer-input-layer"], "linear", "transformer-input-layer")
    _want(stack["transformer-pos-enc-class"], "rel-enc", "transformer-pos-enc-class")
    _want(stack["transformer-normalize-before"], True, "transformer-normalize-before")
    _want(stack["transformer-concat-after"], False, "transformer-concat-after")
    _want(stack["transformer-positionwise-layer-type"], "linear", "positionwise-layer-type")
    dynamic = stack.get("transformer-dynamic-chunks", True)
    return AudioEncoderConfig(
        mel_bins=data.get("input_dim", conv["subsampling-input-dim"]),
        hidden_size=stack["transformer-attention-dim"],
        layers=stack["transformer-num-blocks"],
        heads=stack["transformer-attention-heads"],
        intermediate_size=stack["transformer-linear-units"],
        chunk_size=-1 if dynamic else stack.get("transformer-chunk_size", -1),
        left_chunks=-1 if dynamic else stack.get("transformer-left_chunks", -1),
    )


def adapter_config(data: Mapping[str, Any]) -> AdapterConfig:
    """From `model_conf` of the audio encoder's `train.yaml`."""
    _want(data.get("adpter_type", "subsampling"), "subsampling", "adpter_type")
    _want(data.get("norm", "layer"), "layer", "norm")
    _want(data.get("activation_func", "gelu"), "gelu", "activation_func")
    _want(data.get("add_audio_bos_eos", False), False, "add_audio_bos_eos")
    return AdapterConfig(input_size=data["enc_out_dim"], kernel_size=data["kernel_size"])


def speech_config(data: Sequence[Any]) -> SpeechDecoderConfig:
    """From the speech decoder's `model.json`: input width, number of codes, arguments."""
    width, codes, arguments = data
    _want(arguments["transformer_attention_dim"], width, "transformer_attention_dim")
    blocks = int(arguments["transformer_num_blocks"])
    return SpeechDecoderConfig(
        hidden_size=width,
        heads=arguments["transformer_attention_heads"],
        intermediate_size=arguments["transformer_linear_units"],
        layers=blocks,
        front_layers=blocks // 2,
        codes=codes,
        prefix=bool(arguments.get("kv_cache_prefix_finetune", 0)),
    )


def codec_config(data: Mapping[str, Any]) -> CodecConfig:
    """From the codec's `model.json`."""
    inputs, inner, outputs, kernel, padding = data["global_feature_conv"]
    size = data.get("global_dim", 128)
    _want(outputs, size, "global_feature_conv[2]")
    _want(padding, kernel // 2, "global_feature_conv[4]")
    return CodecConfig(
        sample_rate=data["sampling_rate"],
        upsample_rates=tuple(data["upsample_rates"]),
        upsample_kernels=tuple(data["upsample_kernel_sizes"]),
        initial_channels=data["upsample_initial_channel"],
        resblock=data["resblock"],
        resblock_kernels=tuple(data["resblock_kernel_sizes"]),
        resblock_dilations=tuple(tuple(row) for row in data["resblock_dilation_sizes"]),
        groups=data["n_code_groups"],
        residual_layers=data["residul_layer"],
        codes=data["n_codes"],
        latent_size=data.get("latent_dim", 512),
        encoder_channels=data.get("encoder_base_channels", 32),
        global_size=size,
        global_conv=(inputs, inner, kernel),
        global_tokens=tuple(data["global_tokens"]),
        codebook_weight=data["codebook_loss_lambda"],
        commitment_weight=data["commitment_loss_lambda"],
    )


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())  # JSON is YAML too
    except (OSError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path} is missing or unreadable: {error}") from error


def prepare_folder(folder: Path, vision: VisionConfig | None = None) -> VitaConfig:
    """Make a downloaded VITA-1.5 folder loadable by `vita_model.assembly.load_model`, once.

    The shards stay as they are. The speech decoder and the codec are converted to safetensors
    beside them, and the configuration of all parts is gathered in one file.

    Args:
        folder: A copy of the published repository.
        vision: Sizes of the vision tower, which are published elsewhere; None takes the known ones.

    Raises:
        CheckpointError: A file is missing or unreadable.
        UnsupportedVariantError: A part has a form this model does not know.
    """
    hub = _read(folder / "config.json")
    recipes = sorted(folder.glob("*/train.yaml"))
    recipe = _read(recipes[0]) if recipes else None
    speech_folder, codec_folder = (folder / "vita_tts_ckpt" / name for name in ("decoder", "codec"))
    convert_torch_file(speech_folder / "final.pt", folder / "speech.safetensors")
    convert_torch_file(codec_folder / "final.pt", folder / "codec.safetensors")
    speech = speech_config(_read(speech_folder / "model.json"))
    stored = stored_shapes([folder / "speech.safetensors"])
    prefix = any(name.startswith("layers_prefix.") for name in stored)
    projector = _PROJECTORS[hub["mm_projector_type"]]
    config = VitaConfig(
        language=language_config(hub),
        vision=(vision or VisionConfig()).model_copy(update={"projector": projector}),
        audio=audio_config(recipe) if recipe else AudioEncoderConfig(),
        adapter=adapter_config(recipe["model_conf"]) if recipe else AdapterConfig(),
        speech=speech.model_copy(update={"prefix": prefix}),
        codec=codec_config(_read(codec_folder / "model.json")),
        audio_prompt_rows=hub.get("audio_prompt_num") or 0,
        max_length=hub.get("tokenizer_model_max_length", VitaConfig().max_length),
    )
    (folder / CONFIG_FILE).write_text(json.dumps(config.to_json(), indent=2))
    return config
