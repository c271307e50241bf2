"""The parts of VITA-1.5 that run beside the language model, each in several modes, ready to be timed.

Weights are random: speed does not depend on them, and the published ones need not be there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vita_model.audio.adapter import SubsamplingAdapter
from vita_model.audio.encoder import WhaleEncoder
from vita_model.bench import reference
from vita_model.config import (
    AdapterConfig,
    AudioEncoderConfig,
    CodecConfig,
    SpeechDecoderConfig,
    VisionConfig,
    VitaConfig,
)
from vita_model.packed import Form, form_type, pack
from vita_model.speech.codec import TiCodec
from vita_model.speech.decoder import SpeechDecoder, SpeechSampling
from vita_model.speech.steps import pack_decoder
from vita_model.vision.encoder import VisionTower
from vita_model.vision.projector import build_projector

M = TypeVar("M", bound=nn.Module)

REFERENCE = "reference-style"
_SEED = 5


@dataclass(frozen=True, slots=True)
class Work:
    """What one call of each part does.

    Attributes:
        text_rows: Rows of the text that the speech decoder speaks, four a token.
        codes: Codes it makes.
        frames: Codes the codec decodes: a streaming window of 10 + 40 + 10.
        bank_frames: Filter-bank frames the audio encoder hears, 100 a second.
    """

    text_rows: int = 40
    codes: int = 100
    frames: int = 60
    bank_frames: int = 498


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to do the same work; `output` is what its error is taken from."""

    name: str
    form: Form
    run: Callable[[], object]
    output: Callable[[], Tensor]


@dataclass(frozen=True, slots=True)
class Part:
    """Something to be timed.

    Attributes:
        name: Short.
        work: What one call does, in words.
        speed: Seconds of a call to what a reader wants to know.
        modes: The baseline first.
        operations: Floating-point operations of a call that are bound by arithmetic.
        read: Weights read in a call that is bound by memory, each step counted.
    """

    name: str
    work: str
    speed: Callable[[float], str]
    modes: list[Mode]
    operations: float
    read: float = 0.0


