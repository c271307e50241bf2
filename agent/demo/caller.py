"""A caller who asks one recorded question after another, whatever the answers are like."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import numpy as np
from numpy.typing import NDArray

from agent.audio import TELEPHONE
from agent.pipeline.clips import HOLD
from connectors.twilio.twin import Speak, TwinCall
from connectors.twilio.twin.audio import FRAME_BYTES, FRAME_MS, VOICE_RMS, Pcm

POLL_S = 0.1
_TELLING = 800
"""Samples by which a recorded sentence is known again: a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How a caller listens.

    Attributes:
        silence_ms: So long a silence tells that the agent has finished.
        patience_s: Longest wait for an answer to begin; then the next question is asked.
        longest_answer_s: Longest wait for an answer to end.
        farewell_s: How long the caller stays on the line after the last answer, so that the other
            side can end the call or hand it over.
        transfer_s: How long the caller stays with a person the call was handed over to.
    """

    silence_ms: int = 500
    patience_s: float = 12.0
    longest_answer_s: float = 30.0
    farewell_s: float = 0.8
    transfer_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One question as it was asked.

    Attributes:
        label: What was played.
        at: When it began.
        start_ms: The same, from the moment the call was answered.
        end_ms: When it was over.
        answered: Whether anything was heard in return.
    """

    label: str
    at: datetime
    start_ms: int
    end_ms: int
    answered: bool


async def hold_conversation(
    call: TwinCall,
    questions: Sequence[Speak],
    *,
    manners: Manners,
    on_ask: Callable[[int], None] = lambda _: None,
) -> list[Asked]:
    """Hear the greeting, ask every question and hear its answer, say no more, hang up.

    Ends early when the other side ends the call.

    Args:
        call: A call whose caller says nothing by itself.
        questions: What to say.
        manners: How to listen.
        on_ask: Told the number of the question about to be asked, from 0.
    """
    asked: list[Asked] = []
    await _hear_out(call, 0, manners)
    for number, question in enumerate(questions):
        if call.is_over:
            break
        on_ask(number)
        at, start_ms = datetime.now(UTC), call.heard.length_ms
        end_ms = start_ms + len(question.pcm) * FRAME_MS // FRAME_BYTES
        call.go_silent()  # the script ends here: after the question the caller listens
        call.say(question)
        answered = await _hear_out(call, end_ms, manners)
        asked.append(Asked(question.label, at, start_ms, end_ms, answered))
    await _until(lambda: call.is_over, manners.farewell_s)
    if call.timeline.of("dial"):
        await _until(lambda: call.is_over, manners.transfer_s)
    if not call.is_over:
        call.hang_up()
    return asked


async def _hear_out(call: TwinCall, since_ms: int, manners: Manners) -> bool:
    """Wait for what the agent says from `since_ms` on to end. False: it said nothing."""

    def began() -> bool:
        return call.is_over or bool(_answer(call.heard.agent, since_ms).any())

    def ended() -> bool:
        heard_ms = call.heard.length_ms - since_ms
        over = _is_over(_answer(call.heard.agent, since_ms), heard_ms, manners)
        return call.is_over or over

    waited_s = max(0.0, since_ms / 1000 - call.heard.length_ms / 1000)
    if not await _until(began, waited_s + manners.patience_s):
        return False
    await _until(ended, manners.longest_answer_s)
    return bool(_answer(call.heard.agent, since_ms).any())


def _is_over(answer: NDArray[np.bool_], heard_ms: int, manners: Manners) -> bool:
    """Whether the voice of `_answer` has been silent for long enough.

    What began may turn out to be the words that ask for a moment: then there is no answer yet.
    """
    voiced = np.flatnonzero(answer)
    if not voiced.size:
        return False
    return heard_ms - (int(voiced[-1]) + 1) * FRAME_MS >= manners.silence_ms


def _answer(pcm: Pcm, since_ms: int) -> NDArray[np.bool_]:
    """Which 20 ms frames from `since_ms` on are an answer's voice; "One moment, please." is none."""
    heard = pcm[since_ms * FRAME_BYTES // FRAME_MS :].copy()
    hold = _hold()
    first = int(np.argmax(np.abs(hold) > VOICE_RMS))
    telling = hold[first : first + _TELLING].tobytes()
    while (start := heard.tobytes().find(telling) // heard.itemsize) >= 0:
        heard[start : start + len(hold) - first] = 0
    return _voiced(heard)


@cache
def _hold() -> Pcm:
    return TELEPHONE.decode(HOLD.payload(TELEPHONE))


def _voiced(pcm: Pcm) -> NDArray[np.bool_]:
    """Which 20 ms frames are loud enough to be a voice."""
    samples = pcm.astype(np.float32)
    frames = samples[: len(samples) // FRAME_BYTES * FRAME_BYTES].reshape(-1, FRAME_BYTES)
    loud: NDArray[np.bool_] = np.sqrt((frames**2).mean(axis=1)) >= VOICE_RMS
    return loud


async def _until(check: Callable[[], bool], limit_s: float) -> bool:
    try:
        async with asyncio.timeout(limit_s):
            while not check():  # noqa: ASYNC110 - a phone rings no bell when silence falls
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return check()
    return True
