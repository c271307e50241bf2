"""Small corpora in the layouts of the published ones."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.serving.scripted_model import ScriptedModel
from vita_model.evaluation.asr import Errors, character_errors
from vita_model.evaluation.corpora import utterances
from vita_model.evaluation.suite import EvaluationError, Shelf
from vita_model.evaluation.suites.hearing import CorpusSuite

pytestmark = pytest.mark.unit


def recording(file: Path, seconds: float = 0.5, rate: int = 16_000) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 0.5, round(seconds * rate), dtype=np.float32)
    soundfile.write(file, ramp, rate)
    return file


def test_librispeech(tmp_path):
    chapter = tmp_path / "1089" / "134686"
    for number in range(2):
        recording(chapter / f"1089-134686-000{number}.flac")
    (chapter / "1089-134686.trans.txt").write_text(
        "1089-134686-0000 HE HOPED THERE WOULD BE STEW\n1089-134686-0001 STUFF IT INTO YOU\n"
    )
    first, second = utterances("librispeech", tmp_path)
    assert first.said == "HE HOPED THERE WOULD BE STEW"
    assert second.file.name == "1089-134686-0001.flac"
    assert len(first.samples(16_000)) == 8_000


def test_aishell_takes_the_test_part_and_leaves_what_has_no_words(tmp_path):
    for part, key in (
        ("test", "BAC009S0764W0121"),
        ("test", "BAC009S0764W0122"),
        ("dev", "BAC009S0724W0121"),
    ):
        recording(tmp_path / "wav" / part / key[6:11] / f"{key}.wav")
    (tmp_path / "transcript").mkdir()
    (tmp_path / "transcript" / "aishell_transcript_v0.8.txt").write_text(
        "BAC009S0764W0121 甚至 出现 交易 几乎 停滞\nBAC009S0724W0121 广州市 房地产\n",
        encoding="utf-8",
    )
    (found,) = utterances("aishell", tmp_path)
    assert (found.key, found.said) == ("BAC009S0764W0121", "甚至出现交易几乎停滞")


def test_wenetspeech_takes_segments_of_one_subset(tmp_path):
    recording(tmp_path / "audio" / "test_net" / "B00" / "Y0.wav", 3.0, 8_000)
    segments = [
        {
            "sid": "Y0_S0",
            "begin_time": 0.5,
            "end_time": 1.25,
            "text": "怎么样",
            "subsets": ["TEST_NET"],
        },
        {"sid": "Y0_S1", "begin_time": 1.5, "end_time": 2.0, "text": "好", "subsets": ["M"]},
    ]
    audios = [{"aid": "Y0", "path": "audio/test_net/B00/Y0.wav", "segments": segments}]
    (tmp_path / "WenetSpeech.json").write_text(json.dumps({"audios": audios}))
    (found,) = utterances("wenetspeech-net", tmp_path)
    assert found.said == "怎么样"
    assert len(found.samples(16_000)) == pytest.approx(12_000, abs=2)
    with pytest.raises(EvaluationError, match="holds nothing"):
        utterances("wenetspeech-meeting", tmp_path)


def test_a_folder_of_another_layout_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="not laid out as WenetSpeech"):
        utterances("wenetspeech-net", tmp_path)
    with pytest.raises(EvaluationError, match="There is no layout"):
        utterances("commonvoice", tmp_path)


def test_a_spoilt_recording_is_named(tmp_path):
    (tmp_path / "1" / "2").mkdir(parents=True)
    (tmp_path / "1" / "2" / "1-2-0.flac").write_bytes(b"no sound")
    (tmp_path / "1" / "2" / "1-2.trans.txt").write_text("1-2-0 WORDS\n")
    (found,) = utterances("librispeech", tmp_path)
    with pytest.raises(EvaluationError, match=r"1-2-0\.flac cannot be read"):
        found.samples(16_000)


@pytest.mark.parametrize(
    ("said", "written", "found"),
    [
        ("今天 天气", "今天天气。", Errors(length=4)),
        ("二零二四年", "2024年", Errors(length=5)),
        ("用ＡＰＰ付款", "用 app 付款", Errors(length=4)),
        ("怎么样", "怎么", Errors(deletions=1, length=3)),
    ],
)
def test_chinese_is_compared_character_by_character(said, written, found):
    assert character_errors(said, written, "zh") == found


async def test_a_corpus_becomes_rows_with_their_recordings(tmp_path):
    chapter = tmp_path / "test-clean" / "1" / "2"
    recording(chapter / "1-2-0.flac")
    (chapter / "1-2.trans.txt").write_text("1-2-0 0.5 SECONDS OR MORE\n")
    suite = CorpusSuite("librispeech", tmp_path / "test-clean")
    (item,) = suite.items(None)
    row = await suite.run(ScriptedModel(deque()), item, Shelf(tmp_path, suite.name))
    assert row.counts == {"words wrong": (2.0, 4.0)}
    assert (tmp_path / row.files["input"]).exists()
