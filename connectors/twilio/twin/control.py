"""The twin's own interface, under `/_emu`: place calls, act for the caller, read what happened."""

from __future__ import annotations

import base64
import binascii
from collections import deque
from io import BytesIO
from typing import Annotated, Any, Literal, Protocol

import soundfile
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from agent import mulaw
from agent.errors import BadAudioError
from connectors.twilio.twin.audio import load_audio
from connectors.twilio.twin.call import TwinCall
from connectors.twilio.twin.caller import (
    HangUp,
    Pause,
    Press,
    Script,
    Speak,
    Step,
    WaitForAgent,
    WaitForEnd,
    WaitForSpeech,
)
from connectors.twilio.twin.faults import Bad, Faults, StatusOrder
from connectors.twilio.twin.world import AnsweredBy, Callee, Policy

MAX_AUDIO = 16 * 1024 * 1024
"""Longest base64 audio in a step, in characters."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WaitForAgentStep(_Body):
    """Until the agent has spoken and fallen silent."""

    do: Literal["wait_for_agent"]
    silence_ms: int = Field(700, ge=0)
    limit_s: float = Field(30.0, gt=0)

    def step(self) -> Step:
        """The caller's step."""
        return WaitForAgent(self.silence_ms, self.limit_s)


class WaitForSpeechStep(_Body):
    """Until the agent is speaking."""

    do: Literal["wait_for_speech"]
    for_ms: int = Field(500, ge=0)
    limit_s: float = Field(30.0, gt=0)

    def step(self) -> Step:
        """The caller's step."""
        return WaitForSpeech(self.for_ms, self.limit_s)


class PauseStep(_Body):
    """Say nothing."""

    do: Literal["pause"]
    ms: int = Field(ge=0)

    def step(self) -> Step:
        """The caller's step."""
        return Pause(self.ms)


class SayStep(_Body):
    """Say an audio file, given as base64."""

    do: Literal["say"]
    audio: str = Field(max_length=MAX_AUDIO)

    def step(self) -> Step:
        """The caller's step.

        Raises:
            BadAudioError: It is not audio.
        """
        try:
            content = base64.b64decode(self.audio, validate=True)
        except binascii.Error as error:
            raise BadAudioError("the audio of a say step must be base64") from error
        return Speak(load_audio(content, "the audio of a say step"))


class PressStep(_Body):
    """Press keys."""

    do: Literal["press"]
    digits: str = Field(pattern=r"^[0-9*#]+$")

    def step(self) -> Step:
        """The caller's step."""
        return Press(self.digits)


class HangUpStep(_Body):
    """Put the phone down."""

    do: Literal["hang_up"]

    def step(self) -> Step:
        """The caller's step."""
        return HangUp()


class WaitForEndStep(_Body):
    """Stay on the line, silent."""

    do: Literal["wait_for_end"]
    limit_s: float = Field(60.0, gt=0)

    def step(self) -> Step:
        """The caller's step."""
        return WaitForEnd(self.limit_s)


class GoSilentAction(_Body):
    """Forget the script and stay on the line."""

    do: Literal["go_silent"]


StepBody = Annotated[
    WaitForAgentStep
    | WaitForSpeechStep
    | PauseStep
    | SayStep
    | PressStep
    | HangUpStep
    | WaitForEndStep,
    Field(discriminator="do"),
]
ActionBody = Annotated[SayStep | PressStep | HangUpStep | GoSilentAction, Field(discriminator="do")]


class PlaceCallBody(_Body):
    """An inbound call to place."""

    to: str
    from_: str = Field("+15550123", alias="from")
    script: list[StepBody] = []


class CalleeBody(_Body):
    """How a number behaves when dialled."""

    policy: Policy = "answer"
    ring_s: float = Field(0.5, ge=0)
    script: list[StepBody] = []
    answered_by: AnsweredBy = "human"
    verdict_s: float = Field(0.3, ge=0)


class FrameFaultsBody(_Body):
    """What happens to the caller's audio."""

    loss: float = Field(default=0.0, ge=0, le=1)
    jitter: int = Field(default=0, ge=0, le=100)
    half_open: bool = False
    bad: list[Bad] = Field(default=[], max_length=100)
    seed: int = 1


