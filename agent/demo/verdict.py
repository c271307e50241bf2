"""Decides whether a demonstration call really worked, from the call log and what was heard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from pathlib import Path

import numpy as np
import soundfile
from typing_extensions import override

from agent.calls.repository import CallRecord
from agent.demo.caller import Asked
from agent.demo.facts import expected_tokens, find_fact, missing_tokens
from agent.demo.script import Question
from agent.store.tables import UtteranceRow

RIGHT_ANSWERS_NEEDED = 5
"""Of the seven questions; all of them where a lines file leaves fewer to be checked."""

_QUIETEST_RECORDING = 500
"""Peak, of 32,767, a recorded side has to reach."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One tool call of the log. `arguments` is JSON text."""

    name: str
    arguments: str
    status: str

    def fits(self, name: str, arguments: dict[str, str]) -> bool:
        """Whether it is this tool, went well and got these arguments at least."""
        try:
            given = json.loads(self.arguments or "{}")
        except ValueError:
            return False
        if self.name != name or self.status != "ok" or not isinstance(given, dict):
            return False
        return all(_plain(given.get(key)) == _plain(value) for key, value in arguments.items())

    @override
    def __str__(self) -> str:
        return f"{self.name}({self.arguments}) {self.status}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the log holds about one question.

    Attributes:
        words: What the agent understood; empty when nothing.
        reply: What the agent said, as far as it was played.
        tools: The tools it used.
        logged: Whether the log knows that anything was said: words, or a sound taken for noise.
        audible: Whether the caller heard anything in return.
    """

    words: str
    reply: str
    tools: tuple[ToolUse, ...]
    logged: bool
    audible: bool


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `passed` is None where there was nothing to compare with."""

    name: str
    passed: bool | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks of a call: the answers, question by question, and the rest."""

    answers: tuple[Check, ...]
    others: tuple[Check, ...]

    @property
    def right(self) -> int:
        """Right answers."""
        return sum(check.passed is True for check in self.answers)

    @property
    def needed(self) -> int:
        """Right answers that are enough."""
        checked = sum(check.passed is not None for check in self.answers)
        return min(RIGHT_ANSWERS_NEEDED, checked)

    @property
    def failures(self) -> list[str]:
        """What is wrong with the call, one sentence each; empty when it worked."""
        found = []
        if self.right < self.needed:
            wrong = "; ".join(check.name for check in self.answers if check.passed is False)
            found.append(
                f"Only {self.right} answers were right, {self.needed} are needed. Wrong: {wrong}"
            )
        return found + [
            f"{check.name}: {check.detail}" for check in self.others if check.passed is False
        ]


def collect_answers(
    record: CallRecord, questions: Sequence[Question], asked: Sequence[Asked]
) -> list[Answer]:
    """Assign everything in the log to the question it followed, by the time it happened.

    Args:
        record: The call as the log has it.
        questions: What was to be asked; each takes as many turns as it has recordings.
        asked: The turns that were said.
    """
    turns, answers = list(asked), []
    for question in questions:
        own, turns = turns[: len(question.files)], turns[len(question.files) :]
        if own:
            end = turns[0].at if turns else datetime.max.replace(tzinfo=own[0].at.tzinfo)
            answers.append(_answer(record, own, end))
    return answers


def _answer(record: CallRecord, turns: Sequence[Asked], end: datetime) -> Answer:
    start, began = turns[0].at, media_began_at(record)
    said = [row for row in record.utterances if start <= began + _offset(row) < end]
    noises = [row for row in record.events if row.kind == "noise" and start <= row.at < end]
    words = " ".join(row.pii_text for row in said if row.role == "caller")
    return Answer(
        words=words,
        reply=" ".join(
            (row.pii_heard or "") if row.interrupted else row.pii_text
            for row in said
            if row.role == "agent"
        ),
        tools=tuple(
            ToolUse(row.tool, row.pii_arguments, row.status)
            for row in record.tools
            if start <= row.started_at < end
        ),
        logged=bool(words or noises),
        audible=turns[-1].answered,
    )


def _offset(row: UtteranceRow) -> timedelta:
    """When something was said: a caller's turn is reckoned to begin a little before its sound."""
    at_ms = (row.start_ms + row.end_ms) / 2 if row.role == "caller" else row.start_ms
    return timedelta(milliseconds=at_ms)


