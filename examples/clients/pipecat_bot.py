"""A Pipecat bot whose model is VITA: python examples/clients/pipecat_bot.py q.wav a.wav.

Needs `pip install 'pipecat-ai[openai]'` and a running `vita model serve`. Here the bot hears a WAV
file (16-bit, 24 kHz, one channel) and its answer goes into another; in a product a transport's
`input()` and `output()` stand in the place of `Microphone` and `Loudspeaker`.
"""

# %% What is asked, and where
import argparse
import asyncio
import wave

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EndWorkerFrame,
    ErrorFrame,
    InputAudioRawFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("question")
options.add_argument("answer", help="WAV file to write.")
options.add_argument("--url", default="http://127.0.0.1:8090/v1")
options.add_argument("--key", default="none", help="Of the model server; any on an open one.")
options.add_argument("--model", default="vita-tiny")
options.add_argument("--instructions", default="You answer for Hart's Bakery. Open 9 am to 5 pm.")
given = options.parse_args()
RATE = 24_000


# %% A function the model may call
ORDER = FunctionSchema(
    name="lookup_order",
    description="find the status of an order",
    properties={"order_id": {"type": "string"}},
    required=["order_id"],
)


async def lookup_order(params):
    result = {**params.arguments, "status": "out for delivery"}
    print(f"lookup_order({dict(params.arguments)}) -> {result}")
    await params.result_callback(result)


# %% What hears and what plays
class Microphone(FrameProcessor):
    """Sends the question 20 ms at a time, then silence: a microphone is never still."""

    def __init__(self):
        super().__init__()
        self.greeted = asyncio.Event()

    async def speak(self):
        await self.greeted.wait()
        with wave.open(given.question) as file:
            while True:
                sound = file.readframes(RATE // 50).ljust(RATE // 25, b"\0")
                await self.push_frame(InputAudioRawFrame(sound, RATE, 1))
                await asyncio.sleep(0.02)

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class Ear(FrameProcessor):
    """Prints what was understood. The service tells it upwards, to whatever collects the turns."""

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        match frame:
            case TranscriptionFrame():
                print("you:", frame.text)
            case ErrorFrame():
                print("error:", frame.error)
        await self.push_frame(frame, direction)


class Loudspeaker(FrameProcessor):
    """Collects what the bot says; after its answer the call is over."""

    def __init__(self, microphone):
        super().__init__()
        self.microphone = microphone
        self.words = ""
        self.sound = b""

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        match frame:
            case TTSAudioRawFrame():
                self.sound += frame.audio
            case TTSTextFrame():
                self.words += frame.text
            case LLMFullResponseEndFrame() if self.words:
                print("VITA:", self.words.strip())
                self.words = ""
                if self.microphone.greeted.is_set():
                    await self.push_frame(EndWorkerFrame(), FrameDirection.UPSTREAM)
                self.microphone.greeted.set()


# %% The pipeline
async def main():
    session = events.SessionProperties(
        audio=events.AudioConfiguration(
            input=events.AudioInput(
                turn_detection=events.TurnDetection(type="server_vad"),
                transcription=events.InputAudioTranscription(model="any"),
            )
        )
    )
    service = OpenAIRealtimeLLMService(
        api_key=given.key,
        base_url=given.url.replace("http", "ws", 1) + "/realtime",
        settings=OpenAIRealtimeLLMService.Settings(
            model=given.model,
            system_instruction=given.instructions,
            session_properties=session,
        ),
    )
    service.register_function("lookup_order", lookup_order)
    pair = LLMContextAggregatorPair(
        LLMContext(
            [{"role": "user", "content": "Hello."}], tools=ToolsSchema(standard_tools=[ORDER])
        )
    )
    microphone = Microphone()
    loudspeaker = Loudspeaker(microphone)
    worker = PipelineWorker(
        Pipeline([microphone, pair.user(), Ear(), service, loudspeaker, pair.assistant()]),
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(microphone.speak())
        await worker.queue_frame(LLMRunFrame())  # the bot speaks first
        await runner.run()
        hearing.cancel()
    with wave.open(given.answer, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "NONE"))
        file.writeframes(loudspeaker.sound)
    print(f"{len(loudspeaker.sound) / 2 / RATE:.1f} s of speech in {given.answer}")


asyncio.run(main())
