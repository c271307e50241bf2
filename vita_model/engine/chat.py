"""ChatML in tokens: how a conversation of the small model is laid out.

Roles and layout are Qwen2's. VITA's state markers and the tool tags take the places of spare
special tokens in the small backbone's vocabulary, so each of them is one token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tokenizers import Tokenizer

from vita_model.engine.grammar import CallMarks
from vita_model.engine.voice import Marker

SPARE = {
    "☞": "<repo_name>",
    "☜": "<reponame>",
    "☟": "<file_sep>",
    "<tool_call>": "<filename>",
    "</tool_call>": "<gh_stars>",
    "<tool_response>": "<issue_start>",
    "</tool_response>": "<issue_comment>",
    "<image>": "<issue_closed>",
}


class Chat:
    """Token sequences of ChatML turns for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        ids = {mark: self._special(token) for mark, token in SPARE.items()}
        self.query, self.typed, self.noise = ids["☞"], ids["☜"], ids["☟"]
        self.call, self.call_end = ids["<tool_call>"], ids["</tool_call>"]
        self.response, self.response_end = ids["<tool_response>"], ids["</tool_response>"]
        self.image = ids["<image>"]
        self.trained_tokens = list(ids.values())
        self.start, self.end = self._special("<|im_start|>"), self._special("<|im_end|>")
        self.newline = self.text("\n")

    @property
    def states(self) -> dict[Marker, int]:
        """Token of every state an answer may begin with."""
        return {"query": self.query, "typed": self.typed, "noise": self.noise}

    @property
    def call_marks(self) -> CallMarks:
        """How calls are marked; no other special token belongs into an answer."""
        special = self._tokenizer.get_added_tokens_decoder()
        others = sorted(special.keys() - {self.call, self.call_end, self.end})
        return CallMarks(self.call, self.call_end, self.end, reserved=tuple(others))

    def _special(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"the tokenizer has no token {token!r}")
        return int(found)

    def text(self, text: str) -> list[int]:
        """Plain text; special tokens spelled in it stay plain text."""
        return [
            token
            for piece in _split_specials(text)
            for token in self._tokenizer.encode(piece, add_special_tokens=False).ids
        ]

    def system(self, prompt: str) -> list[int]:
        """The system turn."""
        return [self.start, *self.text("system\n" + prompt), self.end, *self.newline]

    def user(self, content: Sequence[int]) -> list[int]:
        """A user turn around given content, up to where the answer starts."""
        return [*self.user_open(), *content, *self.user_close()]

    def user_open(self) -> list[int]:
        """What stands before a user turn's content."""
        return [self.start, *self.text("user\n")]

    def user_close(self) -> list[int]:
        """What stands between a user turn's content and the answer."""
        return [self.end, *self.newline, *self.assistant_open()]

    def assistant_open(self) -> list[int]:
        """What stands before an answer that follows another answer."""
        return [self.start, *self.text("assistant\n")]

    def picture(self, words: Sequence[int]) -> list[int]:
        """A picture as it stands in a user turn, before the question."""
        return [self.image, *words, *self.newline]

    def tool_call(self, name: str, arguments: Mapping[str, object]) -> list[int]:
        """A call in Qwen's form: a JSON object with `name` and `arguments` between tags."""
        return self.raw_call(name, json.dumps(dict(arguments), ensure_ascii=False))

    def raw_call(self, name: str, arguments: str) -> list[int]:
        """A call whose arguments are JSON text already."""
        body = f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'
        return [self.call, *self.text(body), self.call_end]

    def tool_output(self, output: str) -> list[int]:
        """A tool's answer as a user turn, up to where the spoken answer starts."""
        return self.user([self.response, *self.text(output), self.response_end])


def _split_specials(text: str) -> list[str]:
    """Break control tokens so that caller or operator text can never become one."""
    for mark in ("<|", *SPARE.values()):
        text = text.replace(mark, mark[0] + "\x00" + mark[1:])
    return [piece for piece in text.split("\x00") if piece]
