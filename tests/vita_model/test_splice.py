from __future__ import annotations

import pytest
import torch
from torch import nn

from vita_model.checkpoint import load_checkpoint
from vita_model.splice import AUDIO, IGNORE, IMAGE, SpliceError, splice
from vita_model.vision.pooling import slow_fast

pytestmark = pytest.mark.unit

CASES = [
    "c01_text_image_audio",
    "c02_two_images_two_audios",
    "c03_audio_only_dummy_image",
    "c04_batch_mixed_padding",
    "c05_truncated",
    "c06_left_padding",
    "c07_slow_fast",
    "c08_shared_position_stride",
    "c09_state_labels",
    "c10_audio_prompt",
    "c11_image_list_tiles",
]


def used(blocks, sequences, placeholder):
    """The reference spends a dummy block on every sample without a placeholder; drop those."""
    rest, kept = list(blocks), []
    for ids in sequences:
        count = int((ids == placeholder).sum())
        kept += rest[:count]
        rest = rest[max(1, count) :]
    return kept


def blocks(case, sequences):
    images = case.outputs["image_features"]
    groups = [case.inputs[name].shape[0] for name in sorted(case.inputs) if "images." in name]
    pictures = [group.flatten(0, 1) for group in images.split(groups or [1] * len(images))]
    if (clips := case.inputs.get("sf_masks")) is not None:
        pictures = slow_fast(pictures, clips.tolist())
    prompt = case.config["audio_prompt_num"] or 0
    lengths = (case.inputs["audios.lengths_for_llm"] + prompt).tolist()
    sounds = [
        rows[:length] for rows, length in zip(case.outputs["audio_features"], lengths, strict=True)
    ]
    return used(pictures, sequences, IMAGE), used(sounds, sequences, AUDIO)


@pytest.mark.parametrize("name", CASES)
def test_placement_equals_the_reference(name, golden):
    case = golden(name)
    ids = case.inputs["input_ids"]
    valid = case.inputs.get("attention_mask", torch.ones_like(ids)).bool()
    sequences = [row[keep] for row, keep in zip(ids, valid, strict=True)]
    labels = case.inputs.get("labels", ids)
    images, audios = blocks(case, sequences)
    states = case.inputs.get("audios.state_labels")
    table = nn.Embedding(*_table_shape(case))
    load_checkpoint(table, case.weights, prefix="model.embed_tokens.")
    found = splice(
        sequences,
        table,
        images=images,
        audios=audios,
        labels=[row[keep] for row, keep in zip(labels, valid, strict=True)],
        audio_labels=None if states is None else used(states.tolist(), sequences, AUDIO),
        max_length=case.config.get("tokenizer_model_max_length") or 6200,
        pad_left=case.config.get("tokenizer_padding_side") == "left",
        visual_stride=case.config["shared_v_pid_stride"],
    )
    assert case.agrees("inputs_embeds", found.embeds)
    values = {
        "attention_mask": found.mask,
        "position_ids": found.positions,
        "labels": found.labels,
    }
    for output, value in values.items():
        assert output not in case.outputs or case.agrees(output, value), output


def _table_shape(case):
    return case.config["llm"]["vocab_size"], case.config["llm"]["hidden_size"]


def place(ids, images=(), audios=(), **options):
    return splice([torch.tensor(ids)], nn.Embedding(8, 2), images=images, audios=audios, **options)


def test_missing_media_are_an_error():
    with pytest.raises(SpliceError, match="more image placeholders"):
        place([1, IMAGE, 2])


def test_surplus_media_are_an_error():
    with pytest.raises(SpliceError, match="more image or audio blocks"):
        place([1, 2], audios=[torch.zeros(3, 2)])


def test_media_keep_their_order_and_take_no_part_in_the_loss():
    sound, picture = torch.full((2, 2), 5.0), torch.full((1, 2), 7.0)
    found = place([AUDIO, 1, IMAGE], [picture], [sound], labels=[torch.tensor([0, 1, 0])])
    assert found.embeds[0, [0, 1, 3], 0].tolist() == [5.0, 5.0, 7.0]
    assert found.labels.tolist() == [[IGNORE, IGNORE, 1, IGNORE]]


def test_visual_positions_are_shared_by_groups():
    found = place([1, IMAGE, 2], [torch.zeros(5, 2)], visual_stride=2)
    assert found.positions.tolist() == [[0, 1, 1, 2, 2, 3, 4]]


def test_a_second_picture_starts_on_a_new_position():
    found = place([IMAGE, 2, IMAGE, 3], [torch.zeros(5, 2), torch.zeros(3, 2)], visual_stride=3)
    assert found.positions.tolist() == [[0, 0, 0, 1, 1, 2, 3, 3, 3, 4]]
