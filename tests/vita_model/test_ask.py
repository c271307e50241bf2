"""`vita model chat` puts one question with its media to the whole model."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from tests.vita_model.small import checkpoint, tokenizer
from tests.vita_model.test_media import film
from vita_model.cli import app

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = checkpoint(tmp_path_factory.mktemp("checkpoint"))
    # Whatever is read, a spoken or typed question comes first and then letters, for ever.
    weights, ids = load_file(folder / "model.safetensors"), tokenizer().token_to_id
    row = torch.randn(weights["lm_head.weight"].shape[1])
    weights["lm_head.weight"].zero_()
    for token, factor in {"☞": 1, "☜": -1, "q": 3, "z": -3}.items():
        weights["lm_head.weight"][ids(token)] = factor * row
    save_file(weights, folder / "model.safetensors")
    return folder


def chat(folder, *arguments):
    return CliRunner().invoke(app, ["chat", "--checkpoint", str(folder), *map(str, arguments)])


def test_everything_can_be_asked_about_at_once(folder, tmp_path):
    Image.new("RGB", (32, 16), "red").save(tmp_path / "x.jpg")
    soundfile.write(tmp_path / "q.wav", np.zeros(8_000) + 0.1, 16_000)
    (tmp_path / "v.mp4").write_bytes(film(3))
    torch.manual_seed(4)
    done = chat(
        folder, "What is it?", "--image", tmp_path / "x.jpg", "--audio", tmp_path / "q.wav",
        "--video", tmp_path / "v.mp4", "--save", tmp_path / "a.wav", "--most-tokens", 6,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert re.search(r"^[qz]{5}\n☞ \d+ %, ☜ \d+ %, ☟ \d+ %\n", done.output)
    seconds = soundfile.info(tmp_path / "a.wav").duration
    assert seconds > 0
    assert f"{seconds:.1f} s of speech in" in done.output


class Card:
    """A sound card that keeps what it plays."""

    heard: ClassVar[list[np.ndarray]] = []

    def __init__(self, rate, **options):
        assert (rate, options["channels"], options["dtype"]) == (24_000, 1, "float32")

    def write(self, samples):
        self.heard.append(samples[:, 0].copy())

    def start(self):
        self.heard.clear()

    stop = __enter__ = lambda self: self

    def __exit__(self, *error):
        return None


def test_the_answer_is_played_and_saved_alike(folder, tmp_path, monkeypatch):
    card = SimpleNamespace(OutputStream=Card, PortAudioError=OSError)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    torch.manual_seed(4)
    done = chat(
        folder, "Hello?", "--play", "--save", tmp_path / "a.wav", "--most-tokens", 6,
        "--dtype", "bfloat16",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    saved, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert len(saved) > 0
    assert np.abs(np.concatenate(Card.heard) - saved).max() <= 1 / 32_768


def test_without_a_player_it_says_what_to_do(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = chat(folder, "Hello?", "--play")
    assert done.exit_code == 2
    assert "install vita-agent[play]" in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "Nothing was asked"),
        (["--image", "/nowhere.jpg"], 2, "cannot be read"),
        (["word " * 2_000], 2, "send less text"),
        (["Hi", "--save", "/nowhere/a.wav"], 2, "cannot be saved"),
        (["Hi", "--device", "toaster"], 4, "no device 'toaster'"),
        (["Hi", "--device", "cuda:7"], 4, "no device 'cuda:7'"),
        (["Hi", "--dtype", "int32"], 4, "no type of weights called 'int32'"),
    ],
)
def test_mistakes_are_one_sentence(folder, arguments, code, says):
    done = chat(folder, *arguments)
    assert done.exit_code == code
    assert says in done.output
    assert "Traceback" not in done.output


def test_a_folder_without_weights_is_one_sentence(tmp_path):
    done = chat(tmp_path, "Hello")
    assert done.exit_code == 4
    assert "The checkpoint cannot be used" in done.output
