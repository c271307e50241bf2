from __future__ import annotations

import pytest

from vita_model.prompt import tool_call
from vita_model.tool_calls import ToolUse, split_calls

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
