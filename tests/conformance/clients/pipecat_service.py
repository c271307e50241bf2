"""Pipecat's stock OpenAIRealtimeLLMService against the server, in a whole pipeline."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from PIL import Image
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InputImageRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

from tests.conformance.clients.task import (
    ORDER_QUESTION,
    ORDER_RESULT,
    ORDER_SCHEMA,
    RATE,
    Task,
    check,
    run_all,
)

TASK = Task.laid_out()
STEP_MS = 20
STEP = RATE * 2 * STEP_MS // 1000
URL = f"{TASK.url.replace('http', 'ws')}/realtime"


class Watcher(BaseObserver):
    """Keeps what the service gives out, every frame once."""

    def __init__(self, service: OpenAIRealtimeLLMService) -> None:
        super().__init__()
        self._service = service
        self._seen: set[int] = set()
        self._changed = asyncio.Event()
        self.frames: list[Frame] = []

    async def on_push_frame(self, data: FramePushed) -> None:
        ours = data.source is self._service or isinstance(data.frame, InterruptionFrame)
        unwanted = isinstance(data.frame, InputAudioRawFrame | InputImageRawFrame)
        if ours and not unwanted and data.frame.id not in self._seen:
            self._seen.add(data.frame.id)
            self.frames.append(data.frame)
            self._changed.set()

    async def wait(self, fits: Callable[[Frame], bool], after: int = 0) -> int:
        """Wait for a frame that fits; gives the place behind it."""
        while True:
            self._changed.clear()
            for at in range(after, len(self.frames)):
                if fits(self.frames[at]):
                    return at + 1
            await self._changed.wait()


class Service(OpenAIRealtimeLLMService):
    """The stock service; what it sends to cut an answer is kept."""

    cuts: list[events.ConversationItemTruncateEvent]

    async def send_client_event(self, event: events.ClientEvent) -> None:
        if isinstance(event, events.ConversationItemTruncateEvent):
            self.cuts.append(event)
        await super().send_client_event(event)


class Caller:
    """A pipeline with a microphone that is never still."""

    def __init__(self, messages: Sequence[Any]) -> None:
        detection = events.TurnDetection(type="server_vad")
        transcription = events.InputAudioTranscription(model="gpt-4o-transcribe")
        order = FunctionSchema(
            name="lookup_order",
            description="find the status of an order",
            properties=ORDER_SCHEMA["properties"],
            required=ORDER_SCHEMA["required"],
        )
        self.asked: list[Any] = []
        self.unsaid = b""
        self.service = Service(
            api_key=TASK.key,
            base_url=URL,
            settings=OpenAIRealtimeLLMService.Settings(
                model="vita-tiny",
                system_instruction=TASK.instructions,
                session_properties=events.SessionProperties(
                    audio=events.AudioConfiguration(
                        input=events.AudioInput(
                            turn_detection=detection, transcription=transcription
                        )
                    )
                ),
            ),
        )
        self.service.cuts = []
        self.service.register_function("lookup_order", self._lookup)
        self.created: asyncio.Queue[Any] = asyncio.Queue()
        self.service.event_handler("on_conversation_item_created")(self._item)
        context = LLMContext(list(messages), tools=ToolsSchema(standard_tools=[order]))
        pair = LLMContextAggregatorPair(context)
        self.context = context
        self.watcher = Watcher(self.service)
        self.worker = PipelineWorker(
            Pipeline([pair.user(), self.service, pair.assistant()]),
            params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
            observers=[self.watcher],
            enable_rtvi=False,
            idle_timeout_secs=None,
        )

    async def _item(self, _service: object, item_id: str, item: Any) -> None:
        if item.role == "assistant":
            self.created.put_nowait(item_id)

    async def _lookup(self, params: FunctionCallParams) -> None:
        self.asked.append(dict(params.arguments))
        await params.result_callback(json.dumps(ORDER_RESULT))

    async def listen(self) -> None:
        while True:
            piece, self.unsaid = self.unsaid[:STEP], self.unsaid[STEP:]
            data = piece + bytes(STEP - len(piece))
            await self.worker.queue_frame(InputAudioRawFrame(data, RATE, 1))
            await asyncio.sleep(STEP_MS / 1000)

    async def said(self, fits: str, after: int = 0) -> str:
        """Wait until an answer that holds something is over; gives all that was said until then."""
        at = after
        while True:
            at = await self.watcher.wait(lambda f: isinstance(f, LLMFullResponseEndFrame), at)
            frames = self.watcher.frames[after:at]
            words = "".join(frame.text for frame in frames if isinstance(frame, TTSTextFrame))
            if fits in words:
                return words

    async def heard(self) -> str:
        at = await self.watcher.wait(lambda f: isinstance(f, TranscriptionFrame))
        return str(self.watcher.frames[at - 1].text)  # type: ignore[attr-defined]

    def faults(self) -> list[str]:
        return [f.error for f in self.watcher.frames if isinstance(f, ErrorFrame)]


@asynccontextmanager
async def connected(*messages: Any, faultless: bool = True) -> AsyncIterator[Caller]:
    """A pipeline whose model has been told to begin, as an application does."""
    caller = Caller(messages)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(caller.worker)
    async with asyncio.TaskGroup() as group:
        group.create_task(runner.run())
        microphone = group.create_task(caller.listen())
        await caller.worker.queue_frame(LLMRunFrame())
        try:
            await caller.said("")
            yield caller
        finally:
            microphone.cancel()
            await runner.cancel()
    check(not (faultless and caller.faults()), f"errors: {caller.faults()}")


async def voice_turn() -> str:
    async with connected() as caller:
        start = len(caller.watcher.frames)
        caller.unsaid = TASK.open_monday
        said = await caller.said("9 am", start)
        heard = await caller.heard()
        sound = [f for f in caller.watcher.frames[start:] if isinstance(f, TTSAudioRawFrame)]
    seconds = sum(len(frame.audio) for frame in sound) / 2 / RATE
    check("monday" in heard.lower(), f"heard {heard!r}")
    check(seconds > 0.5, "less than half a second of sound")
    return f"heard {heard!r}, said {said!r}, {seconds:.1f} s"


async def tool_round_trip() -> str:
    async with connected({"role": "user", "content": ORDER_QUESTION}) as caller:
        said = await caller.said("deliver")
    check(caller.asked == [{"order_id": "48213"}], str(caller.asked))
    return f"lookup_order({caller.asked[0]}), said {said!r}"


async def interruption() -> str:
    async with connected() as caller:
        while not caller.created.empty():
            caller.created.get_nowait()
        start = len(caller.watcher.frames)
        caller.unsaid = TASK.open_monday
        at = await caller.watcher.wait(lambda f: isinstance(f, TTSAudioRawFrame), start)
        item_id = await caller.created.get()
        caller.unsaid = TASK.open_monday
        at = await caller.watcher.wait(lambda f: isinstance(f, InterruptionFrame), at)
        frames = caller.watcher.frames[start:at]
        said = await caller.said("9 am", at)
        item = await caller.service.retrieve_conversation_item(item_id)
    cuts = [cut for cut in caller.service.cuts if cut.item_id == item_id]  # the greeting is cut too
    check(len(cuts) == 1, f"it was cut {len(cuts)} times")
    content = item.content[0]
    kept_ms = len(base64.b64decode(content.audio or "")) * 1000 // (2 * RATE)
    check(0 < kept_ms == cuts[0].audio_end_ms, f"{kept_ms} ms of {cuts[0].audio_end_ms}")
    kept = content.transcript or ""
    begun = "".join(frame.text for frame in frames if isinstance(frame, TTSTextFrame))
    check(begun.startswith(kept), f"{kept!r} is no beginning of {begun!r}")
    check(len(kept) < len(said), f"{kept!r} was kept of {said!r}")
    return f"{kept_ms} ms and {kept!r} were kept, then said {said!r}"


async def image_input() -> str:
    async with connected() as caller:
        start = len(caller.watcher.frames)
        with Image.open(TASK.folder / "circle.jpg") as picture:
            pixels = picture.convert("RGB")
        await caller.worker.queue_frame(
            InputImageRawFrame(image=pixels.tobytes(), size=pixels.size, format="RGB")
        )
        caller.unsaid = TASK.what_colour
        said = await caller.said("red", start)
    return f"said {said!r}"


async def reconnect() -> str:
    async with connected(faultless=False) as caller:
        start = len(caller.watcher.frames)
        await asyncio.to_thread(TASK.cut)
        await caller.watcher.wait(lambda f: isinstance(f, ErrorFrame), start)
        await caller.service.reset_conversation()
        caller.unsaid = TASK.open_monday
        said = await caller.said("9 am", start)
    return f"connected again, then said {said!r}"


if __name__ == "__main__":
    asyncio.run(
        run_all(
            {
                "voice turn": voice_turn,
                "tool round trip": tool_round_trip,
                "interruption with truncation": interruption,
                "image input": image_input,
                "reconnect": reconnect,
            }
        )
    )
