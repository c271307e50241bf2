"""Reads the configuration files that are published with VITA-1.5 and its parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast

import yaml
from pydantic import ValidationError
from transformers.activations import ACT2FN

from vita_model.checkpoint import CheckpointError, stored_shapes, torch_names
from vita_model.config import (
    AdapterConfig,
    AudioEncoderConfig,
    CnnAdapterConfig,
    CodecConfig,
    LanguageConfig,
    LinearAdapterConfig,
    PartConfig,
    SpeechDecoderConfig,
    VisionConfig,
    VitaConfig,
)


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
        rope_theta=data.get("rope_theta") or data["rope_parameters"]["rope_theta"],
        max_positions=data["max_position_embeddings"],
        tie_embeddings=data["tie_word_embeddings"],
    )


def _projector(name: str) -> dict[str, Any]:
    """The part of a vision configuration that a published `mm_projector_type` stands for."""
    if name == "linear":
        return {"projector": "linear"}
    found = re.fullmatch(r"mlp(\d+)x_gelu", name)
    if found is None:
        raise UnsupportedVariantError(f"mm_projector_type {name!r} is not supported")
    return {"projector": "mlp", "projector_layers": int(found[1])}


def vision_config(
    data: Mapping[str, Any], projector: str = "mlp2x_gelu", select_layer: int = -1
) -> VisionConfig:
    """From the vision tower's `config.json` and two entries of the model's."""
    if data["hidden_act"] not in ACT2FN:
        raise UnsupportedVariantError(f"hidden_act {data['hidden_act']!r} is not supported")
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
            "activation": data["hidden_act"],
            "select_layer": select_layer,
        }
        | _projector(projector)
    )


def check_tower(data: Mapping[str, Any]) -> None:
    """Refuse what the steps behind the vision tower have never been published with."""
    _want(data.get("drop_cls", True), True, "drop_cls")
    _want(data.get("scale_pix_shuffle", 0.5), 0.5, "scale_pix_shuffle")


_FILTER_BANK = {
    "sample_rate": 16000,
    "frame_length_ms": 25,
    "frame_shift_ms": 10,
    "dither": 0,
    "energy_floor": 0,
    "window": "povey",
    "preemphasis": 0.97,
    "remove_dc_offset": True,
    "snip_edges": True,
    "round_to_power_of_two": True,
    "low_freq": 20,
    "high_freq": 0,
    "use_power": True,
    "use_log": True,
    "use_energy": False,
}


def check_filter_bank(data: Mapping[str, Any]) -> None:
    """Refuse filter banks of another form; dither would make answers random."""
    for name, wanted in _FILTER_BANK.items():
        _want(data.get(name, wanted), wanted, name)


_POSITIONS = {"rel-enc": "key", "abs-enc": "absolute"}


def audio_config(data: Mapping[str, Any]) -> AudioEncoderConfig:
    """From the audio encoder's `train.yaml`; what it leaves out has the reference's defaults.

    A drawn (dynamic) chunk size is never reproduced: it makes answers random; such a file gives
    full attention.
    """
    overview, para = data["encoder_conf"]["overview_conf"], data["encoder_conf"]["para_conf"]
    stages = overview["encoder-layer-config"]
    _want(stages, "subsampling-transformer", "encoder-layer-config")
    conv = para["subsampling"]
    _want(conv.get("subsampling-rate", 4), 4, "subsampling-rate")
    stack = {
        name.removeprefix("transformer-"): value for name, value in para["transformer"].items()
    }
    positions = stack.get("pos-enc-class", "abs-enc")
    if positions not in _POSITIONS:
        raise UnsupportedVariantError(f"transformer-pos-enc-class {positions!r} is not supported")
    dynamic = stack.get("dynamic-chunks", True)
    bins = data.get("input_dim", conv["subsampling-input-dim"])
    _want(conv["subsampling-input-dim"], bins, "subsampling-input-dim")
    try:
        return AudioEncoderConfig(
            mel_bins=bins,
            hidden_size=stack["attention-dim"],
            layers=stack["num-blocks"],
            heads=stack["attention-heads"],
            intermediate_size=stack["linear-units"],
            chunk_size=-1 if dynamic else stack.get("chunk_size", -1),
            left_chunks=-1 if dynamic else stack.get("left_chunks", -1),
            subsampling_size=conv["subsampling-output-dim"],
            input_layer=stack.get("input-layer", "linear"),
            positions=cast(Literal["key", "absolute"], _POSITIONS[positions]),
            norm_first=stack.get("normalize-before", True),
            concat_after=stack.get("concat-after", False),
            feed_forward=stack.get("positionwise-layer-type", "linear"),
            feed_forward_kernel=stack.get("positionwise-conv-kernel_size", 1),
        )
    except ValidationError as error:
        raise UnsupportedVariantError(f"the audio encoder is not supported: {error}") from error


def adapter_config(data: Mapping[str, Any], *, streaming: bool = False) -> PartConfig:
    """From `model_conf` of the audio encoder's `train.yaml`.

    Args:
        data: The section; what it leaves out has the reference's defaults.
        streaming: The adapter of the reference's streaming path, which only looks back.
    """
    _want(data.get("add_audio_bos_eos", False), False, "add_audio_bos_eos")
    size, kernel = data["enc_out_dim"], data.get("kernel_size", 3)
    kind = data.get("adpter_type", "subsampling" if streaming else "cnn")
    if kind == "cnn":
        return CnnAdapterConfig(input_size=size, kernel_size=kernel)
    if kind == "linear":
        return LinearAdapterConfig(input_size=size)
    _want(kind, "subsampling", "adpter_type")
    norm = data.get("norm", "batch")
    if norm not in ("batch", "layer"):
        raise UnsupportedVariantError(f"the adapter's norm {norm!r} is not supported")
    return AdapterConfig(
        input_size=size,
        kernel_size=kernel,
        padding="left" if streaming else "right",
        norm=norm,
        # The reference takes every other name for ReLU.
        activation="gelu" if data.get("activation_func", "relu") == "gelu" else "relu",
        deep=4 * size < data["llm_embed_dim"],
    )


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


SPEECH_FOLDER, CODEC_FOLDER = "vita_tts_ckpt/decoder", "vita_tts_ckpt/codec"
"""Where the published repository keeps the two parts that speak."""


def folder_config(folder: Path, vision: VisionConfig | None = None) -> VitaConfig:
    """The configuration of all parts of a downloaded VITA-1.5 folder.

    A folder without the parts that speak gives a model that does not speak.

    Args:
        folder: A copy of the published repository.
        vision: Sizes of the vision tower, which are published in a repository of its own. None
            reads that one's `config.json` if a folder of its name lies in `folder`, and takes the
            known sizes otherwise.

    Raises:
        CheckpointError: A file is missing or unreadable.
        UnsupportedVariantError: A part has a form this model does not know.
    """
    hub = _read(folder / "config.json")
    recipes = sorted(folder.glob("*/train.yaml"))
    recipe = _read(recipes[0]) if recipes else None
    config = hub_config(hub, recipe, vision or _tower_beside(folder, hub))
    if not (folder / SPEECH_FOLDER).is_dir():
        return config
    codec = codec_config(_read(folder / CODEC_FOLDER / "model.json"))
    return config.model_copy(update={"speech": _stored_speech(folder), "codec": codec})


def _tower_beside(folder: Path, hub: Mapping[str, Any]) -> VisionConfig | None:
    """Only the last part of its name counts: a configuration must not point out of the folder."""
    name = PurePosixPath(str(hub.get("mm_vision_tower"))).name
    for path in folder.glob("*/config.json"):
        if path.parent.name == name:
            try:
                return vision_config(_read(path))
            except (KeyError, TypeError) as error:
                raise CheckpointError(f"{path} is incomplete: {error}") from error
    return None


def hub_config(
    hub: Mapping[str, Any],
    recipe: Mapping[str, Any] | None = None,
    vision: VisionConfig | None = None,
) -> VitaConfig:
    """The configuration of a model that does not speak.

    Args:
        hub: The published `config.json`.
        recipe: The audio encoder's `train.yaml`; None takes the known sizes.
        vision: Sizes of the vision tower; None takes the known ones.

    Raises:
        CheckpointError: An entry is missing.
        UnsupportedVariantError: A part has a form this model does not know.
    """
    try:
        return VitaConfig(
            language=language_config(hub),
            vision=(vision or VisionConfig()).model_copy(
                update=_projector(hub["mm_projector_type"])
            ),
            audio=audio_config(recipe) if recipe else AudioEncoderConfig(),
            adapter=adapter_config(recipe["model_conf"]) if recipe else AdapterConfig(),
            speech=None,
            codec=None,
            audio_prompt_rows=hub.get("audio_prompt_num") or 0,
            max_length=hub.get("tokenizer_model_max_length") or VitaConfig().max_length,
        )
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"the published configuration is incomplete: {error}") from error


def _stored_speech(folder: Path) -> SpeechDecoderConfig:
    """What its recipe says, with prefix layers only if the file has them."""
    config = speech_config(_read(folder / SPEECH_FOLDER / "model.json"))
    converted = folder / "speech.safetensors"
    source = folder / SPEECH_FOLDER / "final.pt"
    names = stored_shapes([converted]) if converted.is_file() else torch_names(source)
    prefix = any(name.startswith("layers_prefix.") for name in names)
    return config.model_copy(update={"prefix": prefix})
