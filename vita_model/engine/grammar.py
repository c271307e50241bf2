"""Tool calls of any model are valid: their text is held to the schemas of the tools offered.

llguidance follows the text of a call byte by byte and tells which tokens may come next, and which
must: those are written without asking the model. What may stand around the calls of an answer is
decided here.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.engine.schemas import narrowed
from vita_model.engine.voice import ToolError, ToolSpec

KEPT_GRAMMARS = 256
MOST_CALLS = 8
"""Calls of one answer."""
JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""As `json.dumps` writes it, which is what models were trained on."""


class GrammarError(RuntimeError):
    """A call went beyond what the grammar can follow; its answer fails."""


@dataclass(frozen=True, slots=True)
class CallMarks:
    """How a model marks calls.

    Attributes:
        call: Token before a call.
        call_end: Token after it.
        end: Token that ends the answer.
        before: Text between `call` and the JSON object.
        after: Text between the JSON object and `call_end`.
        reserved: Further tokens that never belong into an answer.
    """

    call: int
    call_end: int
    end: int
    before: str = ""
    after: str = ""
    reserved: tuple[int, ...] = ()


class Grammars:
    """Grammars for one vocabulary, kept by tool list. Thread-safe.

    Attributes:
        marks: Tokens around calls and at the end.
    """

    def __init__(self, tokenizer: Tokenizer, marks: CallMarks) -> None:
        self.marks = marks
        size = tokenizer.get_vocab_size(with_added_tokens=True)
        self._tokens = LLTokenizer(tokenizer.to_str(), n_vocab=size, eos_token=marks.end)
        self._kept: OrderedDict[str, LLMatcher] = OrderedDict()
        self._guard = threading.Lock()

    def compile(self, tools: Sequence[ToolSpec]) -> None:
        """Make the grammar of a tool list, a few milliseconds of work, and keep it.

        Raises:
            ToolError: A tool's parameters are no JSON schema, or use what cannot be held to.
        """
        if tools:
            self._matcher(tools)

    def text(self, tools: Sequence[ToolSpec], choice: str = "auto") -> str:
        """The grammar of one call, from after its mark to before the next, as llguidance's Lark text.

        Raises:
            ToolError: See `constraint`.
        """
        offered = _offered(tools, choice)
        self._matcher(offered)
        return self._lark(offered)

    def constraint(
        self, tools: Sequence[ToolSpec], choice: str = "auto", *, parallel: bool = True
    ) -> ToolConstraint:
        """What keeps one answer in order.

        Args:
            tools: Those offered.
            choice: "auto", "none", "required" or the name of the tool to call.
            parallel: Several calls may be made in the answer.

        Raises:
            ToolError: See `compile`; or `choice` names no tool.
        """
        if choice == "none" or not tools:
            return ToolConstraint(self.marks, None)
        named = choice not in {"auto", "required"}
        return ToolConstraint(
            self.marks,
            self._matcher(_offered(tools, choice)),
            must_call=choice != "auto",
            parallel=parallel and not named,
        )

    def _matcher(self, tools: Sequence[ToolSpec]) -> LLMatcher:
        key = json.dumps([[tool.name, tool.parameters] for tool in tools])
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        matcher = self._fresh(tools)
        if matcher.is_error():
            raise self._fault(tools, matcher.get_error())
        matcher.deep_copy().compute_bitmask()  # the first mask of a grammar takes longest
        with self._guard:
            self._kept[key] = matcher
            if len(self._kept) > KEPT_GRAMMARS:
                self._kept.popitem(last=False)
        return matcher

    def _fresh(self, tools: Sequence[ToolSpec]) -> LLMatcher:
        grammar = LLMatcher.grammar_from_lark(self._lark(tools))
        return LLMatcher(self._tokens, grammar, log_level=0)

    def _lark(self, tools: Sequence[ToolSpec]) -> str:
        rules = [f"start: {' | '.join(f'call_{index}' for index in range(len(tools)))}"]
        for index, tool in enumerate(tools):
            try:
                schema = narrowed(tool.parameters)
            except ValueError as error:
                raise _tool_error(tool, str(error)) from None
            name = json.dumps(tool.name, ensure_ascii=False)
            head = f'{self.marks.before}{{"name": {name}, "arguments": '
            body = json.dumps({**schema, "x-guidance": JSON_STYLE})
            tail = "}" + self.marks.after
            rules.append(f"call_{index}: {json.dumps(head)} %json {body} {json.dumps(tail)}")
        return "\n".join(rules)

    def _fault(self, tools: Sequence[ToolSpec], error: str) -> ToolError:
        """Which tool is at fault, and why."""
        for tool in tools:
            alone = self._fresh([tool])
            if alone.is_error():
                return _tool_error(tool, _reason(alone.get_error()))
        return ToolError(f"These tools cannot be offered together: {_reason(error)}.")