def _operations(run: Callable[[], object]) -> float:
    """Of a call on the meta device."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return float(counter.get_total_flops())


def _arranged(module: M, form: Form) -> M:
    """A copy in a form, packed where it runs on the CPU."""
    copied = copy.deepcopy(module)
    if next(copied.parameters()).device.type == "cpu":
        pack(copied, form)
    return copied.to(form_type(form))


def vision(config: VitaConfig, _: Work, forms: list[Form], device: torch.device) -> Part:
    """InternViT, space-to-depth and projector for one tile."""
    sizes = cast(VisionConfig, config.vision)
    width = config.language.hidden_size
    shape = (1, sizes.channels, sizes.image_size, sizes.image_size)

    def build(place: torch.device) -> nn.Sequential:
        with place:
            return nn.Sequential(VisionTower(sizes), build_projector(sizes, width)).eval()

    def seen(form: Form) -> Callable[[], Tensor]:
        eye = _arranged(whole, form)
        return lambda: eye(pixels.to(form_type(form)))

    torch.manual_seed(_SEED)
    whole, pixels = build(device), torch.randn(shape, device=device)
    tower, projector = cast(VisionTower, whole[0]), whole[1]
    baseline = lambda: reference.see(tower, projector, pixels)  # noqa: E731
    meta = torch.device("meta")
    return Part(
        "vision",
        f"InternViT and projector, one tile of {sizes.image_size} pixels",
        lambda seconds: f"{seconds:.2f} s a tile",
        _modes(baseline, baseline, forms, lambda form: (seen(form),) * 2),
        _operations(lambda: build(meta)(torch.empty(shape, device=meta))),
    )


def audio(config: VitaConfig, work: Work, forms: list[Form], device: torch.device) -> Part:
    """The whale encoder and its adapter over one utterance."""
    sizes = cast(AudioEncoderConfig, config.audio)
    adapter_sizes, width = cast(AdapterConfig, config.adapter), config.language.hidden_size

    def build(place: torch.device) -> nn.ModuleList:
        with place:
            parts = [WhaleEncoder(sizes), SubsamplingAdapter(adapter_sizes, width)]
        return nn.ModuleList(parts).eval()

    def heard(ears: nn.ModuleList, features: Tensor) -> Tensor:
        lengths = torch.tensor([features.shape[1]], device=features.device)
        return cast(Tensor, ears[1](*ears[0](features, lengths)).hidden)

    def hearing(form: Form) -> Callable[[], Tensor]:
        ears = _arranged(whole, form)
        return lambda: heard(ears, features)

    torch.manual_seed(_SEED)
    whole = build(device)
    features = torch.randn(1, work.bank_frames, sizes.mel_bins, device=device)
    lengths = torch.tensor([work.bank_frames], device=device)
    encoder, adapter = cast(WhaleEncoder, whole[0]), cast(SubsamplingAdapter, whole[1])
    baseline = lambda: reference.hear(encoder, adapter, features, lengths)  # noqa: E731
    meta = torch.device("meta")
    return Part(
        "audio encoder",
        f"whale encoder and adapter, {work.bank_frames / 100:.1f} s of sound",
        lambda seconds: f"{seconds * 1e3:.0f} ms",
        _modes(baseline, baseline, forms, lambda form: (hearing(form),) * 2),
        _operations(lambda: heard(build(meta), features.to(meta))),
    )


def speech(config: VitaConfig, work: Work, forms: list[Form], device: torch.device) -> Part:
    """The speech decoder: the text at once, then one code after another."""
    sizes = cast(SpeechDecoderConfig, config.speech)
    sampling = SpeechSampling(top_k=1, max_codes=work.codes)

    def arranged(form: Form) -> SpeechDecoder:
        copied = copy.deepcopy(decoder)
        if device.type == "cpu":
            pack_decoder(copied, form)
            return copied
        return copied.to(form_type(form))

    def speaking(form: Form) -> tuple[Callable[[], list[int]], Callable[[], Tensor]]:
        speaker = arranged(form)
        text = hidden.to(speaker.norm.weight)

        def logits() -> Tensor:
            state, found = speaker.begin(text)
            rows = [found, *(speaker.step([code], state) for code in codes[:-1])]
            return torch.cat(rows)[:, : sizes.codes]

        return lambda: list(speaker.generate(text, sampling=sampling)), logits

    torch.manual_seed(_SEED)
    with device:
        decoder = SpeechDecoder(sizes).eval()
        hidden = torch.randn(1, work.text_rows, sizes.hidden_size) * 0.02
    with torch.no_grad():
        decoder.out_fnn.bias[[sizes.separator, sizes.start, sizes.end, sizes.pad]] = -1e4
    codes = reference.Speaker(decoder).speak(hidden, work.codes)
    with torch.device("meta"):
        empty = SpeechDecoder(sizes).eval()
        nothing = torch.empty(1, work.text_rows, sizes.hidden_size)
    weights = sum(weight.numel() for weight in empty.layers.parameters())
    return Part(
        "speech decoder",
        f"{work.codes} codes for {work.text_rows // 4} tokens of text",
        lambda seconds: f"{work.codes / seconds:.1f} codes/s",
        _modes(
            lambda: reference.Speaker(decoder).speak(hidden, work.codes),
            lambda: reference.Speaker(decoder).logits(hidden, codes)[:, : sizes.codes],
            forms,
            speaking,
        ),
        _operations(lambda: empty.begin(nothing)),
        read=float(work.codes * (weights + empty.out_fnn.weight.numel())),
    )


def codec(config: VitaConfig, work: Work, forms: list[Form], device: torch.device) -> Part:
    """The codec's generator over one streaming window."""
    sizes = cast(CodecConfig, config.codec).model_copy(update={"encoder": False})
    seconds = work.frames * sizes.hop / sizes.sample_rate

    def sounding(form: Form) -> Callable[[], Tensor]:
        voice = copy.deepcopy(whole)
        voice.generator = _arranged(voice.generator, form)
        return lambda: voice.decode(codes)

    torch.manual_seed(_SEED)
    with device:
        whole = TiCodec(sizes).eval()
        codes = torch.randint(sizes.codes, (1, work.frames, 1))
    baseline = lambda: reference.decode(whole, codes)  # noqa: E731
    with torch.device("meta"):
        empty = TiCodec(sizes).eval()
    convolved: list[Form] = [
        form for form in forms if form != "int8"
    ]  # torch has no such convolution
    return Part(
        "codec",
        f"{work.frames} codes to {seconds:.1f} s of sound",
        lambda spent: f"{spent / seconds:.2f} of real time",
        _modes(baseline, baseline, convolved, lambda form: (sounding(form),) * 2),
        _operations(lambda: empty.decode(codes.to("meta"))),
    )


Build = Callable[[VitaConfig, Work, list[Form], torch.device], Part]

PARTS: dict[str, Build] = {"speech": speech, "codec": codec, "audio": audio, "vision": vision}
"""By the names that a command takes."""


def _modes(
    run: Callable[[], object],
    output: Callable[[], Tensor],
    forms: list[Form],
    own: Callable[[Form], tuple[Callable[[], object], Callable[[], Tensor]]],
) -> list[Mode]:
    return [
        Mode(REFERENCE, "float32", run, output),
        *(Mode(f"ours, {form}", form, *own(form)) for form in forms),
    ]
