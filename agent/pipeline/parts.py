"""What the processors of one call share, and the frames they pass on."""

from __future__ import annotations

from dataclasses import dataclass

from pipecat.frames.frames import InputAudioRawFrame, SystemFrame, TTSAudioRawFrame

from agent.audio import AudioFormat
from agent.pipeline.observer import CallObserver
from agent.pipeline.playback import Playback
from agent.pipeline.recorder import Recorder
from agent.pipeline.sight import Sight
from agent.pipeline.timeline import CallTime
from agent.pipeline.volume import Volume


@dataclass(frozen=True, slots=True)
class CallParts:
    """State of one call that is not bound to a place in the pipeline."""

    audio: AudioFormat
    time: CallTime
    playback: Playback
    volume: Volume
    observer: CallObserver
    sight: Sight
    recorder: Recorder | None


@dataclass
class CallerAudioFrame(InputAudioRawFrame):
    """Caller audio. `audio` is linear; `payload` in the leg's format, `at_ms` into the call."""

    payload: bytes = b""
    at_ms: int = 0


@dataclass
class ReplyAudioFrame(TTSAudioRawFrame):
    """Agent audio of the item `context_id`. `audio` is linear; `payload` in the leg's format."""

    payload: bytes = b""


def reply_audio(audio: AudioFormat, item_id: str, payload: bytes) -> ReplyAudioFrame:
    """A piece of a reply, as frames carry it."""
    return ReplyAudioFrame(
        audio=audio.decode(payload).tobytes(),
        sample_rate=audio.rate,
        num_channels=1,
        context_id=item_id,
        payload=payload,
    )


@dataclass
class MarkPlayedFrame(SystemFrame):
    """Playback at the caller reached a mark."""

    mark: str
