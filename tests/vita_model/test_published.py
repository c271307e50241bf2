"""The published layout: an index, four shards with the towers inside, and two parts that speak."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from tests.vita_model.published_layout import CONFIG, VISION_FOLDER, publish
from vita_model import hashes
from vita_model.assembly import VitaForConditionalGeneration, load_model
from vita_model.checkpoint import CheckpointError
from vita_model.cli import app
from vita_model.convert import convert

pytestmark = pytest.mark.unit

SHARD = "model-00003-of-00004.safetensors"
PT_FILES = ["vita_tts_ckpt/decoder/final.pt", "vita_tts_ckpt/codec/final.pt"]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    return folder, publish(folder)


@pytest.fixture
def folder(original, tmp_path):
    return Path(shutil.copytree(original[0], tmp_path / "VITA-1.5"))


@pytest.fixture
def model(original):
    return original[1]


def close(module, other):
    before, after = module.state_dict(), other.state_dict()
    return before.keys() == after.keys() and all(
        torch.allclose(before[name], after[name], atol=1e-6) for name in before
    )


def load(folder, **options):
    return VitaForConditionalGeneration.from_pretrained(folder, **options)


def command(*arguments):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


def change(folder, shard, edit):
    """Rewrite one shard and its part of the index."""
    tensors = load_file(folder / shard)
    edit(tensors)
    save_file(tensors, folder / shard)
    index = folder / "model.safetensors.index.json"
    data = json.loads(index.read_text())
    kept = {name: file for name, file in data["weight_map"].items() if file != shard}
    data["weight_map"] = kept | dict.fromkeys(tensors, shard)
    index.write_text(json.dumps(data))


def flip(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x40
    path.write_bytes(content)


def test_four_shards_and_the_parts_that_speak_are_loaded_as_they_are(folder, model):
    places = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    inside = {name.split(".")[1] for name in places if name.startswith("model.")}
    assert {"vision_tower", "mm_projector", "audio_encoder", "layers"} <= inside
    assert len(set(places.values())) == len(list(folder.glob("model-*.safetensors"))) == 4
    loaded = load(folder)
    assert loaded.vita_config == CONFIG, "sizes of all parts stand in the published files"
    assert close(model.language, loaded)
    assert close(model.speech, loaded.whole.speech)
    assert close(model.codec, loaded.whole.codec)
    assert not {file.name for file in folder.iterdir()} & {"vita.json", hashes.SUMS_FILE}


def test_a_folder_is_converted_once_and_then_says_the_same(folder, model):
    done = command(folder)
    assert done.exit_code == 0, done.output
    assert not [name for name in load_file(folder / "codec.safetensors") if name.endswith("_g")]
    for path in PT_FILES:
        (folder / path).unlink()
    loaded = load(folder)
    assert loaded.vita_config == CONFIG
    assert close(model.language, loaded)
    assert close(model.speech, loaded.whole.speech)
    assert close(model.codec, loaded.whole.codec)


def test_a_folder_without_a_voice_gives_a_silent_model(folder):
    shutil.rmtree(folder / "vita_tts_ckpt")
    assert convert(folder).speech is None
    assert load(folder).whole.speech is None


def test_without_the_towers_own_configuration_the_known_sizes_are_wanted(folder):
    shutil.rmtree(folder / VISION_FOLDER)
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    report = str(caught.value)
    assert (
        "missing: model.vision_tower.vision_tower.encoder.layers.*.attn.proj.bias (23 times)"
        in (report)
    )
    assert "class_embedding is (1, 1, 8), not (1, 1, 1024)" in report


def test_what_differs_in_the_shards_is_reported_at_once(folder):
    def edit(tensors):
        bias = "model.layers.0.self_attn.q_proj.bias"
        del tensors["model.layers.0.mlp.up_proj.weight"]
        tensors[bias] = tensors[bias][:-1].contiguous()
        tensors["model.layers.9.mlp.up_proj.weight"] = torch.zeros(1)

    places = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    change(folder, places["model.layers.0.mlp.up_proj.weight"], edit)
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert str(caught.value) == (
        f"{folder} does not fit the model: 1 missing: model.layers.0.mlp.up_proj.weight; "
        "1 surplus: model.layers.9.mlp.up_proj.weight; 1 wrong shape: "
        "model.layers.0.self_attn.q_proj.bias is (15,), not (16,)"
    )


@pytest.mark.parametrize(
    ("part", "name"),
    [("decoder", "norm.weight"), ("codec", "quantizer_modules.0.embedding.weight")],
)
def test_what_differs_in_the_parts_that_speak_is_reported(part, name, folder):
    path = folder / "vita_tts_ckpt" / part / "final.pt"
    content = torch.load(path, weights_only=True)
    weights = content["model" if part == "decoder" else "quantizer"]
    weights[name] = weights[name][:-1].clone()
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=rf"final\.pt does not fit .*1 wrong shape: .*{name}"):
        load(folder)
    del weights[name]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=rf"final\.pt does not fit .*1 missing: .*{name}"):
        load(folder)


def test_a_missing_shard_is_named(folder):
    (folder / SHARD).unlink()
    with pytest.raises(CheckpointError, match=f"names {SHARD}, which is not beside it"):
        load(folder)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_shard_is_one_sentence(length, folder):
    path = folder / SHARD
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=f"{SHARD} is not a readable safetensors file") as it:
        load(folder)
    assert "\n" not in str(it.value)


def test_a_flipped_byte_in_the_list_of_tensors_is_noticed_by_itself(folder):
    flip(folder / SHARD, 20)
    with pytest.raises(CheckpointError, match=SHARD):
        load(folder)


@pytest.mark.parametrize("file", [SHARD, *PT_FILES])
def test_a_flipped_byte_of_a_weight_is_noticed_by_the_sums_alone(file, folder):
    convert(folder)
    path = folder / file
    flip(path, -1 if file == SHARD else path.stat().st_size // 2)
    load(folder)
    with pytest.raises(CheckpointError, match="is not the file that was pinned: its SHA-256 is"):
        load(folder, verify=True)
    result = command(folder)
    assert result.exit_code == 4
    assert f"{file} is not the file that was pinned" in result.output


def test_a_folder_that_was_not_pinned_cannot_be_verified(folder):
    with pytest.raises(CheckpointError, match="SHA256SUMS cannot be read"):
        load_model(folder, verify=True)


def test_given_checksums_are_verified_before_anything_is_opened(folder, tmp_path):
    sums = tmp_path / "sums"
    sums.write_text(f"{'0' * 64}  {PT_FILES[1]}\n")
    result = command(folder, "--sums", sums)
    assert result.exit_code == 4
    assert "its SHA-256 is" in result.output
    assert not (folder / "vita.json").exists()
    sums.write_text("no checksum\n")
    assert "line 1 of" in command(folder, "--sums", sums).output


def test_a_published_file_must_have_the_published_content(folder, monkeypatch):
    size = (folder / PT_FILES[1]).stat().st_size
    monkeypatch.setattr(hashes, "PUBLISHED", {PT_FILES[1]: (size, "0" * 64)})
    for use in (convert, load):
        with pytest.raises(CheckpointError, match="not the file that was pinned"):
            use(folder)


@pytest.mark.parametrize("damage", ["truncated", "empty", "code"])
def test_damaged_or_dangerous_pt_files_are_one_sentence(damage, folder):
    path = folder / PT_FILES[0]
    if damage == "code":
        torch.save({"model": Path("weights")}, path)
    else:
        path.write_bytes(path.read_bytes()[:200] if damage == "truncated" else b"")
    result = command(folder)
    assert result.exit_code == 4
    assert "final.pt cannot be read as plain weights" in result.output
    assert result.output.count("\n") == 1
