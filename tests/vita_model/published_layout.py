"""A whole model with random weights, written the way VITA-1.5 is published: no code of ours writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.vita_model.small import TINY, tokenizer
from vita_model.assembly import VitaModel, build_model
from vita_model.config import (
    AdapterConfig,
    AudioEncoderConfig,
    CodecConfig,
    SpeechDecoderConfig,
    VisionConfig,
    VitaConfig,
)

CONFIG = TINY.model_copy(
    update={
        "audio": TINY.audio.model_copy(update={"subsampling_size": 8}),
        "speech": SpeechDecoderConfig(
            hidden_size=8, heads=2, intermediate_size=8, layers=2, front_layers=1, codes=8
        ),
    }
)
"""A recipe names the layers of the speech decoder only; half as many stand in front."""

VISION_FOLDER = "InternViT-300M-448px"
AUDIO_FOLDER = "audio-encoder-Qwen2-7B-1107-weight-base-11wh-tunning"


def publish(
    folder: Path,
    config: VitaConfig = CONFIG,
    shards: int = 4,
    teach: Callable[[VitaModel], None] = lambda _: None,
) -> VitaModel:
    """Write the layout into a folder; the model is the one that is written."""
    torch.manual_seed(7)
    model = build_model(config)
    speech, codec, vision = config.speech, config.codec, config.vision
    assert model.speech is not None
    assert model.codec is not None
    assert isinstance(speech, SpeechDecoderConfig)
    assert isinstance(codec, CodecConfig)
    assert vision is not None
    with torch.no_grad():  # its speech is one code again and again, and one in twenty ends it
        head = model.speech.get_submodule("out_fnn")
        head.get_parameter("weight").zero_()
        head.get_parameter("bias").zero_()
        head.get_parameter("bias")[0] = 6.0
        head.get_parameter("bias")[speech.end] = 3.0
    teach(model)
    _write(folder / "config.json", _hub(config))
    _write(folder / VISION_FOLDER / "config.json", _tower(vision))
    _write(folder / AUDIO_FOLDER / "train.yaml", _recipe(config))
    tokenizer().save(str(folder / "tokenizer.json"))
    _shards(folder, dict(model.language.state_dict()), shards)
    leftovers = {"rotary_emb.inv_freq": torch.zeros(2)}
    trained = {"model": dict(model.speech.state_dict()) | leftovers, "optimizer": {"step": 7}}
    _part(folder / "vita_tts_ckpt" / "decoder", _speech(speech), trained)
    state = with_weight_norm(dict(model.codec.state_dict()))
    groups = {
        part: {n.partition(".")[2]: t for n, t in state.items() if n.startswith(f"{part}.")}
        for part in ("generator", "encoder", "quantizer")
    }
    _part(folder / "vita_tts_ckpt" / "codec", _codec(codec), groups)
    return model


def with_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The codec's convolutions in the form they are published in."""
    stored = {}
    for name, tensor in state.items():
        if name.endswith(".weight") and tensor.ndim == 3:
            stored[f"{name}_v"] = tensor * 3
            stored[f"{name}_g"] = torch.linalg.vector_norm(tensor, dim=(1, 2), keepdim=True)
        else:
            stored[name] = tensor
    return stored


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _part(folder: Path, settings: object, weights: object) -> None:
    _write(folder / "model.json", settings)
    torch.save(weights, folder / "final.pt")


