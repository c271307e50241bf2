from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vita_model import published
from vita_model.assembly import (
    build_model,
    load_model,
    parse_config,
    register,
)
from vita_model.checkpoint import (
    CheckpointError,
    compare,
    fold_shapes,
    fold_weight_norm,
    load_checkpoint,
    tensor_shapes,
)
from vita_model.config import (
    AdapterConfig,
    AudioEncoderConfig,
    CodecConfig,
    LanguageConfig,
    PartConfig,
    SpeechDecoderConfig,
    VisionConfig,
    VitaConfig,
)

pytestmark = pytest.mark.unit

KEYS = Path(__file__).parents[1] / "golden" / "keys"


def listed(*names):
    shapes = {}
    for name in names:
        for line in (KEYS / f"{name}.tsv").read_text().splitlines()[1:]:
            key, shape, _ = line.split("\t")
            shapes[key] = () if shape == "scalar" else tuple(map(int, shape.split("x")))
    return shapes


def tiny(**changes):
    settings = {
        "language": LanguageConfig(
            vocab_size=32, hidden_size=16, intermediate_size=16, layers=1, heads=2, kv_heads=1
        ),
        "vision": VisionConfig(
            hidden_size=8, layers=1, heads=2, intermediate_size=8, patch_size=4, image_size=16
        ),
        "audio": AudioEncoderConfig(hidden_size=8, layers=1, heads=2, intermediate_size=8),
        "adapter": AdapterConfig(input_size=8),
        "speech": SpeechDecoderConfig(
            hidden_size=8, heads=2, intermediate_size=8, layers=1, front_layers=1, codes=8
        ),
        "codec": CodecConfig(
            initial_channels=32,
            latent_size=16,
            codes=8,
            encoder_channels=16,
            global_size=16,
            global_conv=(32, 8, 3),
            global_tokens=(1,) * 8,
        ),
    }
    return VitaConfig(**(settings | changes))


def test_full_size_names_and_shapes_are_the_published_ones():
    # The list was drawn up with the vocabulary cut to the tokenizer's size.
    language = LanguageConfig(vocab_size=151665)
    with torch.device("meta"):
        model = build_model(VitaConfig(language=language, speech=SpeechDecoderConfig(prefix=True)))
    core = listed("internvit", "projector", "whale", "qwen2")
    assert len(core) == 1159
    assert compare(core, tensor_shapes(model.language)).report() == "all tensors fit"
    speech = compare(listed("tts_decoder"), tensor_shapes(model.speech))
    assert speech.report() == "all tensors fit"
    codec = compare(fold_shapes(listed("codec")), tensor_shapes(model.codec))
    assert codec.report() == "all tensors fit"


@pytest.fixture(scope="module")
def full_size():
    config = VitaConfig(speech=SpeechDecoderConfig(prefix=True))
    with torch.device("meta"):
        return build_model(config)


