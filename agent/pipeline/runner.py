"""Runs one call from its media leg's first frame to its end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

from pipecat.frames.frames import ErrorFrame
from pipecat.pipeline.worker import PipelineWorker
from pipecat.workers.runner import WorkerRunner

from agent.api import CallControl, CallOutcome, MediaLeg
from agent.calls.context import CallContext
from agent.clock import Clock
from agent.errors import VitaError
from agent.log import get_logger
from agent.pipeline import clips
from agent.pipeline.announcer import Announcer
from agent.pipeline.builder import CallPipeline, build_pipeline
from agent.pipeline.ending import Ending
from agent.pipeline.limits import CallLimits
from agent.pipeline.model_server import ModelServer
from agent.pipeline.opening import open_call
from agent.pipeline.silence import SilenceWatch

log = get_logger(__name__)

_GC_DELAY_S = 1.0


class PipelineRunner:
    """Serves calls. One per process; calls share nothing but the model server.

    Args:
        model_url: WebSocket URL of the Realtime endpoint, for calls that have no choice.
        model_api_key: Bearer token for it; empty for none.
        clock: Time of pacing, marks and journal.
        server: Everything about the model server, instead of URL and key.
        limits: Time limits and fixed phrases.
    """

    def __init__(
        self,
        model_url: str,
        model_api_key: str,
        clock: Clock,
        *,
        server: ModelServer | None = None,
        limits: CallLimits | None = None,
    ) -> None:
        self._server = server or ModelServer(model_url, model_api_key)
        self._clock = clock
        self._limits = limits or CallLimits()
        self._gc: asyncio.TimerHandle | None = None
        clips.preload()
        # What a process is made of stays; leaving it out makes a collection short enough to run
        # beside other calls.
        gc.freeze()

    async def run(self, context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        """Serve the call until either side ends it; the leg is closed then.

        Returns:
            How it ended. `failed` when no model server could be reached or a part broke: the
            carrier has to say sorry.
        """
        try:
            pipeline = build_pipeline(
                context, leg, self._clock, self._server, self._limits.silent_leg_s
            )
            return await _Call(context, leg, control, pipeline, self._limits).run()
        finally:
            self._collect_later()

    def _collect_later(self) -> None:
        """A finished pipeline consists of reference cycles that hold megabytes."""
        if self._gc is None:
            self._gc = asyncio.get_running_loop().call_later(_GC_DELAY_S, self._collect)

    def _collect(self) -> None:
        self._gc = None
        gc.collect()


class _Call:
    def __init__(
        self,
        context: CallContext,
        leg: MediaLeg,
        control: CallControl,
        pipeline: CallPipeline,
        limits: CallLimits,
    ) -> None:
        self._context = context
        self._leg = leg
        self._limits = limits
        self._pipeline = pipeline
        self._observer = pipeline.parts.observer
        self._host = WorkerRunner(handle_sigint=False)
        self._announcer = Announcer(pipeline.model)
        self._ending = Ending(context, control, self._announcer, self._observer, limits)
        self._silence = SilenceWatch(context.line, pipeline, self._announcer, self._ending, limits)

    async def run(self) -> CallOutcome:
        try:
            await self._run_tasks()
        except* Exception as errors:
            for error in _leaves(errors):
                if isinstance(error, VitaError):
                    self._ending.fail(error.code, str(error))
                else:
                    log.exception("call_broke", exc_info=error)
                    self._ending.fail("internal", repr(error))
        finally:
            await self._tidy_up()
        return self._ending.outcome.result()

    async def _run_tasks(self) -> None:
        self._pipeline.worker.event_handler("on_pipeline_error")(self._pipeline_error)
        await self._host.add_workers(self._pipeline.worker)
        async with asyncio.TaskGroup() as group:
            pipeline, *others = [
                group.create_task(work, name=f"{name} of {self._context.call_id}")
                for name, work in self._work().items()
            ]
            await asyncio.wait([self._ending.outcome])
            for task in others:
                task.cancel()
            await self._host.cancel()
            await asyncio.wait([pipeline])

    def _work(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Everything that runs during a call, by name; the pipeline is the first."""
        return {
            "pipeline": self._host_pipeline(),
            "ear": self._listen(),
            "mouth": self._pipeline.mouth.run(),
            "model": self._converse(),
            "place": self._pipeline.link.keep(),
            "opening": open_call(self._context, self._announcer, self._observer, self._limits),
            "intents": self._ending.follow_intents(),
            "duration": self._ending.watch_duration(),
            "silence": self._silence.run(),
        }

    async def _converse(self) -> None:
        """Hold the conversation; what it cannot go on after is told the caller before it counts."""
        try:
            await self._pipeline.model.run()
        except* Exception:
            await self._ending.apologise()
            raise

    async def _host_pipeline(self) -> None:
        await self._host.run()
        self._ending.end("failed")

    async def _pipeline_error(self, _worker: PipelineWorker, frame: ErrorFrame) -> None:
        self._ending.fail("pipeline", frame.error)

    async def _listen(self) -> None:
        await self._pipeline.ear.run()
        self._ending.leg_closed()

    async def _tidy_up(self) -> None:
        parts = self._pipeline.parts
        await self._pipeline.link.leave()
        for reply in parts.playback.cut(parts.time.now()):
            self._observer.reply_over(reply, interrupted=True)
        if parts.recorder is not None:
            recording = await parts.recorder.close()
            if recording is not None:
                self._observer.recording(recording)
        try:
            async with asyncio.timeout(self._limits.close_s):
                await self._leg.close()
        except TimeoutError:
            log.warning("leg_not_closed_in_time")


def _leaves(errors: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in errors.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
