from __future__ import annotations

import pytest

from vita_model.prompt import tool_call
from vita_model.tool_calls import CallSplitter, ToolUse, split_calls, without_calls

pytestmark = pytest.mark.unit


def test_what_the_assistant_writes_is_read_back():
    first, second = tool_call("look_up", {"order": "48213", "note": "é"}), tool_call("end_call", {})
    said, calls = split_calls(f"One moment. {first}\n{second}")
    assert said == "One moment."
    assert calls == (ToolUse("look_up", {"order": "48213", "note": "é"}), ToolUse("end_call", {}))


@pytest.mark.parametrize(
    "body",
    [
        '```json\n{"name": "end_call", "arguments": {}}\n```',
        '{"name": "end_call", "arguments": "{}"}',
        '{"name": "end_call", "arguments": ""}',
        '{"name": "end_call"}',
    ],
)
def test_slips_that_can_be_understood_are(body):
    assert split_calls(f"<tool_call>{body}</tool_call>") == ("", (ToolUse("end_call", {}),))


@pytest.mark.parametrize(
    "body",
    ["", "end_call()", '{"name": ', "[]", "7", '{"name": 7}', '{"name": "x", "arguments": []}',
     '{"name": "x", "arguments": "{"}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_call_is_neither_made_nor_said(body):
    assert split_calls(f"Yes. <tool_call>{body}</tool_call>") == ("Yes.", ())
    assert split_calls(f"Yes. <tool_call>{body}") == ("Yes.", ())


@pytest.mark.parametrize("step", [1, 7, 200])
@pytest.mark.parametrize("end", ["</tool_call> Done.", "", "</tool_call><tool_"])
def test_a_growing_reply_is_parted_like_the_whole_one(step, end):
    reply = f'A < b <tool. <tool_call>{{"name": "end_call", "arguments": {{}}}}{end}'
    pieces = [reply[at : at + step] for at in range(0, len(reply), step)]
    splitter = CallSplitter()
    parts = [part for piece in pieces for part in splitter.push(piece)] + splitter.finish()
    said, calls = split_calls(reply)
    assert tuple(part for part in parts if isinstance(part, ToolUse)) == calls
    spoken = "".join(without_calls(pieces))
    assert spoken == "".join(part for part in parts if isinstance(part, str))
    assert " ".join(spoken.split()) == said


def test_words_that_cannot_begin_a_call_are_not_held_back():
    splitter = CallSplitter()
    assert splitter.push("Yes <") == ["Yes "]
    assert splitter.push("3") == ["<3"]
