"""Builds a whole model from its configuration, under the published tensor names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast

import torch
import torch.nn.functional as F
from pydantic import ValidationError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.qwen2.modeling_qwen2 import Qwen2ForCausalLM, Qwen2RotaryEmbedding
from typing_extensions import override

from vita_model import hashes, published
from vita_model.audio.adapter import CnnAdapter, LinearAdapter, SubsamplingAdapter
from vita_model.audio.ctc_head import CtcHead, load_head, save_head
from vita_model.audio.encoder import Encoded, WhaleEncoder
from vita_model.audio.read import Waveform
from vita_model.checkpoint import (
    CheckpointError,
    Device,
    device_of,
    load_checkpoint,
    load_torch_file,
    save_checkpoint,
    save_module,
)
from vita_model.config import (
    CONFIG_FILE,
    AdapterConfig,
    AudioEncoderConfig,
    CnnAdapterConfig,
    CodecConfig,
    LinearAdapterConfig,
    PartConfig,
    SpeechDecoderConfig,
    VitaConfig,
)
from vita_model.generation import MediaGeneration
from vita_model.hub import folder_of, refuse_unknown
from vita_model.media import Source
from vita_model.packed import Form, can_pack, pack
from vita_model.placement import DeviceMap, dispatch, place, weight_type
from vita_model.quantized import Bits, quantize
from vita_model.qwen2 import VitaQwen2Config, qwen2_config
from vita_model.speech.codec import TiCodec
from vita_model.speech.decoder import SpeechDecoder
from vita_model.speech.speak import VoicelessError, speak
from vita_model.speech.steps import pack_decoder
from vita_model.splice import Spliced, splice
from vita_model.transcribe import Transcript, Way, transcribe
from vita_model.vision.encoder import VisionTower
from vita_model.vision.projector import build_projector

if TYPE_CHECKING:
    from vita_model.processor import VitaProcessor

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

    Attributes:
        vita_config: The configuration of all parts.
        whole: This model with the parts that speak, when it was loaded from a folder.
    """

    config_class = VitaQwen2Config

    def __init__(self, config: VitaConfig | VitaQwen2Config) -> None:
        if isinstance(config, VitaQwen2Config):
            config = _whole_config(config)
        language = qwen2_config(config)
        super().__init__(language)
        self.vita_config = config
        self.whole: VitaModel | None = None
        # The rotary table is in no checkpoint: it must be real even when all else is on meta.
        with torch.device("cpu"):
            self.model.rotary_emb = Qwen2RotaryEmbedding(language)
        if config.vision is not None:
            self.model.vision_tower = VisionTower(config.vision)
            self.model.mm_projector = build_projector(config.vision, language.hidden_size)
        self.model.audio_encoder = AudioTower(config)

    @classmethod
    @override
    def from_pretrained(  # type: ignore[override] # strict where transformers guesses
        cls,
        name: str | Path,
        *,
        config: object = None,
        dtype: torch.dtype | str | None = None,
        device_map: DeviceMap | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        verify: bool = False,
        fast: Form | None = None,
        bits: Bits | None = None,
        **options: object,
    ) -> Self:
        """Load the published layout, or a folder that `save_pretrained` or `convert` wrote.

        Args:
            name: A folder or a hub id.
            config: Not used, the folder's own counts; transformers' Auto classes hand one over.
            dtype: See `load_model`; its name in torch does too, and `auto` keeps the stored type.
            device_map: See `load_model`.
            revision: See `vita_model.hub.folder_of`, also for the next three.
            cache_dir: Where downloads are kept.
            local_files_only: Never download.
            token: For repositories that are not public.
            verify: See `load_model`, also for the next two.
            fast: Weights arranged for an x86 CPU.
            bits: Fewer bits for the language model.
            options: Anything that is set is refused.

        Raises:
            CheckpointError: There is no such checkpoint, or it does not fit.
        """
        refuse_unknown(options, cls.__name__)
        folder = folder_of(
            name,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            token=token,
        )
        kind = weight_type(dtype) if isinstance(dtype, str) else dtype
        where = device_map or "cpu"
        whole = load_model(folder, dtype=kind, device=where, verify=verify, fast=fast, bits=bits)
        return cast(Self, whole.language)

    @override
    def save_pretrained(  # type: ignore[override] # less to choose
        self, save_directory: str | Path, *, max_shard_bytes: int = 5 * 10**9, **options: object
    ) -> None:
        """Write weights and configuration so that `from_pretrained` and the Auto classes read them.

        Args:
            save_directory: The folder; it is made if it is not there.
            max_shard_bytes: Larger models are cut into files of at most this size.
            options: Accepted for the sake of transformers' own callers and not used.
        """
        if not all(weight.is_floating_point() for weight in self.parameters()):
            raise CheckpointError("weights in fewer bits cannot be saved; load them without `bits`")
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(self, folder, max_shard_bytes)
        config = self.vita_config
        whole = self.whole
        parts = {} if whole is None else {"speech": whole.speech, "codec": whole.codec}
        for part, module in parts.items():
            if module is not None:
                save_module(module, folder / f"{part}.safetensors")
        if whole is not None and whole.transcript is not None:
            save_head(whole.transcript, folder)
        absent = [part for part in ("speech", "codec") if parts.get(part) is None]
        config = config.model_copy(update=dict.fromkeys(absent))
        (folder / CONFIG_FILE).write_text(json.dumps(config.to_json(), indent=2))
        qwen2_config(config).save_pretrained(folder)

    def speak(
        self, text: str | Iterable[str], tokenizer: Tokenizer, **options: Any
    ) -> Iterator[Tensor]:
        """Say a text, also while it is still being written; see `vita_model.speech.speak.speak`.

        Raises:
            VoicelessError: This model has no voice, or was not loaded from a folder.
        """
        if self.whole is None:
            raise VoicelessError("This model cannot speak; load one with from_pretrained.")
        return speak(self.whole, tokenizer, text, **options)

    def transcribe(
        self, recording: Source | Waveform, processor: VitaProcessor, *, way: Way | None = None
    ) -> Transcript:
        """What is said in a recording; see `vita_model.transcribe.transcribe`."""
        whole = self.whole or VitaModel(self.vita_config, self, None, None)
        return transcribe(whole, processor, recording, way=way)

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
    """Everything that hears, sees, thinks and speaks. `speech` and `codec` may be absent.

    `transcript` writes down what was heard; the published weights have none.
    """

    config: VitaConfig
    language: VitaForConditionalGeneration
    speech: nn.Module | None
    codec: nn.Module | None
    transcript: CtcHead | None = None


