"""Sizes and switches of every module. The defaults are those of VITA-1.5 as published."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

Positive = Annotated[int, Field(gt=0)]


class Config(BaseModel):
    """Base of all configurations: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PartConfig(Config):
    """A module that can be exchanged for another kind; `kind` names it in the registry."""

    kind: str


class VisionConfig(Config):
    """InternViT with its space-to-depth output.

    The tower gives `(image_size / patch_size / 2) ** 2` rows of `4 * hidden_size` per tile.
    """

    hidden_size: Positive = 1024
    layers: Positive = 24
    heads: Positive = 16
    intermediate_size: Positive = 4096
    patch_size: Positive = 14
    image_size: Positive = 448
    channels: Positive = 3
    norm: Literal["layer_norm", "rms_norm"] = "layer_norm"
    norm_eps: float = 1e-6
    qkv_bias: bool = True
    qk_norm: bool = False
    layer_scale: float = 1.0
    projector: Literal["mlp", "linear"] = "mlp"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError("vision.hidden_size must be a multiple of vision.heads")
        if self.image_size % (2 * self.patch_size):
            raise ValueError("vision.image_size must be a multiple of twice the patch size")
        return self

    @property
    def rows_per_tile(self) -> int:
        """Rows the language model gets for one tile."""
        return (self.image_size // self.patch_size // 2) ** 2


class AudioEncoderConfig(PartConfig):
    """The whale encoder: CMVN, two strided convolutions, transformer.

    `chunk_size` (encoder frames) and `left_chunks` limit what a frame may see; -1 is no limit.
    """

    kind: Literal["whale"] = "whale"
    mel_bins: Positive = 80
    hidden_size: Positive = 1024
    layers: Positive = 24
    heads: Positive = 16
    intermediate_size: Positive = 4096
    chunk_size: int = -1
    left_chunks: int = -1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError("audio.hidden_size must be a multiple of audio.heads")
        return self


class AdapterConfig(PartConfig):
    """The subsampling adapter: one convolution of stride 2, norm, GELU, projection.

    `padding` says on which side the convolution is padded: `right` (VITA-1.5, looks
    `kernel_size - 1` frames ahead) or `left` (causal, needed for streaming).
    """

    kind: Literal["subsampling"] = "subsampling"
    input_size: Positive = 1024
    kernel_size: Positive = 5
    padding: Literal["right", "left"] = "right"


class LanguageConfig(Config):
    """A Qwen2 language model."""

    vocab_size: Positive = 152064
    hidden_size: Positive = 3584
    intermediate_size: Positive = 18944
    layers: Positive = 28
    heads: Positive = 28
    kv_heads: Positive = 4
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1e6
    max_positions: Positive = 32768
    tie_embeddings: bool = False


class SpeechDecoderConfig(PartConfig):
    """The speech decoder: a bidirectional front and an autoregressive stack of Llama layers.

    `codes` is the number of codec ids; four special ids follow them: separator, start, end, pad.
    """

    kind: Literal["llama"] = "llama"
    hidden_size: Positive = 896
    heads: Positive = 14
    intermediate_size: Positive = 4864
    layers: Positive = 4
    front_layers: Positive = 2
    codes: Positive = 1024
    prefix: bool = False
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % (2 * self.heads):
            raise ValueError("speech.hidden_size must be an even multiple of speech.heads")
        return self

    @property
    def separator(self) -> int:
        """Id put in front of the text condition."""
        return self.codes

    @property
    def start(self) -> int:
        """Id that starts speech."""
        return self.codes + 1

    @property
    def end(self) -> int:
        """Id that ends speech."""
        return self.codes + 2

    @property
    def pad(self) -> int:
        """Id that fills targets of unequal length."""
        return self.codes + 3


class CodecConfig(PartConfig):
    """TiCodec: time-varying codes in groups and residual layers, and time-invariant codes.

    `resblock_dilations` has one row per kernel size. `global_conv` is (input channels, inner
    channels, kernel size) of the encoder of time-invariant features. `global_tokens` is the voice
    that is used when the caller gives none.
    """

    kind: Literal["ticodec"] = "ticodec"
    sample_rate: Positive = 24000
    upsample_rates: tuple[Positive, ...] = (8, 5, 5, 3)
    upsample_kernels: tuple[Positive, ...] = (16, 11, 11, 5)
    initial_channels: Positive = 512
    resblock: Literal["1", "2"] = "1"
    resblock_kernels: tuple[Positive, ...] = (3, 7, 11)
    resblock_dilations: tuple[tuple[Positive, ...], ...] = ((1, 3, 5),) * 3
    groups: Positive = 1
    residual_layers: Positive = 1
    codes: Positive = 1024
    latent_size: Positive = 512
    encoder: bool = True
    encoder_channels: Positive = 32
    global_size: Positive = 128
    global_conv: tuple[Positive, Positive, Positive] = (128, 64, 3)
    global_tokens: tuple[int, ...] = (473, 975, 419, 219, 565, 121, 550, 616)
    codebook_weight: float = 1.0
    commitment_weight: float = 0.25

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.upsample_rates) != len(self.upsample_kernels):
            raise ValueError("codec.upsample_kernels needs one entry per upsample rate")
        if len(self.resblock_kernels) != len(self.resblock_dilations):
            raise ValueError("codec.resblock_dilations needs one row per kernel size")
        if self.latent_size % self.groups or self.global_size % len(self.global_tokens):
            raise ValueError("codec.latent_size and codec.global_size must divide into codebooks")
        return self

    @property
    def hop(self) -> int:
        """Samples per code frame."""
        product = 1
        for rate in self.upsample_rates:
            product *= rate
        return product


class VitaConfig(Config):
    """A whole model. Parts of other kinds come from the registry in `vita_model.assembly`."""

    language: LanguageConfig = LanguageConfig()
    vision: VisionConfig | None = VisionConfig()
    audio: SerializeAsAny[PartConfig] = AudioEncoderConfig()
    adapter: SerializeAsAny[PartConfig] = AdapterConfig()
    speech: SerializeAsAny[PartConfig] | None = SpeechDecoderConfig()
    codec: SerializeAsAny[PartConfig] | None = CodecConfig()
    audio_prompt_rows: Annotated[int, Field(ge=0)] = 0
    max_length: Positive = 6200

    def to_json(self) -> dict[str, Any]:
        """The mapping `vita_model.assembly.parse_config` reads back."""
        return self.model_dump(mode="json")