def media_began_at(record: CallRecord) -> datetime:
    """The moment that times in milliseconds count from."""
    for event in record.events:
        if event.kind == "call_state" and event.payload.get("state") == "connected":
            return event.at
    return record.call.started_at


def judge(
    questions: Sequence[Question],
    facts: Sequence[str],
    answers: Sequence[Answer],
    record: CallRecord,
) -> Verdict:
    """Check a call.

    Args:
        questions: What was to be asked.
        facts: The line's facts.
        answers: What came of each question that was asked, in their order.
        record: The call as the log has it.
    """
    checks = [
        _check_answer(number, question, facts, answer)
        for number, (question, answer) in enumerate(zip_longest(questions, answers), start=1)
    ]
    return Verdict(tuple(checks), tuple(_check_call(answers, record)))


def _check_answer(
    number: int, question: Question, facts: Sequence[str], answer: Answer | None
) -> Check:
    name = f"{number} “{question.words}”"
    if answer is None:
        return Check(name, False, "was not asked: the call was over before")
    expect = question.expect
    if expect.tool:
        used = ", ".join(str(use) for use in answer.tools) or "no tool"
        fits = any(use.fits(expect.tool, expect.arguments) for use in answer.tools)
        wanted = f"{expect.tool}({', '.join(expect.arguments.values())})"
        return Check(name, fits, used if fits else f"wanted {wanted}, got {used}")
    fact = find_fact(facts, expect.fact)
    if not fact:
        return Check(name, None, "the line has no fact about it")
    missing = missing_tokens(answer.reply, expected_tokens(fact, expect.says))
    if missing:
        reply = answer.reply or "nothing"
        return Check(name, False, f"wanted {', '.join(missing)} of “{fact}”, heard “{reply}”")
    return Check(name, True, answer.reply)


def _check_call(answers: Sequence[Answer], record: CallRecord) -> Iterator[Check]:
    call = record.call
    silent = _numbers(answer.audible or not answer.reply for answer in answers)
    yield Check("replies are audible", not silent, f"nothing heard after {silent}")
    unlogged = _numbers(answer.logged for answer in answers)
    yield Check("every question is in the log", not unlogged, f"missing: {unlogged}")
    greeted = any(row.role == "agent" and row.pii_text for row in record.utterances[:1])
    yield Check("the greeting is in the log", greeted, "the first utterance is not the agent's")
    yield Check(
        "the call is over in the log",
        call.state == "ended" and call.end_reason != "failed",
        f"{call.state} {call.end_reason}".strip(),
    )
    yield Check("the recording is whole", *_check_recording(record))
    faults = [str(event.payload.get("message")) for event in record.events if event.kind == "fault"]
    yield Check("no fault was logged", not faults, "; ".join(faults))


def _check_recording(record: CallRecord) -> tuple[bool, str]:
    if not record.recordings:
        return False, "the log names none"
    row = record.recordings[-1]
    path = Path(row.path)
    if not path.exists():
        return False, f"{path} is not there"
    if hashlib.sha256(path.read_bytes()).hexdigest() != row.sha256:
        return False, f"{path} is not the file the log describes"
    samples, _ = soundfile.read(path, dtype="int16", always_2d=True)
    peaks = np.abs(samples.astype(int)).max(axis=0) if len(samples) else np.zeros(2)
    if samples.shape[1] != 2 or peaks.min() < _QUIETEST_RECORDING:
        return False, f"{path} lacks the sound of one side"
    return True, str(path)


def _numbers(passed: Iterable[bool]) -> str:
    """Numbers of the questions that failed, such as `2, 5`."""
    return ", ".join(str(number) for number, good in enumerate(passed, start=1) if not good)


def _plain(value: object) -> str:
    return "".join(character for character in str(value).lower() if character.isalnum())
