"""Sizes and switches of every module. The defaults are those of VITA-1.5 as published."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

Positive = Annotated[int, Field(gt=0)]

CONFIG_FILE = "vita.json"
"""The configuration of a whole model in its checkpoint folder."""


class Config(BaseModel):
    """Base of all configurations: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PartConfig(Config):
    """A module that can be exchanged for another kind; `kind` names it in the registry."""

    kind: str


class VisionConfig(Config):
    """InternViT with its space-to-depth output.

    `select_layer` says whose output is used: -1 is the last layer's, 0 what enters the first.
    `projector_layers` counts the linear layers of an `mlp` projector. The tower gives `(image_size / patch_size / 2) ** 2` rows of `4 * hidden_size` per tile.
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
    activation: str = "gelu"
    select_layer: int = -1
    projector: Literal["mlp", "linear"] = "mlp"
    projector_layers: Positive = 2

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError("vision.hidden_size must be a multiple of vision.heads")
        if self.image_size < self.patch_size:
            raise ValueError("vision.image_size must hold at least one patch")
        if not -self.layers - 1 <= self.select_layer <= self.layers:
            raise ValueError("vision.select_layer names a layer that does not exist")
        return self

    @property
    def rows_per_tile(self) -> int:
        """Rows the language model gets for one tile."""
        return (self.image_size // self.patch_size // 2) ** 2


class AudioEncoderConfig(PartConfig):
    """The whale encoder: CMVN, two strided convolutions, transformer.

    `chunk_size` (encoder frames) and `left_chunks` limit what a frame may see; -1 is no limit.
    `subsampling_size` is the width between convolutions and transformer, None the transformer's own.

    VITA-1.5 uses none of the other switches: absolute positions (added to the input, in place of a
    term of the attention), norms behind the branches instead of before them, attention joined with
    its input by a linear layer (`concat_after`), convolutions in the feed-forward part (`conv1d`
    looks to both sides, `conv1d-linear` only back), and no layer between convolutions and
    transformer (`input_layer` none).
    """

    kind: Literal["whale"] = "whale"
    mel_bins: Positive = 80
    hidden_size: Positive = 1024
    layers: Positive = 24
    heads: Positive = 16
    intermediate_size: Positive = 4096
    chunk_size: int = -1
    left_chunks: int = -1
    subsampling_size: Positive | None = None
    input_layer: Literal["linear", "none"] = "linear"
    positions: Literal["key", "absolute"] = "key"
    norm_first: bool = True
    concat_after: bool = False
    feed_forward: Literal["linear", "conv1d", "conv1d-linear"] = "linear"
    feed_forward_kernel: Positive = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError("audio.hidden_size must be a multiple of audio.heads")
        if self.input_layer == "none" and self.between != self.hidden_size:
            raise ValueError("audio.subsampling_size must be hidden_size without an input layer")
        if self.feed_forward == "conv1d" and self.feed_forward_kernel % 2 == 0:
            raise ValueError("audio.feed_forward_kernel must be odd, or rows would be lost")
        return self

    @property
    def between(self) -> int:
        """Width of the rows that the convolutions hand to the transformer."""
        return self.subsampling_size or self.hidden_size


class AdapterConfig(PartConfig):
    """The subsampling adapter: a convolution of stride 2, norm, activation, projection.

    `padding` says on which side that convolution is padded: `right` (VITA-1.5, looks
    `kernel_size - 1` frames ahead) or `left` (causal, needed for streaming). A `deep` adapter has a
    causal convolution of stride 1 in front; its norms are batch norms and its activations ReLU.
    """

    kind: Literal["subsampling"] = "subsampling"
    input_size: Positive = 1024
    kernel_size: Positive = 5
    padding: Literal["right", "left"] = "right"
    norm: Literal["layer", "batch"] = "layer"
    activation: Literal["gelu", "relu"] = "gelu"
    deep: bool = False


class CnnAdapterConfig(PartConfig):
    """Two causal convolutions of stride 1 with batch norm and ReLU, then a projection."""

    kind: Literal["cnn"] = "cnn"
    input_size: Positive = 1024
    kernel_size: Positive = 5


class LinearAdapterConfig(PartConfig):
    """One linear layer."""

    kind: Literal["linear"] = "linear"
    input_size: Positive = 1024


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
    front_layers: Annotated[int, Field(ge=0)] = 2
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

    `resblock_dilations` has one row per kernel size, of which blocks of type 1 use three entries and
    those of type 2 use two. `global_conv` is (input channels, inner
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.vision is not None and self.vision.image_size // self.vision.patch_size % 2:
            raise ValueError("vision.image_size must be an even number of patches")
        return self

    def to_json(self) -> dict[str, Any]:
        """The mapping `vita_model.assembly.parse_config` reads back."""
        return self.model_dump(mode="json")