def _offered(tools: Sequence[ToolSpec], choice: str) -> Sequence[ToolSpec]:
    if choice in {"auto", "required"}:
        return tools
    named = [tool for tool in tools if tool.name == choice]
    if not named:
        raise ToolError(f"No tool is named {choice!r}: tool_choice must name one on offer.")
    return named


def _tool_error(tool: ToolSpec, reason: str) -> ToolError:
    return ToolError(
        f"The tool {tool.name!r} cannot be offered: {reason}. Change its parameters' JSON schema."
    )


def _reason(error: str) -> str:
    """The library's own words, without where in the grammar it stumbled."""
    lines = error.splitlines()
    first = lines[0].partition("failed to compile JSON schema: ")[2] or lines[0]
    if first.startswith("regex parse error"):
        first = next((line for line in lines if line.startswith("error: ")), first)
    return first.strip().rstrip(".:")


class ToolConstraint:
    """Keeps one answer in order: text, then calls, each of them valid; implements `Constraint`.

    Where a call is wanted in any case, the answer begins with it. Nothing is said after a call:
    its result is not known yet.
    """

    def __init__(
        self,
        marks: CallMarks,
        grammar: LLMatcher | None,
        *,
        must_call: bool = False,
        parallel: bool = True,
    ) -> None:
        self._marks = marks
        self._grammar = grammar
        self._must_call = must_call
        self._most_calls = MOST_CALLS if parallel else 1
        self._calls = 0
        self._open: LLMatcher | None = None

    @property
    def calling(self) -> bool:
        """A call is being written."""
        return self._open is not None

    @property
    def may_call(self) -> bool:
        """Tools are on offer."""
        return self._grammar is not None

    @property
    def calls(self) -> int:
        """Complete calls so far."""
        return self._calls

    @property
    def complete(self) -> bool:
        """The call being written has all its text."""
        return self._open is not None and self._open.is_stopped()

    def forced(self) -> Sequence[int]:
        """Tokens that must come next.

        Raises:
            GrammarError: The call cannot be followed any further.
        """
        marks = self._marks
        if self._open is not None:
            tokens = self._open.compute_ff_tokens()
            if self._open.is_error():
                raise GrammarError(_reason(self._open.get_error()))
            done = not tokens and self._open.is_stopped()
            return [marks.call_end] if done else tokens
        if self._calls >= self._most_calls:
            return [marks.end]
        return [marks.call] if self._must_call and not self._calls else []

    def mask(self, scores: Tensor) -> None:
        """Put `-inf` in place on what must not come next; `scores` is `[vocabulary]`."""
        marks, no = self._marks, float("-inf")
        if self._calls and self._open is None:
            may = scores[[marks.call, marks.end]].clone()
            scores.fill_(no)
            scores[[marks.call, marks.end]] = may
            return
        if self._open is not None:
            bits = np.frombuffer(self._open.compute_bitmask(), np.uint8)
            if self._open.is_error():
                raise GrammarError(_reason(self._open.get_error()))
            allowed = np.unpackbits(bits, bitorder="little", count=len(scores))
            scores.masked_fill_(~torch.from_numpy(allowed).bool().to(scores.device), no)
            scores[marks.end] = no
        if self._open is not None or self._grammar is None:
            scores[marks.call] = no
        scores[marks.call_end] = no
        scores[list(marks.reserved)] = no

    def accept(self, token: int) -> None:
        """A token has been chosen or forced.

        Raises:
            GrammarError: It does not belong here.
        """
        if self._open is None:
            if token == self._marks.call and self._grammar is not None:
                self._open = self._grammar.deep_copy()
        elif token == self._marks.call_end:
            self._open = None
            self._calls += 1
        elif not self._open.consume_token(token):
            raise GrammarError(_reason(self._open.get_error()))
