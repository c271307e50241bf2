"""Builds a whole model from its configuration, under the published tensor names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn
from transformers.models.qwen2.configuration_qwen2 import Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import Qwen2ForCausalLM, Qwen2RotaryEmbedding
from typing_extensions import override

from vita_model.audio.adapter import CnnAdapter, LinearAdapter, SubsamplingAdapter
from vita_model.audio.encoder import Encoded, WhaleEncoder
from vita_model.checkpoint import CheckpointError, load_checkpoint
from vita_model.config import (
    CONFIG_FILE,
    AdapterConfig,
    AudioEncoderConfig,
    CnnAdapterConfig,
    CodecConfig,
    LanguageConfig,
    LinearAdapterConfig,
    PartConfig,
    SpeechDecoderConfig,
    VitaConfig,
)
from vita_model.generation import MediaGeneration
from vita_model.speech.codec import TiCodec
from vita_model.speech.decoder import SpeechDecoder
from vita_model.splice import Spliced, splice
from vita_model.vision.encoder import VisionTower
from vita_model.vision.projector import build_projector

Slot = Literal["audio", "adapter", "speech", "codec"]
"""A place in the model where modules of several kinds fit."""

SLOTS: tuple[Slot, ...] = ("audio", "adapter", "speech", "codec")

C = TypeVar("C", bound=PartConfig)


@dataclass(frozen=True, slots=True)
class _Kind:
    config: type[PartConfig]
    build: Callable[[Any, VitaConfig], nn.Module]


_kinds: dict[tuple[Slot, str], _Kind] = {}


def register(slot: Slot, config: type[C], build: Callable[[C, VitaConfig], nn.Module]) -> None:
    """Make a further kind of module known.

    Audio encoders map `(features, lengths)` to rows and their mask; adapters map these two to rows
    of the language model's width and their mask.

    Args:
        slot: Where the module fits.
        config: Its configuration; the default of its `kind` field is the kind's name.
        build: Makes the module from its own configuration and that of the whole model.
    """
    name = config.model_fields["kind"].default
    if not isinstance(name, str):
        raise TypeError(f"{config.__name__}.kind needs a default, it names the kind")
    _kinds[slot, name] = _Kind(config, build)


register("audio", AudioEncoderConfig, lambda part, _: WhaleEncoder(part))
register("adapter", AdapterConfig, lambda part, whole: SubsamplingAdapter(part, _width(whole)))
register("adapter", CnnAdapterConfig, lambda part, whole: CnnAdapter(part, _width(whole)))
register("adapter", LinearAdapterConfig, lambda part, whole: LinearAdapter(part, _width(whole)))
register("speech", SpeechDecoderConfig, lambda part, _: SpeechDecoder(part))
register("codec", CodecConfig, lambda part, _: TiCodec(part))


def _width(whole: VitaConfig) -> int:
    return whole.language.hidden_size


def _kind(slot: Slot, name: object) -> _Kind:
    kind = _kinds.get((slot, str(name)))
    if kind is None:
        known = ", ".join(sorted(known for place, known in _kinds if place == slot))
        raise ValueError(f"there is no {slot} of kind {name!r}; known kinds: {known}")
    return kind


def parse_config(data: Mapping[str, Any]) -> VitaConfig:
    """Read what `VitaConfig.to_json` wrote, whatever kinds its parts have.

    Raises:
        ValueError: A kind is unknown or a value does not fit.
    """
    parsed = dict(data)
    for slot in SLOTS:
        part = data.get(slot)
        if isinstance(part, Mapping):
            parsed[slot] = _kind(slot, part.get("kind")).config.model_validate(part)
    return VitaConfig.model_validate(parsed)


def _build(slot: Slot, part: PartConfig, whole: VitaConfig) -> nn.Module:
    return _kind(slot, part.kind).build(part, whole)


def _qwen2_config(config: LanguageConfig) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        rms_norm_eps=config.rms_norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        max_position_embeddings=config.max_positions,
        tie_word_embeddings=config.tie_embeddings,
    )


class AudioTower(nn.Module):
    """Audio encoder, adapter and optional learned rows in front of every utterance."""

    def __init__(self, config: VitaConfig) -> None:
        super().__init__()
        self.encoder = _build("audio", config.audio, config)
        self.adpter = _build("adapter", config.adapter, config)  # the published spelling
        if config.audio_prompt_rows:
            width = config.language.hidden_size
            self.prompt_embeddings = nn.Embedding(config.audio_prompt_rows, width)

    def encode(self, features: Tensor, lengths: Tensor) -> Encoded:
        """Rows `[batch, positions, width]` with learned ones in front, padding not yet cut off.

        The mask is that of the rows behind the learned ones.
        """
        rows, mask = self.adpter(*self.encoder(features, lengths))
        return Encoded(self.with_learned_rows(rows), mask)

    def with_learned_rows(self, rows: Tensor) -> Tensor:
        """`rows` `[batch, n, width]` behind the learned ones, if there are any."""
        if not hasattr(self, "prompt_embeddings"):
            return rows
        first = self.prompt_embeddings.weight.expand(rows.shape[0], -1, -1)
        return torch.cat([first, rows], dim=1)

    @override
    def forward(self, features: Tensor, lengths: Tensor) -> list[Tensor]:
        """Encode a padded batch of utterances.

        Args:
            features: Filter banks `[batch, frames, bins]`.
            lengths: int64 `[batch]`, frames of each utterance.

        Returns:
            Per utterance its rows for the language model, `[positions, width]`.
        """
        rows, mask = self.encode(features, lengths)
        kept = F.pad(mask, (rows.shape[1] - mask.shape[1], 0), value=True)
        return [row[valid] for row, valid in zip(rows, kept, strict=True)]


class VitaForConditionalGeneration(MediaGeneration, Qwen2ForCausalLM):
    """A stock Qwen2 with vision tower, projector and audio tower hung under `model`.

    Text is generated by the stock `forward` from `inputs_embeds`, which `embed_prompt` makes;
    `generate` takes a processor's output as it is.
    """

    def __init__(self, config: VitaConfig) -> None:
        language = _qwen2_config(config.language)
        super().__init__(language)
        self.vita_config = config
        # The rotary table is in no checkpoint: it must be real even when all else is on meta.
        with torch.device("cpu"):
            self.model.rotary_emb = Qwen2RotaryEmbedding(language)
        if config.vision is not None:
            self.model.vision_tower = VisionTower(config.vision)
            self.model.mm_projector = build_projector(config.vision, language.hidden_size)
        self.model.audio_encoder = AudioTower(config)

    def embed_images(self, pixels: Tensor) -> Tensor:
        """Tiles `[n, 3, size, size]` to rows `[n, rows per tile, width]`."""
        if self.vita_config.vision is None:
            raise ValueError("this model was configured without a vision tower")
        tower = self.model.vision_tower
        return cast(Tensor, self.model.mm_projector(tower(pixels.to(tower.dtype))))

    def embed_audio(self, features: Tensor, lengths: Tensor) -> list[Tensor]:
        """See `AudioTower.forward`."""
        return cast(list[Tensor], self.model.audio_encoder(features, lengths))

    def embed_prompt(
        self,
        sequences: Sequence[Tensor],
        *,
        images: Sequence[Tensor] = (),
        audios: Sequence[Tensor] = (),
        **options: Any,
    ) -> Spliced:
        """Language-model input of prompts with placeholders; see `vita_model.splice.splice`."""
        options.setdefault("max_length", self.vita_config.max_length)
        table = self.get_input_embeddings()
        return splice(sequences, table, images=images, audios=audios, **options)


@dataclass(frozen=True, slots=True)
class VitaModel:
    """Everything that hears, sees, thinks and speaks. `speech` and `codec` may be absent."""

    config: VitaConfig
    language: VitaForConditionalGeneration
    speech: nn.Module | None
    codec: nn.Module | None


def build_model(config: VitaConfig) -> VitaModel:
    """Build all modules with fresh weights; under `torch.device("meta")` without any."""
    return VitaModel(
        config=config,
        language=VitaForConditionalGeneration(config),
        speech=None if config.speech is None else _build("speech", config.speech, config),
        codec=None if config.codec is None else _build("codec", config.codec, config),
    )


def read_config(folder: Path) -> VitaConfig:
    """The configuration kept in a checkpoint folder."""
    path = folder / CONFIG_FILE
    try:
        return parse_config(json.loads(path.read_text()))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read; is this a checkpoint folder?") from error
    except (ValueError, ValidationError) as error:
        raise CheckpointError(f"{path} is not a valid configuration: {error}") from error


def load_model(
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> VitaModel:
    """Load a checkpoint folder, ready for inference.

    The folder holds `vita.json`, the language model with its towers (`model.safetensors`, or shards
    and their index), `speech.safetensors` and `codec.safetensors` if these parts are configured.

    Args:
        folder: The checkpoint.
        dtype: Type of the weights of language model, towers and speech decoder; None keeps the
            stored one. The codec always stays as stored.
        device: Where the model runs.

    Raises:
        CheckpointError: A file is missing or does not fit the configuration.
    """
    config = read_config(folder)
    with torch.device("meta"):
        model = build_model(config)
    load_checkpoint(model.language, folder, dtype=dtype, device=device)
    if model.speech is not None:
        path = folder / "speech.safetensors"
        load_checkpoint(model.speech, path, dtype=dtype, device=device)
    if isinstance(config.codec, CodecConfig) and not config.codec.encoder:
        load_checkpoint(
            cast(nn.Module, model.codec),
            folder / "codec.safetensors",
            ignore=("encoder.",),
            device=device,
        )
    elif model.codec is not None:
        load_checkpoint(model.codec, folder / "codec.safetensors", device=device)
    for module in (model.language, model.speech, model.codec):
        if module is not None:
            module.to(device).eval().requires_grad_(requires_grad=False)
    return model