def build_model(config: VitaConfig) -> VitaModel:
    """Build all modules with fresh weights; under `torch.device("meta")` without any."""
    return VitaModel(
        config=config,
        language=VitaForConditionalGeneration(config),
        speech=None if config.speech is None else _build("speech", config.speech, config),
        codec=None if config.codec is None else _build("codec", config.codec, config),
    )


def _whole_config(config: VitaQwen2Config) -> VitaConfig:
    vita = getattr(config, "vita", None)
    return parse_config(vita) if vita else published.hub_config(config.to_dict())


def read_config(folder: Path) -> VitaConfig:
    """The configuration kept in a checkpoint folder, which may be one as published."""
    path = folder / CONFIG_FILE
    if not path.is_file() and (folder / "config.json").is_file():
        return published.folder_config(folder)
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
    device: DeviceMap = "cpu",
    verify: bool = False,
    fast: Form | None = None,
    bits: Bits | None = None,
    thinks: bool = True,
) -> VitaModel:
    """Load a checkpoint folder, ready for inference.

    The folder holds `vita.json`, the language model with its towers (`model.safetensors`, or shards
    and their index), `speech.safetensors` and `codec.safetensors` if these parts are configured. A
    folder as published does as well; `vita_model.convert` makes loading it quicker.

    Args:
        folder: The checkpoint.
        dtype: Type of the weights of language model, towers and speech decoder; None keeps the
            stored one. The codec stays as stored unless it is packed.
        device: Where the model runs: a device, a mapping from beginnings of tensor names to
            devices, or `auto`. Where there are several, the parts that speak go to the token
            table's.
        verify: Compare all files with `SHA256SUMS` first.
        fast: Arrange the weights of the parts that hear, see and speak for an x86 CPU, in this
            form whatever `dtype` is; they cannot be trained or moved then. bfloat16 and int8 are
            inexact; `vita bench model` shows by how much.
        bits: Keep the layers of the language model in `int8` or `int4`, for a GPU that cannot hold
            them whole. Needs bitsandbytes and one device; cannot be trained or saved.
        thinks: False leaves the layers and the head of the language model out, which something
            else computes then; it still has the rows of tokens.

    Raises:
        CheckpointError: A file is missing, is not the pinned one or does not fit the configuration,
            or weights are to be arranged for something else than an x86 CPU or in fewer bits for
            several devices.
    """
    if fast is not None and (device != "cpu" or not can_pack()):
        raise CheckpointError("fast weights need an x86 CPU; leave `fast` or the device out")
    if bits is not None and (isinstance(device, Mapping) or device == "auto"):
        raise CheckpointError(f"weights in {bits} go to one device; name it")
    if verify:
        hashes.verify(folder, hashes.read_sums(folder / hashes.SUMS_FILE))
    config = read_config(folder)
    with torch.device("meta"):
        model = build_model(config) if thinks else _without_thought(config)
    places = place(model.language, device, dtype)
    stored = places if isinstance(places, Mapping) else {"": places}
    if bits is not None:  # whole weights wait on the CPU until they are smaller
        stored = {**stored, "model.layers": "cpu"}
    left = () if thinks else _THOUGHT
    load_checkpoint(model.language, folder, dtype=dtype, device=stored, ignore=left)
    first = device_of("model.embed_tokens.weight", places)
    _load_part(model.speech, folder, "speech", first, dtype=dtype)
    keeps_encoder = not isinstance(config.codec, CodecConfig) or config.codec.encoder
    ignore = () if keeps_encoder else ("encoder.",)
    _load_part(model.codec, folder, "codec", first, ignore=ignore)
    for module in (model.language, model.speech, model.codec):
        if module is not None:
            module.eval().requires_grad_(requires_grad=False)
    if bits is not None:
        quantize(model.language.model.layers, bits, first)
    if not isinstance(places, Mapping):
        cast(nn.Module, model.language).to(places)  # the rotary table, which no checkpoint holds
    dispatch(model.language, places)
    encoder = model.language.model.audio_encoder.encoder
    model = replace(model, transcript=load_head(folder, encoder, first))
    if fast is not None:
        _pack(model, fast)
    model.language.whole = model
    return model


