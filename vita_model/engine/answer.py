"""Tokens of an answer become text and tool calls."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tokenizers import Tokenizer

from vita_model.engine.voice import Call, Text


class AnswerReader:
    """Reads one answer token by token; what stands between the tool tags is a call."""

    def __init__(self, tokenizer: Tokenizer, call: int, call_end: int) -> None:
        self._tokenizer = tokenizer
        self._call, self._call_end = call, call_end
        self._written: list[int] = []
        self._shown = ""
        self._body: list[int] | None = None

    def feed(self, tokens: Sequence[int]) -> list[Text | Call]:
        """What is complete after further tokens."""
        events: list[Text | Call] = []
        for token in tokens:
            if token == self._call:
                self._body = []
            elif token == self._call_end and self._body is not None:
                events += self._parsed(self._body)
                self._body = None
            elif self._body is not None:
                self._body.append(token)
            else:
                self._written.append(token)
        text = self._decode(self._written).lstrip()
        if len(text) > len(self._shown) and not text.endswith("�"):
            events.append(Text(text[len(self._shown) :]))
            self._shown = text
        return events

    def _parsed(self, body: list[int]) -> list[Call]:
        """The call in a body; one that is no call at all is dropped."""
        try:
            content = json.loads(self._decode(body))
            name, arguments = content["name"], content["arguments"]
        except (ValueError, KeyError, TypeError):
            return []
        return [Call(str(name), json.dumps(arguments, ensure_ascii=False))]

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=False)
        return text
