"""Datasets in the published form, their layout, and packing that keeps conversations apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.vita_model.small import TINY, tokenizer
from vita_model.assembly import load_model
from vita_model.prompt import Media, Turn, build_prompt, tokenize
from vita_model.splice import IGNORE, IMAGE
from vita_model.training.conversations import DatasetError, read_examples
from vita_model.training.packing import bins
from vita_model.training.parts import Learner
from vita_model.training.tasks.conversation import Conversations
from vita_model.training.tasks.recordings import read_recordings
from vita_model.training.tasks.rendering import render

pytestmark = pytest.mark.integration


def test_an_example_is_laid_out_as_the_model_is_asked(datasets: dict[str, Path]) -> None:
    example = read_examples(datasets["conversation"])[6]
    found = render(example, tokenizer(), TINY)
    tiles = found.tiles
    assert tiles is not None
    turns = [
        Turn("user", (Media.IMAGE,) * len(tiles) + (Media.AUDIO,)),
        Turn("assistant", ("It is ten.",), "query"),
    ]
    whole = tokenize(
        build_prompt([*turns[:1], turns[1]]),
        lambda text: tokenizer().encode(text, add_special_tokens=False).ids,
    )
    assert example.sayings[0].value == "<image>\n<audio>"
    assert int((found.ids == IMAGE).sum()) == len(tiles)
    assert found.ids.tolist() == whole
    answer = tokenizer().decode(found.labels[found.labels >= 0].tolist(), skip_special_tokens=False)
    assert answer == "☞It is ten.<|im_end|>"


def test_a_picture_shown_later_is_known_from_the_start(datasets: dict[str, Path]) -> None:
    plain, shown = (read_examples(datasets["conversation"])[number] for number in (1, 2))
    example = replace(
        shown, sayings=plain.sayings + shown.sayings, markers=plain.markers + shown.markers
    )
    found = render(example, tokenizer(), TINY)
    assert found.tiles is not None
    pictures = (Media.IMAGE,) * len(found.tiles)
    turns = [
        Turn("user", ("Which number?",)),
        Turn("assistant", ("It is three.",), "typed"),
        Turn("user", (*pictures, "Which number?")),
        Turn("assistant", ("It is four five.",), "typed"),
    ]
    encode = tokenizer().encode
    whole = tokenize(build_prompt(turns), lambda text: encode(text, add_special_tokens=False).ids)
    assert found.ids.tolist() == whole


def test_states_follow_what_was_asked_and_an_interrupted_answer_has_no_end(
    datasets: dict[str, Path],
) -> None:
    examples = read_examples(datasets["conversation"])
    assert [one.markers[0] for one in examples[:5]] == [
        "query", "typed", "typed", "noise", "typed",
    ]  # fmt: skip
    cut = render(examples[4], tokenizer(), TINY)
    assert tokenizer().decode(cut.labels[cut.labels >= 0].tolist()).endswith("seven.")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"conversations": [{"from": "gpt", "value": "a"}] * 2}, "turn 0 is from gpt"),
        ({"conversations": [{"from": "human", "value": "a"}]}, "conversations"),
        ({"audio": ["missing.wav"]}, "0 <audio> marks stand against 1 files"),
        ({"image": "missing.png", "conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "b"}]}, "missing.png is not there"),
        ({"inserted_id": 0}, "inserted_id 0 is no answer"),
    ],
)  # fmt: skip
def test_a_faulty_example_is_named(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    good = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
    file = tmp_path / "chats.json"
    file.write_text(json.dumps([good, {**good, **change}]))
    with pytest.raises(DatasetError, match=f"chats.json example 1: .*{complaint}"):
        read_examples(file)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("no json", "line 2: this is no JSON"),
        ('{"audio": "missing.wav", "text": "a"}', "line 2: .*missing.wav is not there"),
        ('{"audio": "0.wav", "text": " "}', "line 2: .*what is said"),
    ],
)
def test_a_faulty_recording_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    (tmp_path / "0.wav").write_bytes(b"")
    file = tmp_path / "table.jsonl"
    file.write_text('{"audio": "0.wav", "text": "a"}\n' + line)
    with pytest.raises(DatasetError, match=complaint):
        read_recordings(file)


def test_rows_are_filled_in_order_and_never_beyond_their_room() -> None:
    assert bins([3, 4, 2, 9, 1, 20], 9) == [[0, 1, 2], [3], [4], [5]]


def test_packed_apart_nothing_leaks_and_joined_it_does(
    model_folder: Path, datasets: dict[str, Path]
) -> None:
    examples = read_examples(datasets["conversation"])
    learner = Learner(load_model(model_folder)).eval()
    losses = {}
    for packing in ("none", "apart", "joined"):
        task = Conversations(examples, tokenizer(), TINY, packing=packing, max_length=2_000)
        batch = task.batch([1, 2, 5, 6], 0)
        with torch.no_grad():
            losses[packing] = float(task.loss(learner, batch).total) / task.count(batch)
    assert losses["apart"] == pytest.approx(losses["none"], abs=1e-5)
    assert abs(losses["joined"] - losses["none"]) > 2e-5


def test_labels_beyond_the_longest_row_do_not_count(datasets: dict[str, Path]) -> None:
    examples = read_examples(datasets["conversation"])
    whole = Conversations(examples, tokenizer(), TINY, max_length=2_000)
    short = Conversations(examples, tokenizer(), TINY, max_length=20)
    assert whole.count(whole.batch([1], 0)) > 0
    assert short.count(short.batch([1], 0)) == 0
    assert IGNORE in whole.batch([1], 0)["labels"][0]
