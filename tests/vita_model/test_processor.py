"""Text, sound, pictures and video go into the model in one call."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.vita_model.small import TINY, tokenizer
from vita_model.audio.features import frame_count
from vita_model.checkpoint import CheckpointError
from vita_model.generation import StateChoice
from vita_model.media import MediaError
from vita_model.processor import NOT_KEPT, ContextError, Message, VitaProcessor
from vita_model.splice import AUDIO, IMAGE, SpliceError

pytestmark = pytest.mark.unit

SOUND = (np.sin(np.arange(16_000) * 0.1).astype("float32"), 16_000)
PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def words(processor, inputs):
    ids = [number for number in inputs["input_ids"][0].tolist() if number >= 0]
    return processor.tokenizer.decode(ids, skip_special_tokens=False)


def test_everything_goes_into_the_model_in_one_call(processor, model):
    message = Message(text="What is it?", images=[Image.new("RGB", (32, 16), "red")], audio=SOUND)
    inputs = processor(message)
    assert inputs["pixel_values"].shape == (3, 3, 16, 16)
    assert inputs["audio_lengths"].tolist() == [frame_count(16_000)]
    state = processor.state()
    ids = model.generate(**inputs, state=state, max_new_tokens=5)
    marker, _ = processor.decode(ids[0])
    (chances,) = state.probabilities
    assert set(chances) == {"query", "typed", "noise"}
    assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
    assert chances[marker] == max(chances.values())


def test_a_saved_processor_is_the_same(processor, tmp_path):
    processor.save_pretrained(tmp_path / "new")
    again = VitaProcessor.from_pretrained(tmp_path / "new")
    assert again.config == processor.config
    message = Message(text="☞ Où?", audio=SOUND)
    before, after = processor(message), again(message)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("marker", ["query", "typed", "noise"])
def test_the_first_token_is_a_state_and_noise_is_not_answered(processor, marker):
    state = processor.state()
    scores = torch.zeros(2, 300)
    scores[0, state.tokens[marker]] = 3.0
    first = state(torch.zeros(2, 0, dtype=torch.long), scores)
    assert torch.isfinite(first[0]).nonzero()[:, 0].tolist() == sorted(state.tokens.values())
    assert state.probabilities[0][marker] == pytest.approx(np.e**3 / (np.e**3 + 2), abs=1e-5)
    assert state.probabilities[1][marker] == pytest.approx(1 / 3, abs=1e-5)
    second = state(torch.tensor([[state.tokens[marker]], [state.tokens["query"]]]), scores)
    allowed = 1 if marker == "noise" else 300
    assert int(torch.isfinite(second[0]).sum()) == allowed
    assert bool(torch.isfinite(second[0, state.end]))
    assert bool(torch.isfinite(second[1]).all())


def test_the_published_ids_are_the_default():
    state = StateChoice()
    assert state.tokens == {"query": 144766, "typed": 145789, "noise": 146164}
    assert state.end == 151645


def test_numbers_may_be_repeated_and_the_answer_is_always_the_same(processor, model):
    inputs = processor("5 5 5 5")
    first = model.generate(**inputs, max_new_tokens=12)
    assert torch.equal(first, model.generate(**inputs, max_new_tokens=12))


def test_a_batch_of_prompts_gives_what_each_gives_alone(processor, model):
    inputs = [processor(Message(text=text, audio=SOUND)) for text in ("a", "and a longer one")]
    both = model.generate(
        [one["input_ids"][0] for one in inputs],
        audio_features=torch.cat([one["audio_features"] for one in inputs]),
        audio_lengths=torch.cat([one["audio_lengths"] for one in inputs]),
        max_new_tokens=4,
    )
    for row, one in zip(both, inputs, strict=True):
        assert torch.equal(row, model.generate(**one, max_new_tokens=4)[0])


def test_placeholders_without_media_are_refused(processor, model):
    inputs = processor(Message(audio=SOUND))
    with pytest.raises(SpliceError, match="more audio placeholders"):
        model.generate(inputs["input_ids"])


@pytest.mark.parametrize("length", [0, TINY.max_length + 1])
def test_a_prompt_that_is_empty_or_beyond_the_context_is_refused(model, length):
    with pytest.raises(SpliceError, match=f"prompt of {length} positions .* 1 to 2000"):
        model.generate(torch.ones(1, length, dtype=torch.int64), max_new_tokens=1)


def test_the_system_text_follows_what_is_shown_and_is_the_same_every_time(processor):
    picture = Image.new("RGB", (16, 16))
    plain = words(processor, processor("Hello"))
    assert "picture" not in plain
    assert "a still picture and not a video" in words(
        processor, processor(Message(images=[picture]))
    )
    moving = processor(Message(video=[picture], audio=SOUND))
    assert "a video and not a still picture" in words(processor, moving)
    assert words(processor, processor("Hello")) == plain


def test_live_frames_are_four_tiles_and_pictures_share_theirs(processor):
    frame = Image.new("RGB", (640, 480))
    live = processor(Message(video=[frame] * 8))
    assert live["pixel_values"].shape[0] == live["input_ids"].eq(IMAGE).sum() == 4
    wide = Image.new("RGB", (48, 16))
    assert processor(Message(images=[wide]))["pixel_values"].shape[0] == 4
    assert processor(Message(images=[wide] * 6))["pixel_values"].shape[0] == 6 * 3
    assert processor(Message(images=[wide]), most_tiles=1)["pixel_values"].shape[0] == 1


def test_pictures_stand_before_the_question_and_sound_after_it(processor):
    inputs = processor(Message(text="Q", images=[Image.new("RGB", (16, 16))], audio=SOUND))
    ids = inputs["input_ids"][0].tolist()
    assert ids.index(IMAGE) < ids.index(AUDIO)
    assert words(processor, inputs).endswith("user\n\nQ<|im_end|>\n<|im_start|>assistant\n")


def test_tools_and_persona_are_in_the_prompt(processor):
    tool = {"name": "look_up", "description": "Looks up.", "parameters": {"type": "object"}}
    text = words(processor, processor("Hello", persona="You answer for a baker.", tools=[tool]))
    assert "You answer for a baker." in text
    assert json.dumps(tool) in text


def test_what_people_write_is_never_a_placeholder_or_a_turn(processor):
    inputs = processor("<image> sequential Idea <|im_end|> <audio>")
    ids = inputs["input_ids"][0].tolist()
    assert IMAGE not in ids
    assert AUDIO not in ids
    assert words(processor, inputs).count("<|im_end|>") == 2


def spoken(number):
    return Message(audio=SOUND, transcript=f"question {number}")


def test_the_oldest_sound_is_dropped_first_and_its_words_stay(processor):
    talk = []
    for number in range(6):
        talk += [spoken(number), Message("assistant", f"answer {number}", marker="query")]
    talk.append(Message(audio=SOUND))
    whole = processor(talk, reserve=0)
    assert whole["audio_lengths"].shape[0] == 7
    length = whole["input_ids"].shape[1] - 7 + 7 * 12
    cut = processor(talk, reserve=TINY.max_length - length + 1)
    assert cut["audio_lengths"].shape[0] == 6
    assert "question 0" in words(processor, cut)
    assert "question 1" not in words(processor, cut)
    assert "answer 5" in words(processor, cut)


def test_then_the_oldest_turns_go_and_the_question_always_stays(processor):
    talk = [Message(text="word " * 100), Message("assistant", "yes " * 100)] * 4
    inputs = processor([*talk, Message(text="And now?")], reserve=100)
    assert inputs["input_ids"].shape[1] <= TINY.max_length - 100
    text = words(processor, inputs)
    assert "And now?" in text
    assert text.count("<|im_start|>assistant") < 5
    assert "<|im_start|>user" in text.split("<|im_end|>")[1], "no answer without its question"


def test_sound_without_known_words_leaves_a_note(processor):
    long = (np.zeros(5 * 16_000, np.int16), 16_000)
    talk = [Message(audio=long), Message("assistant", "Yes.", marker="query"), Message(text="Why?")]
    length = processor(talk, reserve=0)["input_ids"].shape[1] - 1 + 62
    cut = processor(talk, reserve=TINY.max_length - length + 1)
    assert NOT_KEPT in words(processor, cut)
    assert "Yes." in words(processor, cut)


def test_a_question_beyond_the_context_is_refused(processor):
    with pytest.raises(ContextError, match=r"takes \d+ positions .* room for 1488; send less"):
        processor("word " * 1_000)


@pytest.mark.parametrize(
    ("conversation", "says"),
    [
        ([], "a text, a message or a list"),
        ([17], "a text, a message or a list"),
        (Message("assistant", "hello"), "ends with the user"),
        ([Message("assistant", "hi", audio=SOUND), Message(text="x")], "belong to the user"),
        (Message(images=["/nowhere.jpg"]), "cannot be read"),
        (Message(images=[b"no picture"]), "cannot be read"),
        (Message(images=[Image.new("1", (1, 1))]), "at least 8 a side"),
        (Message(images=[Image.new("1", (20_000, 20_000))]), "at most 25 million"),
        (Message(images=[None]), "not as NoneType"),
        (Message(video=[]), "no frames"),
        (Message(video=b"no video"), "cannot be read"),
        (Message(audio=(np.zeros(0), 16_000)), "no recording"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_a_sentence(processor, conversation, says):
    with pytest.raises(MediaError, match=says):
        processor(conversation)


def test_a_model_without_an_eye_says_so():
    blind = VitaProcessor(tokenizer(), TINY.model_copy(update={"vision": None}))
    with pytest.raises(MediaError, match="no eye"):
        blind(Message(images=[Image.new("RGB", (16, 16))]))


def test_a_folder_without_its_tokenizer_is_named(folder, tmp_path):
    (tmp_path / "vita.json").write_text((folder / "vita.json").read_text())
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        VitaProcessor.from_pretrained(tmp_path)


def test_a_tokenizer_of_a_larger_model_is_refused():
    small = TINY.language.model_copy(update={"vocab_size": 100})
    with pytest.raises(CheckpointError, match=r"has 2\d\d tokens and the model knows 100"):
        VitaProcessor(tokenizer(), TINY.model_copy(update={"language": small}))


def test_a_foreign_tokenizer_is_refused():
    from tokenizers import Tokenizer, models

    with pytest.raises(CheckpointError, match="splits ☞"):
        VitaProcessor(Tokenizer(models.BPE()), TINY)


def test_the_documents_examples_run_as_written(folder, tmp_path, monkeypatch, capsys):
    import soundfile

    from tests.vita_model.test_media import film

    (tmp_path / "VITA-1.5").symlink_to(folder)
    Image.new("RGB", (64, 32), "red").save(tmp_path / "sign.jpg")
    soundfile.write(tmp_path / "question.wav", SOUND[0], 16_000)
    (tmp_path / "visit.mp4").write_bytes(film())
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    scope = {}
    for block in blocks:
        exec(block, scope)  # noqa: S102 - the documents are ours
    assert "query" in capsys.readouterr().out
