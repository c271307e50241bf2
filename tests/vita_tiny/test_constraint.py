"""A constraint decides what a reply may write; what it forces comes out as a call."""

from collections import deque
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from vita_model.engine.chat import Chat
from vita_model.engine.constraint import Constraint
from vita_model.engine.job import Job, Prompt
from vita_model.engine.tiny import TinyVoice
from vita_model.engine.torch_engine import TorchEngine
from vita_model.engine.voice import Call, State, Text, ToolSpec, VoiceModel

pytestmark = pytest.mark.model


class Dictation:
    """Some tokens are forced, then one of two is chosen, then the answer ends."""

    def __init__(self, forced: Sequence[int], choice: Sequence[int], end: int) -> None:
        self._steps = deque([list(forced)])
        self._choice, self._end = list(choice), end
        self.accepted: list[int] = []

    def forced(self) -> Sequence[int]:
        return self._steps.popleft() if self._steps else []

    def mask(self, scores: Tensor) -> None:
        allowed = [self._end] if self.accepted[-1] in self._choice else self._choice
        kept = scores[allowed].clone()
        scores.fill_(float("-inf"))
        scores[torch.tensor(allowed)] = kept

    def accept(self, token: int) -> None:
        self.accepted.append(token)


def test_forced_tokens_are_written_and_choices_are_masked(voice: VoiceModel) -> None:
    assert isinstance(voice, TinyVoice)
    parts = voice.parts
    made: list[Dictation] = []

    def constraint(tools: Sequence[ToolSpec], choice: str, *, parallel: bool) -> Constraint:
        assert (tools, choice, parallel) == ((), "required", True)
        call = chat.raw_call("open_door", '{"floor": 3}')
        words = [chat.text(" yes")[0], chat.text(" no")[0]]
        made.append(Dictation(call, words, chat.end))
        return made[-1]

    chat = Chat(parts.tokenizer)
    engine = TorchEngine(
        parts.language,
        parts.tokenizer,
        states=chat.states,
        marks=chat.call_marks,
        constraints=constraint,
    )
    prompt = Prompt([*chat.user(chat.text("Open it?"))], {}, ("query",))
    found: list[State | Text | Call] = []
    ended: list[BaseException | None] = []
    engine.submit(
        Job(
            "s",
            prompt,
            found.append,
            ended.append,
            lambda: False,
            tool_choice="required",
            limit=50,
        )
    )
    while not ended:
        engine.step()
    assert ended == [None]
    state, *events = found
    assert isinstance(state, State)
    call, text = events
    assert call == Call("open_door", '{"floor": 3}')
    assert isinstance(text, Text)
    assert text.delta in {"yes", "no"}
    assert len(made[0].accepted) == len(chat.raw_call("open_door", '{"floor": 3}')) + 1
