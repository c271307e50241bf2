from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM
from typer.testing import CliRunner

from tests.vita_model.small import TINY, checkpoint
from vita_model import hashes, published
from vita_model.assembly import VitaForConditionalGeneration, build_model, load_model
from vita_model.checkpoint import CheckpointError, load_checkpoint
from vita_model.cli import app
from vita_model.convert import convert

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("small"))


def equal(one, other):
    before, after = one.state_dict(), other.state_dict()
    return before.keys() == after.keys() and all(
        torch.equal(before[name], after[name]) for name in before
    )


@pytest.mark.parametrize("most", [5 * 10**9, 20_000])
def test_what_is_saved_is_loaded_again_with_its_voice(most, small, tmp_path):
    model = VitaForConditionalGeneration.from_pretrained(small)
    model.save_pretrained(tmp_path, max_shard_bytes=most)
    again = VitaForConditionalGeneration.from_pretrained(tmp_path)
    assert len(list(tmp_path.glob("model*.safetensors"))) == (1 if most > 20_000 else 4)
    assert again.vita_config == TINY
    assert equal(model, again)
    assert equal(model.whole.speech, again.whole.speech)
    assert equal(model.whole.codec, again.whole.codec)


def test_the_auto_classes_of_transformers_know_the_model(small, tmp_path):
    model = VitaForConditionalGeneration.from_pretrained(small)
    model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert config.model_type == "vita-Qwen2"
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert isinstance(again, VitaForConditionalGeneration)
    assert again.dtype == torch.bfloat16
    assert AutoModelForCausalLM.from_config(config).vita_config == TINY


@pytest.mark.parametrize(
    "devices", ["cpu", {"": "cpu"}, {"model": "cpu", "lm_head": "cpu"}, "auto"]
)
def test_parts_go_where_the_device_map_says(devices, small):
    model = VitaForConditionalGeneration.from_pretrained(small, device_map=devices)
    assert model(torch.tensor([[1, 2]])).logits.shape == (1, 2, 300)


def test_weights_may_lie_on_several_devices(small):
    pieces = {"model": "cpu", "model.audio_encoder": "meta", "lm_head": "cpu"}
    with torch.device("meta"):
        model = build_model(TINY).language
    load_checkpoint(model, small, device=pieces)
    assert model.model.audio_encoder.adpter.project.weight.is_meta
    assert not model.lm_head.weight.is_meta
    with pytest.raises(CheckpointError, match=r"no device for lm_head\.weight"):
        load_checkpoint(model, small, device={"model": "cpu"})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dtype": "float31"}, "no type of weights called 'float31'"),
        ({"load_in_8bit": True}, "does not know the options load_in_8bit"),
    ],
)
def test_wrong_options_are_told(options, told, small):
    with pytest.raises(CheckpointError, match=told):
        VitaForConditionalGeneration.from_pretrained(small, **options)


def test_a_name_that_is_nowhere_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="neither a folder nor a repository"):
        VitaForConditionalGeneration.from_pretrained(
            "nobody/nothing", local_files_only=True, cache_dir=tmp_path
        )


# The published layout


SPEECH = [
    8,
    8,
    {
        "transformer_attention_dim": 8,
        "transformer_attention_heads": 2,
        "transformer_linear_units": 8,
        "transformer_num_blocks": 2,
        "kv_cache_prefix_finetune": 1,
    },
]
CODEC = {
    "sampling_rate": 24000,
    "upsample_rates": [8, 5, 5, 3],
    "upsample_kernel_sizes": [16, 11, 11, 5],
    "upsample_initial_channel": 32,
    "resblock": "1",
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    "n_code_groups": 1,
    "residul_layer": 1,
    "n_codes": 8,
    "latent_dim": 16,
    "encoder_base_channels": 16,
    "global_dim": 16,
    "global_feature_conv": [32, 8, 16, 3, 1],
    "global_tokens": [1] * 8,
    "codebook_loss_lambda": 1.0,
    "commitment_loss_lambda": 0.25,
}


def with_weight_norm(state):
    """The codec's convolutions in the form they are published in."""
    stored = {}
    for name, tensor in state.items():
        if name.endswith(".weight") and tensor.ndim == 3:
            stored[f"{name}_v"] = tensor * 3
            stored[f"{name}_g"] = torch.linalg.vector_norm(tensor, dim=(1, 2), keepdim=True)
        else:
            stored[name] = tensor
    return stored