class FaultsBody(_Body):
    """What goes wrong from now on; what is left out goes right again."""

    rest: list[Annotated[int, Field(ge=400, le=599)]] = Field(default=[], max_length=100)
    lost_answers: int = Field(default=0, ge=0)
    status_order: StatusOrder = "in_order"
    status_copies: int = Field(default=1, ge=0, le=10)
    status_delay_s: float = Field(default=0.0, ge=0, le=60)
    frames: FrameFaultsBody = FrameFaultsBody()

    def turn(self, faults: Faults) -> None:
        """Turn the switches of a running twin."""
        faults.rest = deque(self.rest)
        faults.lost_answers = self.lost_answers
        faults.status_order = self.status_order
        faults.status_copies = self.status_copies
        faults.status_delay_s = self.status_delay_s
        frames = self.frames
        faults.frames.loss, faults.frames.jitter = frames.loss, frames.jitter
        faults.frames.half_open, faults.frames.bad = frames.half_open, deque(frames.bad)
        faults.frames.sow(frames.seed)


class Desk(Protocol):
    """What the twin lets its user do."""

    @property
    def calls(self) -> list[TwinCall]:
        """All calls, oldest first."""
        ...

    async def place_call(self, *, to: str, from_: str, script: Script) -> TwinCall:
        """Place an inbound call."""
        ...

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""
        ...

    def set_callee(self, number: str, callee: Callee) -> None:
        """Say how a number behaves when dialled."""
        ...

    async def reset(self) -> None:
        """End and forget everything."""
        ...


def control_router(desk: Desk) -> APIRouter:
    """Routes of the control interface."""
    router = APIRouter(prefix="/_emu")
    router.include_router(_calls_router(desk))

    @router.put("/callees/{number}", status_code=204)
    async def set_callee(number: str, body: CalleeBody) -> None:
        script = _script(body.script) or (WaitForEnd(),)
        callee = Callee(body.policy, body.ring_s, script, body.answered_by, body.verdict_s)
        desk.set_callee(number, callee)

    @router.put("/faults", status_code=204)
    async def faults(body: FaultsBody) -> None:
        body.turn(desk.faults)

    @router.post("/reset", status_code=204)
    async def reset() -> None:
        await desk.reset()

    return router


def _calls_router(desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/calls")

    @router.post("", status_code=201)
    async def place(body: PlaceCallBody) -> dict[str, Any]:
        script = _script(body.script) or (WaitForAgent(),)
        return summary(await desk.place_call(to=body.to, from_=body.from_, script=script))

    @router.get("")
    async def calls() -> list[dict[str, Any]]:
        return [summary(call) for call in desk.calls]

    @router.get("/{sid}")
    async def call(sid: str) -> dict[str, Any]:
        return record(_found(desk, sid))

    @router.get("/{sid}/heard.wav")
    async def heard(sid: str) -> Response:
        content = BytesIO()
        pcm = _found(desk, sid).heard.agent
        soundfile.write(content, pcm, mulaw.SAMPLE_RATE, format="WAV", subtype="PCM_16")
        return Response(content.getvalue(), media_type="audio/wav")

    @router.post("/{sid}/actions", status_code=202)
    async def act(sid: str, body: ActionBody) -> dict[str, Any]:
        call = _found(desk, sid)
        if isinstance(body, GoSilentAction):
            call.go_silent()
        else:
            call.caller.interject(_script([body])[0])
        return summary(call)

    return router


def _found(desk: Desk, sid: str) -> TwinCall:
    for call in desk.calls:
        if call.sid == sid:
            return call
    raise HTTPException(404, f"no call {sid}")


def _script(steps: list[Any]) -> list[Step]:
    try:
        return [body.step() for body in steps]
    except BadAudioError as error:
        raise HTTPException(422, str(error)) from error


def summary(call: TwinCall) -> dict[str, Any]:
    """A call in short."""
    return {
        "sid": call.sid,
        "to": call.to,
        "from": call.from_,
        "direction": call.direction,
        "status": call.status,
        "duration_s": call.duration_s,
        "gave_up": call.gave_up,
    }


def record(call: TwinCall) -> dict[str, Any]:
    """A call with its timeline and what was measured on its sound."""
    heard = call.heard
    return summary(call) | {
        "first_audio_ms": heard.first_audio_ms,
        "answer_delays_ms": list(heard.answer_delays_ms),
        "gaps": [{"start_ms": gap.start_ms, "length_ms": gap.length_ms} for gap in heard.gaps],
        "overlap_ms": heard.overlap_ms,
        "timeline": call.timeline.as_json(),
    }
