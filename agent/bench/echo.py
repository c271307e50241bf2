"""The barest Pipecat phone bot as a process of its own: `python -m agent.bench.echo`.

Twilio's stock serializer and transport at 8 kHz in 20 ms chunks, and a processor that says back what
it hears. Line one of its output is its address.
"""

from __future__ import annotations

import asyncio
import sys

from fastapi import FastAPI
from loguru import logger
from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)
from pipecat.workers.runner import WorkerRunner
from starlette.websockets import WebSocket
from typing_extensions import override

from agent.bench.script import BYTES_PER_S
from connectors.server import AppServer


class Echo(FrameProcessor):
    """Says back what it hears."""

    @override
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            frame = OutputAudioRawFrame(
                audio=frame.audio, sample_rate=frame.sample_rate, num_channels=1
            )
        await self.push_frame(frame, direction)


async def talk(websocket: WebSocket) -> None:
    """Serve one call."""
    await websocket.accept()
    _, call = await parse_telephony_websocket(websocket)
    serializer = TwilioFrameSerializer(
        call.stream_id, params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
    )
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=2,
            serializer=serializer,
        ),
    )
    worker = PipelineWorker(
        Pipeline([transport.input(), Echo(), transport.output()]),
        params=PipelineParams(audio_in_sample_rate=BYTES_PER_S, audio_out_sample_rate=BYTES_PER_S),
        enable_rtvi=False,
        idle_timeout_secs=None,
    )

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def gone(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def main() -> None:
    """Serve until standard input is closed."""
    logger.remove()
    app = FastAPI()
    app.add_api_websocket_route("/media", talk)
    async with AppServer(app) as server:
        sys.stdout.write(f"{server.url.replace('http', 'ws')}/media\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