@pytest.fixture
def published_folder(golden, tmp_path):
    """A small copy of the published repository's layout, and what is in it."""
    case = golden("d1_mixed_logits_greedy")
    data = case.config
    hub = data["llm"] | {"mm_projector_type": "mlp2x_gelu", "tokenizer_model_max_length": 99}
    (tmp_path / "config.json").write_text(json.dumps(hub | {"model_type": "vita-Qwen2"}))
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "train.yaml").write_text(json.dumps(data["audio"]))
    shutil.copy(case.weights, tmp_path / "model.safetensors")
    # Two blocks are announced, so the file must hold two autoregressive layers; it has no prefix.
    two = TINY.speech.model_copy(update={"layers": 2})
    model = build_model(TINY.model_copy(update={"speech": two}))
    leftovers = {"rotary_emb.inv_freq": torch.zeros(2)}
    stored = {"model": dict(model.speech.state_dict()) | leftovers, "optimizer": {"step": 7}}
    codec = with_weight_norm(model.codec.state_dict())
    groups = {
        part: {n.partition(".")[2]: t for n, t in codec.items() if n.startswith(f"{part}.")}
        for part in ("generator", "encoder", "quantizer")
    }
    for name, settings, content in (("decoder", SPEECH, stored), ("codec", CODEC, groups)):
        part = tmp_path / "vita_tts_ckpt" / name
        part.mkdir(parents=True)
        (part / "model.json").write_text(json.dumps(settings))
        torch.save(content, part / "final.pt")
    return tmp_path, model, published.vision_config(data["vision"])


def close(module, other):
    before, after = module.state_dict(), other.state_dict()
    return all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_a_published_folder_is_converted_once(published_folder):
    folder, model, vision = published_folder
    config = convert(folder, vision=vision)
    assert config.speech == model.config.speech, "the file has no prefix layers"
    assert config.max_length == 99
    assert not [name for name in load_file(folder / "codec.safetensors") if name.endswith("_g")]
    loaded = load_model(folder, verify=True)
    assert close(model.speech, loaded.speech)
    assert close(model.codec, loaded.codec)


def test_parts_that_were_not_converted_are_loaded_all_the_same(published_folder):
    folder, model, vision = published_folder
    convert(folder, vision=vision)
    for name in ("speech", "codec"):
        (folder / f"{name}.safetensors").unlink()
    loaded = VitaForConditionalGeneration.from_pretrained(folder)
    assert close(model.speech, loaded.whole.speech)
    assert close(model.codec, loaded.whole.codec)


def test_a_folder_without_a_voice_gives_a_silent_model(published_folder):
    folder, _, vision = published_folder
    shutil.rmtree(folder / "vita_tts_ckpt")
    config = convert(folder, vision=vision)
    assert config.speech is None
    assert VitaForConditionalGeneration.from_pretrained(folder).whole.speech is None


def command(*arguments):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


def test_a_file_that_changed_after_it_was_pinned_is_named(published_folder):
    folder, _, vision = published_folder
    convert(folder, vision=vision)
    convert(folder, vision=vision)
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors is not the file that was pinned"
    ):
        load_model(folder, verify=True)
    result = command(folder)
    assert result.exit_code == 4
    assert "not the file that was pinned" in result.output


def test_given_checksums_are_verified_before_anything_is_opened(published_folder, tmp_path):
    folder, _, _ = published_folder
    sums = tmp_path / "sums"
    sums.write_text(f"{'0' * 64}  vita_tts_ckpt/codec/final.pt\n")
    result = command(folder, "--sums", sums)
    assert result.exit_code == 4
    assert "its SHA-256 is" in result.output
    assert not (folder / "vita.json").exists()
    sums.write_text("no checksum\n")
    assert "line 1 of" in command(folder, "--sums", sums).output


def test_a_published_file_must_have_the_published_content(published_folder, monkeypatch):
    folder, _, vision = published_folder
    name = "vita_tts_ckpt/codec/final.pt"
    size = (folder / name).stat().st_size
    monkeypatch.setattr(hashes, "PUBLISHED", {name: (size, "0" * 64)})
    with pytest.raises(CheckpointError, match="not the file that was pinned"):
        convert(folder, vision=vision)


@pytest.mark.parametrize("damage", ["truncated", "empty", "code"])
def test_damaged_or_dangerous_pt_files_are_one_sentence(damage, published_folder):
    folder, _, _ = published_folder
    path = folder / "vita_tts_ckpt" / "decoder" / "final.pt"
    if damage == "code":
        torch.save({"model": Path("weights")}, path)
    else:
        path.write_bytes(path.read_bytes()[:200] if damage == "truncated" else b"")
    result = command(folder)
    assert result.exit_code == 4
    assert "final.pt cannot be read as plain weights" in result.output
    assert result.output.count("\n") == 1


def test_a_truncated_shard_is_one_sentence(small, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(small, folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not a readable safetensors"):
        VitaForConditionalGeneration.from_pretrained(folder)
