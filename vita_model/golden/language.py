"""Pictures and sound among the tokens, and the whole model behind them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from vita_model import published
from vita_model.assembly import AudioTower, VitaForConditionalGeneration
from vita_model.checkpoint import load_checkpoint
from vita_model.config import VitaConfig
from vita_model.golden.case import Case, Found, mask_of
from vita_model.splice import AUDIO, IMAGE, Spliced
from vita_model.vision.pooling import slow_fast


def _model(case: Case) -> VitaForConditionalGeneration:
    data = case.config
    published.check_tower(data)
    config = VitaConfig(
        language=published.language_config(data["llm"]),
        vision=published.vision_config(
            data["vision"], data["mm_projector_type"], data.get("select_layer", -1)
        ),
        audio=published.audio_config(data["audio"]),
        adapter=published.adapter_config(data["audio"]["model_conf"]),
        speech=None,
        codec=None,
        audio_prompt_rows=data.get("audio_prompt_num") or 0,
        max_length=data.get("tokenizer_model_max_length") or VitaConfig().max_length,
    )
    with torch.device("meta"):
        model = VitaForConditionalGeneration(config)
    load_checkpoint(model, case.weights)
    model.requires_grad_(requires_grad=False)
    return model.train(mode=False)


def _used(blocks: Sequence[Any], sequences: Sequence[Tensor], placeholder: int) -> list[Any]:
    """Blocks that have a placeholder: the reference spends one on each sample that has none."""
    rest, kept = list(blocks), []
    for ids in sequences:
        count = int((ids == placeholder).sum())
        kept += rest[:count]
        rest = rest[max(1, count) :]
    return kept


def _tiles(inputs: dict[str, Tensor]) -> tuple[Tensor, list[int]]:
    """All tiles of a case and how many belong to each placeholder."""
    groups = sorted(name for name in inputs if name.startswith("images."))
    if groups:
        stacks = [inputs[name] for name in sorted(groups, key=lambda n: int(n.split(".")[1]))]
        return torch.cat(stacks), [len(stack) for stack in stacks]
    images = inputs["images"]
    if images.ndim == 5:
        return images.flatten(0, 1), [images.shape[1]] * len(images)
    return images, [1] * len(images)


def _prompt(case: Case, model: VitaForConditionalGeneration) -> Generator[Found, None, Spliced]:
    """Encoder outputs; returns the language model's input and where it is not padding."""
    inputs, data = case.inputs, case.config
    ids = inputs["input_ids"]
    valid = mask_of(inputs, "attention_mask", ids)
    sequences = [row[keep] for row, keep in zip(ids, valid, strict=True)]
    if not any(name == "images" or name.startswith("images.") for name in inputs):
        return model.embed_prompt(sequences, labels=_rows(inputs.get("labels"), valid))
    pixels, groups = _tiles(inputs)
    pictures = model.embed_images(pixels)
    yield Found("image_features", pictures)
    blocks = [group.flatten(0, 1) for group in pictures.split(groups)]
    if (clips := inputs.get("sf_masks")) is not None:
        blocks = slow_fast(blocks, clips.tolist())
    tower = cast(AudioTower, model.model.audio_encoder)
    sounds = tower.encode(inputs["audios.audios"], inputs["audios.lengths"])
    yield Found("audio_features", sounds.hidden)
    yield Found("audio_feature_mask", sounds.mask)
    lengths = inputs["audios.lengths_for_llm"] + model.vita_config.audio_prompt_rows
    spoken = [rows[:n] for rows, n in zip(sounds.hidden, lengths.tolist(), strict=True)]
    states = inputs.get("audios.state_labels")
    return model.embed_prompt(
        sequences,
        images=_used(blocks, sequences, IMAGE),
        audios=_used(spoken, sequences, AUDIO),
        labels=_rows(inputs.get("labels"), valid),
        audio_labels=None if states is None else _used(states.tolist(), sequences, AUDIO),
        pad_left=data.get("tokenizer_padding_side") == "left",
        visual_stride=data.get("shared_v_pid_stride"),
    )


def _rows(table: Tensor | None, valid: Tensor) -> list[Tensor] | None:
    return None if table is None else [row[k] for row, k in zip(table, valid, strict=True)]


def check_placement(case: Case) -> Iterator[Found]:
    """Where pictures and sound stand among the tokens."""
    prompt = yield from _prompt(case, _model(case))
    yield from _placed(prompt)


def _placed(prompt: Spliced) -> Iterator[Found]:
    yield Found("inputs_embeds", prompt.embeds)
    yield Found("attention_mask", prompt.mask)
    yield Found("position_ids", prompt.positions)
    if prompt.labels is not None:
        yield Found("labels", prompt.labels)


def check_model(case: Case) -> Iterator[Found]:
    """Logits and loss of a pass, then a greedy continuation with its positions."""
    model = _model(case)
    prompt = yield from _prompt(case, model)
    yield from _placed(prompt)
    whole = model(inputs_embeds=prompt.embeds, attention_mask=prompt.mask, labels=prompt.labels)
    yield Found("forward_logits", whole.logits, prompt.mask)
    if whole.loss is not None:
        yield Found("forward_loss", whole.loss)
    positions: list[Tensor] = []

    def note(_module: nn.Module, _args: Any, options: dict[str, Any]) -> None:
        positions.append(options["position_ids"])

    handle = model.model.register_forward_pre_hook(note, with_kwargs=True)
    eos = case.config.get("eos")
    made = model.generate(
        inputs_embeds=prompt.embeds,
        attention_mask=prompt.mask,
        position_ids=prompt.positions,
        max_new_tokens=case.config["max_new_tokens"],
        do_sample=False,
        eos_token_id=eos,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    handle.remove()
    yield Found("generated_ids", made.sequences)
    yield Found("step_logits", torch.stack(made.logits, dim=1))
    yield Found("prefill_position_ids", positions[0], prompt.mask)
    if len(positions) > 1:
        yield Found("decode_position_ids", torch.cat(positions[1:], dim=1))