@pytest.mark.parametrize(
    ("part", "pattern", "tensors", "elements"),
    [
        ("language", "", 1159, 8_322_947_232),
        ("language", r"lm_head|model\.(embed_tokens|norm|layers)", 339, 7_615_616_512),
        ("language", r"model\.embed_tokens", 1, 544_997_376),
        ("language", r"model\.layers\.27\.", 12, 233_057_792),
        ("language", r"model\.vision_tower\.vision_tower\.", 340, 304_012_288),
        ("language", r"model\.vision_tower\.vision_tower\.encoder\.layers\.0\.", 14, 12_598_272),
        ("language", r"model\.mm_projector\.", 4, 27_532_288),
        ("language", r"model\.audio_encoder\.encoder\.", 470, 357_950_464 + 160),
        ("language", r"model\.audio_encoder\.encoder\.global_cmvn\.", 2, 160),
        ("language", r"model\.audio_encoder\.encoder\.enc\.0\.", 6, 29_372_416),
        ("language", r"model\.audio_encoder\.encoder\.enc\.1\.embed\.", 4, 1_051_648),
        ("language", r"model\.audio_encoder\.encoder\.enc\.1\.encoders\.23\.", 19, 13_646_848),
        ("language", r"model\.audio_encoder\.encoder\.enc\.1\.after_norm\.", 2, 2_048),
        ("language", r"model\.audio_encoder\.adpter\.", 6, 17_835_520),
        ("language", r"model\.audio_encoder\.adpter\.conv1d2\.", 2, 10_487_808),
        ("language", r"model\.audio_encoder\.adpter\.project\.", 2, 7_343_616),
        ("speech", r"(?!layers_prefix)", 58, 99_569_028),
        ("speech", "", 94, 164_718_980),
        ("speech", r"layers\.", 36, 65_149_952),
        ("speech", r"layers_pre_nn\.", 18, 32_574_976),
        ("speech", r"embedding\.", 1, 921_088),
        ("speech", r"out_fnn\.", 2, 922_116),
        ("codec", r"quantizer\.", 9, 655_360),
    ],
)
def test_full_size_parts_have_the_published_numbers_of_elements(
    part, pattern, tensors, elements, full_size
):
    state = getattr(full_size, part).state_dict()
    sizes = [tensor.numel() for name, tensor in state.items() if re.match(pattern, name)]
    assert (len(sizes), sum(sizes)) == (tensors, elements)


def save_folder(folder, config, shards=1):
    torch.manual_seed(0)
    model = build_model(config)
    (folder / "vita.json").write_text(json.dumps(config.to_json()))
    names = list(tensor_shapes(model.language))
    state = model.language.state_dict()
    if shards == 1:
        save_file({name: state[name] for name in names}, folder / "model.safetensors")
    else:
        files = {name: f"model-{index % shards}.safetensors" for index, name in enumerate(names)}
        for file in set(files.values()):
            part = {name: state[name] for name in names if files[name] == file}
            save_file(part, folder / file)
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": files}))
    save_file(model.speech.state_dict(), folder / "speech.safetensors")
    save_file(model.codec.state_dict(), folder / "codec.safetensors")
    return model


@pytest.mark.parametrize("shards", [1, 3])
def test_a_folder_is_loaded_as_it_was_saved(shards, tmp_path):
    saved = save_folder(tmp_path, tiny(), shards)
    loaded = load_model(tmp_path)
    assert loaded.config == saved.config
    for part in ("language", "speech", "codec"):
        before, after = getattr(saved, part).state_dict(), getattr(loaded, part).state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
    ids = torch.tensor([[1, 2, 3]])
    assert torch.allclose(saved.language.eval()(ids).logits, loaded.language(ids).logits)


def test_weights_take_the_wanted_type_but_the_codec_keeps_its_own(tmp_path):
    save_folder(tmp_path, tiny())
    model = load_model(tmp_path, dtype=torch.bfloat16)
    rows = model.language.embed_images(torch.zeros(1, 3, 16, 16))
    (sound,) = model.language.embed_audio(torch.zeros(1, 40, 80), torch.tensor([40]))
    assert rows.dtype == sound.dtype == model.speech.norm.weight.dtype == torch.bfloat16
    assert model.codec.generator.conv_pre.weight.dtype == torch.float32


def test_tied_embeddings_are_stored_once_and_stay_tied(tmp_path):
    language = tiny().language.model_copy(update={"tie_embeddings": True})
    save_folder(tmp_path, tiny(language=language))
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    model = load_model(tmp_path).language
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_tied_weight_may_be_stored_twice_when_it_is_the_same(tmp_path):
    language = tiny().language.model_copy(update={"tie_embeddings": True})
    save_folder(tmp_path, tiny(language=language))
    path = tmp_path / "model.safetensors"
    stored = load_file(path)
    table = stored["model.embed_tokens.weight"]
    save_file(stored | {"lm_head.weight": table.clone()}, path)
    model = load_model(tmp_path).language
    assert torch.equal(model.lm_head.weight, table)
    save_file(stored | {"lm_head.weight": table + 1}, path)
    with pytest.raises(CheckpointError, match=r"lm_head\.weight must equal model\.embed_tokens"):
        load_model(tmp_path)


