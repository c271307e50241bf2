from __future__ import annotations

import shutil

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoProcessor

from tests.vita_model.published_layout import CONFIG, publish
from tests.vita_model.small import TINY, checkpoint
from vita_model.assembly import VitaForConditionalGeneration, build_model
from vita_model.checkpoint import CheckpointError, load_checkpoint
from vita_model.processor import VitaProcessor

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


def in_the_hubs_cache(folder, cache):
    """Lay a folder where the hub keeps what was downloaded of a repository."""
    home, commit = cache / "models--someone--VITA", "0" * 40
    shutil.copytree(folder, home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    return {"cache_dir": cache, "local_files_only": True}


def test_a_hub_id_does_as_well_as_a_folder(tmp_path):
    published = tmp_path / "published"
    published.mkdir()
    publish(published)
    where = in_the_hubs_cache(published, tmp_path / "cache")
    model = VitaForConditionalGeneration.from_pretrained("someone/VITA", **where)
    processor = AutoProcessor.from_pretrained("someone/VITA", **where)
    assert isinstance(processor, VitaProcessor)
    assert model.vita_config == processor.config == CONFIG
    assert model.generate(**processor("Hello"), max_new_tokens=2).shape == (1, 2)
    with pytest.raises(CheckpointError, match="does not know the options padding_side"):
        VitaProcessor.from_pretrained(published, padding_side="left")


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


def test_a_truncated_file_is_one_sentence(small, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(small, folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not a readable safetensors"):
        VitaForConditionalGeneration.from_pretrained(folder)
