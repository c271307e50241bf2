"""A whole model with random weights and a tokenizer of bytes, in a checkpoint folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_model
from tokenizers import AddedToken, Tokenizer

from vita_model.assembly import CONFIG_FILE, VitaModel, build_model
from vita_model.bench.byte_tokens import byte_tokenizer
from vita_model.config import (
    AdapterConfig,
    AudioEncoderConfig,
    CodecConfig,
    LanguageConfig,
    SpeechDecoderConfig,
    VisionConfig,
    VitaConfig,
)

TINY = VitaConfig(
    language=LanguageConfig(
        vocab_size=300, hidden_size=16, intermediate_size=16, layers=1, heads=2, kv_heads=1
    ),
    vision=VisionConfig(
        hidden_size=8, layers=1, heads=2, intermediate_size=8, patch_size=4, image_size=16
    ),
    audio=AudioEncoderConfig(hidden_size=8, layers=1, heads=2, intermediate_size=8),
    adapter=AdapterConfig(input_size=8),
    speech=SpeechDecoderConfig(
        hidden_size=8, heads=2, intermediate_size=8, layers=1, front_layers=1, codes=8
    ),
    codec=CodecConfig(
        initial_channels=32,
        latent_size=16,
        codes=8,
        encoder_channels=16,
        global_size=16,
        global_conv=(32, 8, 3),
        global_tokens=(1,) * 8,
    ),
    max_length=2_000,
)


def tokenizer(*more: str) -> Tokenizer:
    """One token a byte, and the special ones; one for each of `more`."""
    found = byte_tokenizer()
    found.add_special_tokens([AddedToken(text) for text in ("<|im_start|>", "<|im_end|>")])
    plain = (*"☞☜☟", "<tool_call>", "</tool_call>", *more)
    found.add_tokens([AddedToken(text, normalized=False) for text in plain])
    return found


def say_by_heart(model: VitaModel, *, to_speech: str = "☞", call: str | None = None) -> None:
    """Let its language model know one thing only: which token follows which.

    Speech is `to_speech` to it and "Hey." the answer, to typed words it sings without end. After
    "Hey." comes `call`, which is one token of its tokenizer.
    """
    known = tokenizer() if call is None else tokenizer(call)
    calls = () if call is None else ("<tool_call>", call, "</tool_call>")
    language = model.language
    chains = (
        ("\n", to_speech),
        ("☞", "H", "e", "y", ".", *calls, "<|im_end|>"),
        ("☜", "l", "a", " ", "l"),
    )
    with torch.no_grad():
        for layer in language.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        table, head = language.model.embed_tokens.weight, language.lm_head.weight
        table.zero_()
        head.zero_()
        place = 0
        for chain in chains:
            ids = [known.encode(text, add_special_tokens=False).ids[0] for text in chain]
            for token, after in itertools.pairwise(ids):
                table[token, place], head[after, place] = 1.0, 1.0
                place += 1


def checkpoint(
    folder: Path,
    config: VitaConfig = TINY,
    teach: Callable[[VitaModel], None] = lambda _: None,
) -> Path:
    """Write the model, whose utterances are short, and its tokenizer into a folder."""
    torch.manual_seed(7)
    model = build_model(config)
    with torch.no_grad():  # its speech is one code again and again, and one in twenty ends it
        model.speech.out_fnn.weight.zero_()
        model.speech.out_fnn.bias.zero_()
        model.speech.out_fnn.bias[0] = 6.0
        model.speech.out_fnn.bias[config.speech.end] = 3.0
    teach(model)
    (folder / CONFIG_FILE).write_text(config.model_dump_json())
    tokenizer().save(str(folder / "tokenizer.json"))
    save_model(model.language, str(folder / "model.safetensors"))
    for name, part in (("speech", model.speech), ("codec", model.codec)):
        assert part is not None
        save_model(part, str(folder / f"{name}.safetensors"))
    return folder
