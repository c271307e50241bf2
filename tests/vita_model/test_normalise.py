"""Written English and Chinese become what a person would say."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
from pathlib import Path

import pytest

from vita_model.speech import chinese
from vita_model.speech.normalise import normalised

pytestmark = pytest.mark.unit

TABLE = Path(__file__).with_name("spoken.tsv")


def cases():
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["written"])
def test_it_is_said_as_a_person_would(case):
    assert normalised(case["written"]) == case["spoken"]


def test_the_table_is_as_large_as_it_claims():
    languages = [case["language"] for case in cases()]
    assert languages.count("en") >= 130
    assert languages.count("zh") >= 70


def test_chinese_numbers_are_those_of_the_library():
    source = random.Random(5)
    library = chinese._library()
    for _ in range(200):
        number = source.randrange(10, 10 ** source.randrange(2, 9))
        known = library.normalize(f"{number}个")[:-1]
        assert chinese.cardinal(number).replace("两", "二") == known.replace("两", "二")


@pytest.mark.parametrize(
    "text",
    ["", " ", "？", "###", "½", "１２３", "$", "¥", "1/0", "0/0个", "99/99/9999", "31.02.2026", "@", "http://",
     "10" * 40, "٣٤", "²³", "第²个", "-", "--5", "3:60 PM", "25:99", "IIII Henry XXXX", "你好😀", "\ud7ff\u4e00", "1,2,3,4个"],
)  # fmt: skip
def test_odd_text_is_read_somehow(text):
    assert isinstance(normalised(text), str)


def test_english_never_loads_what_chinese_needs():
    code = (
        "import sys; from vita_model.speech.normalise import normalised; normalised('At 9:30.'); "
    )
    code += "assert not {'wetext', 'kaldifst', 'torch'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