def test_every_mismatch_is_reported_before_any_weight_is_read(tmp_path):
    module = nn.Linear(3, 2)
    before = module.weight.clone()
    path = tmp_path / "wrong.safetensors"
    save_file({"weight": torch.zeros(2, 4), "extra": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(module, path)
    text = str(caught.value)
    assert "1 missing: bias" in text
    assert "1 surplus: extra" in text
    assert "1 wrong shape: weight is (2, 4), not (2, 3)" in text
    assert torch.equal(module.weight, before)


def test_long_reports_are_cut():
    outcome = compare({f"layer.{number}": (1,) for number in range(20)}, {})
    assert outcome.report(most=2) == "20 missing: layer.0, layer.1, and 18 more kinds"


def test_the_same_tensor_of_every_layer_is_one_line_of_a_report():
    names = [f"layers.{number}.{part}" for number in range(20) for part in ("up", "down")]
    report = compare({}, dict.fromkeys([*names, "norm"], (1,))).report()
    assert report == "41 surplus: layers.*.down (20 times), layers.*.up (20 times), norm"


@pytest.mark.parametrize("content", [None, b"no safetensors"])
def test_unreadable_files_are_named(content, tmp_path):
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_checkpoint(nn.Linear(1, 1), path)


def test_an_index_cannot_point_outside_its_folder(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"weight": "../other.safetensors"}}))
    with pytest.raises(CheckpointError, match="not beside it"):
        load_checkpoint(nn.Linear(1, 1), tmp_path)


def test_weight_norm_is_folded_even_across_shards(tmp_path):
    plain = nn.utils.parametrizations.weight_norm(nn.ConvTranspose1d(3, 2, 4))
    gain, direction = (
        plain.parametrizations.weight.original0,
        plain.parametrizations.weight.original1,
    )
    gain.mul_(1.7)
    stored = {"0.weight_g": gain, "0.weight_v": direction, "0.bias": plain.bias}
    assert torch.allclose(fold_weight_norm(stored)["0.weight"], plain.weight)
    for name, tensor in stored.items():
        save_file({name: tensor.clone()}, tmp_path / f"{name}.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: f"{name}.safetensors" for name in stored}}))
    folded = nn.Sequential(nn.ConvTranspose1d(3, 2, 4))
    load_checkpoint(folded, tmp_path)
    assert torch.allclose(folded[0].weight, plain.weight)


class OtherConfig(PartConfig):
    kind: str = "other"
    size: int = 3


class Other(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size


def test_a_further_kind_can_be_registered():
    register("codec", OtherConfig, lambda part, _: Other(part.size))
    config = tiny(codec=OtherConfig(size=5))
    again = parse_config(json.loads(json.dumps(config.to_json())))
    assert again == config
    assert build_model(again).codec.size == 5


def test_an_unknown_kind_is_named_with_the_known_ones():
    data = tiny().to_json() | {"speech": {"kind": "parrot"}}
    with pytest.raises(ValueError, match=r"no speech of kind 'parrot'; known kinds: .*llama"):
        parse_config(data)


def test_prompt_rows_stand_before_every_utterance():
    model = build_model(tiny(audio_prompt_rows=2)).language
    (sound,) = model.embed_audio(torch.zeros(1, 40, 80), torch.tensor([40]))
    tower = model.model.audio_encoder
    assert torch.equal(sound[:2], tower.prompt_embeddings.weight)
    assert sound.shape == (2 + 5, 16)


def test_unsupported_variants_are_refused(golden):
    data = golden("b3_whale_static_chunk").config
    data["encoder_conf"]["overview_conf"]["encoder-layer-config"] = "subsampling-mamba"
    with pytest.raises(published.UnsupportedVariantError, match="encoder-layer-config"):
        published.audio_config(data)


def test_a_drawn_chunk_size_means_full_attention(golden):
    data = golden("b3_whale_static_chunk").config
    assert published.audio_config(data).chunk_size == 4
    data["encoder_conf"]["para_conf"]["transformer"]["transformer-dynamic-chunks"] = True
    assert published.audio_config(data).chunk_size == -1