def _shards(folder: Path, state: dict[str, Tensor], count: int) -> None:
    names = sorted(state)
    places = {}
    for number in range(count):
        file = f"model-{number + 1:05}-of-{count:05}.safetensors"
        part = names[number * len(names) // count : (number + 1) * len(names) // count]
        save_file({name: state[name] for name in part}, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    _write(folder / "model.safetensors.index.json", index)


def _hub(config: VitaConfig) -> dict[str, object]:
    sizes = config.language
    return {
        "architectures": ["VITAQwen2ForCausalLM"],
        "model_type": "vita-Qwen2",
        "vocab_size": sizes.vocab_size,
        "hidden_size": sizes.hidden_size,
        "intermediate_size": sizes.intermediate_size,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv_heads,
        "rms_norm_eps": sizes.rms_norm_eps,
        "rope_theta": sizes.rope_theta,
        "max_position_embeddings": sizes.max_positions,
        "tie_word_embeddings": sizes.tie_embeddings,
        "tokenizer_model_max_length": config.max_length,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_tower": f"OpenGVLab/{VISION_FOLDER}",
        "mm_audio_encoder": f"somewhere/{AUDIO_FOLDER}",
        "audio_prompt_num": None,
    }


def _tower(config: VisionConfig) -> dict[str, object]:
    return {
        "model_type": "intern_vit_6b",
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.intermediate_size,
        "patch_size": config.patch_size,
        "image_size": config.image_size,
        "num_channels": config.channels,
        "norm_type": config.norm,
        "layer_norm_eps": config.norm_eps,
        "qkv_bias": config.qkv_bias,
        "qk_normalization": config.qk_norm,
        "initializer_factor": config.layer_scale,
        "hidden_act": config.activation,
    }


def _recipe(config: VitaConfig) -> dict[str, object]:
    audio, adapter = config.audio, config.adapter
    assert isinstance(audio, AudioEncoderConfig)
    assert isinstance(adapter, AdapterConfig)
    transformer = {
        "attention-dim": audio.hidden_size,
        "attention-heads": audio.heads,
        "linear-units": audio.intermediate_size,
        "num-blocks": audio.layers,
        "input-layer": "linear",
        "pos-enc-class": "rel-enc",
        "dynamic-chunks": False,
    }
    subsampling = {"rate": 4, "input-dim": 80, "output-dim": audio.between}
    return {
        "input_dim": 80,
        "encoder_conf": {
            "overview_conf": {"encoder-layer-config": "subsampling-transformer"},
            "para_conf": {
                "subsampling": {f"subsampling-{name}": v for name, v in subsampling.items()},
                "transformer": {f"transformer-{name}": v for name, v in transformer.items()},
            },
        },
        "model_conf": {
            "enc_out_dim": adapter.input_size,
            "llm_embed_dim": config.language.hidden_size,
            "kernel_size": adapter.kernel_size,
            "adpter_type": "subsampling",
            "activation_func": "gelu",
            "norm": "layer",
            "add_audio_bos_eos": False,
        },
    }


def _speech(config: SpeechDecoderConfig) -> list[object]:
    arguments = {
        "transformer_attention_dim": config.hidden_size,
        "transformer_attention_heads": config.heads,
        "transformer_linear_units": config.intermediate_size,
        "transformer_num_blocks": config.layers,
        "kv_cache_prefix_finetune": 1,  # though the file has no prefix layers, like VITA-1.5's
    }
    return [config.hidden_size, config.codes, arguments]


def _codec(config: CodecConfig) -> dict[str, object]:
    inputs, inner, kernel = config.global_conv
    return {
        "sampling_rate": config.sample_rate,
        "upsample_rates": config.upsample_rates,
        "upsample_kernel_sizes": config.upsample_kernels,
        "upsample_initial_channel": config.initial_channels,
        "resblock": config.resblock,
        "resblock_kernel_sizes": config.resblock_kernels,
        "resblock_dilation_sizes": config.resblock_dilations,
        "n_code_groups": config.groups,
        "residul_layer": config.residual_layers,
        "n_codes": config.codes,
        "latent_dim": config.latent_size,
        "encoder_base_channels": config.encoder_channels,
        "global_dim": config.global_size,
        "global_feature_conv": [inputs, inner, config.global_size, kernel, kernel // 2],
        "global_tokens": config.global_tokens,
        "codebook_loss_lambda": config.codebook_weight,
        "commitment_loss_lambda": config.commitment_weight,
    }
