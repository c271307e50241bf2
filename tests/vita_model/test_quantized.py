"""The language model in fewer bits: nearly the same scores in less memory."""

from __future__ import annotations

import sys

import pytest
import torch
from transformers import Qwen2ForCausalLM
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from tests.vita_model.small import TINY, checkpoint
from vita_model.assembly import VitaForConditionalGeneration
from vita_model.backbone import Backbone, open_backbone
from vita_model.checkpoint import CheckpointError
from vita_model.config import LanguageConfig, VitaConfig
from vita_model.quantized import quantize
from vita_model.qwen2 import qwen2_config

pytestmark = pytest.mark.unit

WIDE = TINY.model_copy(
    update={
        "language": LanguageConfig(
            vocab_size=300, hidden_size=64, intermediate_size=128, layers=2, heads=4, kv_heads=2
        )
    }
)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("wide"), WIDE)


@pytest.fixture(scope="module")
def whole(wide):
    return VitaForConditionalGeneration.from_pretrained(wide)


def bytes_of(model):
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


@pytest.mark.parametrize(("bits", "share", "error"), [("int8", 0.27, 0.03), ("int4", 0.15, 0.25)])
def test_fewer_bits_give_nearly_the_same_scores(bits, share, error, wide, whole):
    pytest.importorskip("bitsandbytes")
    model = VitaForConditionalGeneration.from_pretrained(wide, bits=bits)
    ids = torch.arange(40)[None] % 256
    exact, found = whole(ids).logits, model(ids).logits
    assert 0 < float((found - exact).norm() / exact.norm()) < error
    assert bytes_of(model.model.layers) < share * bytes_of(whole.model.layers)
    assert torch.equal(model.model.embed_tokens.weight, whole.model.embed_tokens.weight)
    assert torch.equal(model.lm_head.weight, whole.lm_head.weight)
    assert model.generate(ids, max_new_tokens=3).shape == (1, 3)


def vita_tinys_language() -> tuple[Qwen2ForCausalLM, Backbone]:
    backbone = open_backbone()
    shape = backbone.shape
    sizes = LanguageConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.width, intermediate_size=shape.hidden,
        layers=shape.layers, heads=shape.heads, kv_heads=shape.kv_heads, rope_theta=shape.rope_base,
        rms_norm_eps=shape.epsilon, tie_embeddings=True,
    )  # fmt: skip
    config = qwen2_config(VitaConfig(language=sizes))
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
    model.model.rotary_emb = Qwen2RotaryEmbedding(config)
    model.load_state_dict(dict(backbone.named_tensors()), strict=False, assign=True)
    model.tie_weights()
    return model.eval(), backbone


@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_vita_tinys_language_model_still_knows_the_answer(bits):
    pytest.importorskip("bitsandbytes")
    model, backbone = vita_tinys_language()
    quantize(model.model.layers, bits, "cpu")
    asked = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    tokenizer = backbone.tokenizer()
    ids = torch.tensor([tokenizer.encode(asked).ids])
    answer = model.generate(ids, max_new_tokens=6, do_sample=False)[0, ids.shape[1] :]
    assert "Paris" in tokenizer.decode(answer.tolist())


def test_fewer_bits_are_for_one_device_and_not_saved(wide, tmp_path):
    pytest.importorskip("bitsandbytes")
    with pytest.raises(CheckpointError, match="weights in int8 go to one device; name it"):
        VitaForConditionalGeneration.from_pretrained(wide, bits="int8", device_map="auto")
    model = VitaForConditionalGeneration.from_pretrained(wide, bits="int8")
    with pytest.raises(CheckpointError, match="load them without `bits`"):
        model.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_the_library_the_error_names_what_to_install(wide, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(CheckpointError, match=r"install vita-agent\[quantized\]"):
        VitaForConditionalGeneration.from_pretrained(wide, bits="int4")
