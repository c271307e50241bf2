"""Puts the pipeline of one call together."""

from __future__ import annotations

from dataclasses import dataclass

from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker, ProcessorUnusablePolicy
from pipecat.processors.aggregators.dtmf_aggregator import DTMFAggregator

from agent.api import MediaLeg
from agent.calls.context import CallContext
from agent.clock import Clock
from agent.pipeline.captions import Captions
from agent.pipeline.leg import LegInput
from agent.pipeline.link import ModelLink, OneServer
from agent.pipeline.model_server import ModelServer, session_settings
from agent.pipeline.observer import CallObserver
from agent.pipeline.output import PacedOutput
from agent.pipeline.parts import CallParts
from agent.pipeline.playback import Playback
from agent.pipeline.realtime import RealtimeDialogue
from agent.pipeline.recorder import Recorder
from agent.pipeline.sight import Sight
from agent.pipeline.timeline import CallTime
from agent.pipeline.vita import VitaRealtimeLLMService
from agent.pipeline.volume import Volume

_CANCEL_S = 2.0


@dataclass(frozen=True, slots=True)
class CallPipeline:
    """The pipeline of one call. Beside it run `ear`, `model`, `mouth` and the `keep` of `link`."""

    parts: CallParts
    ear: LegInput
    link: ModelLink
    model: VitaRealtimeLLMService
    mouth: PacedOutput
    worker: PipelineWorker


def build_pipeline(
    context: CallContext, leg: MediaLeg, clock: Clock, server: ModelServer, silent_s: float
) -> CallPipeline:
    """Caller → keypad → model → paced output, in the leg's format from end to end."""
    line, audio = context.line, leg.audio
    time = CallTime(clock, audio)
    observer = CallObserver(context.journal, time, Captions(leg, context.journal))
    parts = CallParts(
        audio=audio,
        time=time,
        playback=Playback(audio),
        volume=Volume(audio),
        observer=observer,
        sight=Sight(context, leg, time, observer),
        recorder=Recorder(context.recording_path, audio) if context.recording_path else None,
    )
    settings = session_settings(
        line.instructions(),
        context.tools.specs(),
        line.voice,
        audio,
        create_response=not parts.sight.possible,
    )
    ear = LegInput(leg, parts, silent_s)
    keypad = DTMFAggregator(prefix="Keys pressed: ", enable_direct_mode=True)
    link = ModelLink(server, context.model or OneServer(server.url), clock)
    dialogue = RealtimeDialogue(settings, context.earlier)
    model = VitaRealtimeLLMService(link, dialogue, context.tools, parts, context.memory)
    mouth = PacedOutput(leg, parts)
    worker = PipelineWorker(
        Pipeline([ear, keypad, model, mouth]),
        params=PipelineParams(audio_in_sample_rate=audio.rate, audio_out_sample_rate=audio.rate),
        cancel_timeout_secs=_CANCEL_S,
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
        processor_unusable_policy=ProcessorUnusablePolicy.END,
    )
    return CallPipeline(parts, ear, link, model, mouth, worker)