_THOUGHT = ("model.layers.", "model.norm.", "lm_head.")


def _without_thought(config: VitaConfig) -> VitaModel:
    none = config.language.model_copy(update={"layers": 0, "tie_embeddings": False})
    model = build_model(config.model_copy(update={"language": none}))
    model.language.model.norm = model.language.lm_head = nn.Identity()
    return replace(model, config=config)


def _pack(model: VitaModel, form: Form) -> None:
    inner = model.language.model
    pack(inner.audio_encoder, form)
    if model.config.vision is not None:
        pack(inner.vision_tower, form)
        pack(inner.mm_projector, form)
    if isinstance(model.speech, SpeechDecoder):
        pack_decoder(model.speech, form)
    if isinstance(model.codec, TiCodec):
        pack(model.codec.generator, "float32" if form == "float32" else "bfloat16")


_PT_FOLDERS = {"speech": published.SPEECH_FOLDER, "codec": published.CODEC_FOLDER}


def _load_part(
    module: nn.Module | None,
    folder: Path,
    name: str,
    device: Device,
    *,
    dtype: torch.dtype | None = None,
    ignore: tuple[str, ...] = (),
) -> None:
    if module is None:
        return
    path, source = folder / f"{name}.safetensors", folder / _PT_FOLDERS[name] / "final.pt"
    if path.is_file() or not source.is_file():
        load_checkpoint(module, path, dtype=dtype, device=device, ignore=ignore)
    else:
        hashes.verify_published(folder)
        load_torch_file(module, source, dtype=dtype, device=device)


AutoConfig.register(VitaQwen2Config.model_type, VitaQwen2Config)
AutoModelForCausalLM.register(VitaQwen2Config, VitaForConditionalGeneration)
