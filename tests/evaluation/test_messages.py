"""Questions of benchmarks reach the model with their pictures, films and sound."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.vita_model.small import checkpoint
from tests.vita_model.test_media import film
from vita_model.assembly import load_model
from vita_model.evaluation.messages import Answerer, as_until, conversation
from vita_model.media import MediaError
from vita_model.processor import Message, VitaProcessor

pytestmark = pytest.mark.integration
RED = Image.new("RGB", (40, 20), "red")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("small"))


def said(text: str, *media: tuple[str, object]) -> dict[str, object]:
    pieces = [{"type": kind, "url": url} for kind, url in media]
    return {"role": "user", "content": [*pieces, {"type": "text", "text": text}]}


def test_an_answer_is_what_the_model_generates(folder: Path, tmp_path: Path):
    model, processor = load_model(folder), VitaProcessor.from_pretrained(folder)
    (tmp_path / "film.mp4").write_bytes(film(8))
    tone = np.sin(np.arange(8_000) / 8).astype(np.float32)
    answerer = Answerer(model, processor)
    for asked, message in (
        (said("which?", ("image", RED)), Message(text="which?", images=[RED])),
        (
            said("what happens?", ("video", str(tmp_path / "film.mp4"))),
            Message(text="what happens?", video=tmp_path / "film.mp4"),
        ),
        (
            said("", ("audio", {"array": tone, "sampling_rate": 16_000})),
            Message(audio=(tone, 16_000)),
        ),
    ):
        inputs = processor(message, reserve=6)
        ids = model.language.generate(**inputs, state=processor.state(), max_new_tokens=6)[0]
        text, tokens = answerer([asked], most_tokens=6)
        assert tokens == len(ids)
        assert text == processor.decode(ids)[1].strip()


def test_roles_and_several_pictures_are_kept():
    persona, turns = conversation(
        [
            {"role": "system", "content": "Be short."},
            said("both?", ("image", RED), ("image", RED.convert("L"))),
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "And now?"},
        ]
    )
    assert persona == "Be short."
    assert [turn.role for turn in turns] == ["user", "assistant", "user"]
    assert [picture.mode for picture in turns[0].images] == ["RGB", "RGB"]


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(MediaError, match="one film"):
        conversation([said("", ("video", "a.mp4"), ("video", "b.mp4"))])
    with pytest.raises(MediaError, match="is no file"):
        conversation([said("", ("image", 7))])


def test_stop_words_are_read_as_given():
    assert as_until({"until": "\n\n"}) == ["\n\n"]
    assert as_until({"until": ["a", "b"]}) == ["a", "b"]
    assert as_until({}) == []


def test_lmms_eval_takes_the_model(folder: Path):
    """Only where lmms-eval is installed."""
    pytest.importorskip("lmms_eval")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    named = project["project"]["entry-points"]["lmms_eval.models"]["vita_agent"]
    module, _, name = named.partition(":")
    manifest = getattr(import_module(module), name)()
    where, _, kind = manifest.chat_class_path.rpartition(".")
    chat = getattr(import_module(where), kind).create_from_arg_string(
        f"checkpoint={folder}", {"batch_size": 1, "device": "cpu"}
    )
    chat.task_dict = {"task": {"test": [{"text": "which?"}]}}
    request = SimpleNamespace(
        args=("", lambda doc: [said(doc["text"])], {"max_new_tokens": 4}, 0, "task", "test")
    )
    (found,) = chat.generate_until([request])
    assert found.token_counts.output_tokens <= 4
