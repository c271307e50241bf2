"""A LiveKit agent whose model is VITA: python examples/clients/livekit_agent.py q.wav a.wav.

Needs `pip install livekit-agents livekit-plugins-openai` and a running `vita model serve`. Here the
agent hears a WAV file (16-bit, 24 kHz, one channel) and its answer goes into another. In a room
leave out the lines with `session.input` and `session.output`, and write
`await session.start(Receptionist(), room=context.room)`.
"""

# %% What is asked, and where
import argparse
import asyncio
import wave

import aiohttp
from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins import openai

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("question")
options.add_argument("answer", help="WAV file to write.")
options.add_argument("--url", default="http://127.0.0.1:8090/v1")
options.add_argument("--key", default="none", help="Of the model server; any on an open one.")
options.add_argument("--model", default="vita-tiny")
options.add_argument("--instructions", default="You answer for Hart's Bakery. Open 9 am to 5 pm.")
given = options.parse_args()
RATE = 24_000


# %% Who answers, and a function the model may call
class Receptionist(Agent):
    def __init__(self):
        super().__init__(instructions=given.instructions)

    @function_tool
    async def lookup_order(self, order_id: str) -> dict[str, str]:
        """find the status of an order"""
        print(f"lookup_order({order_id})")
        return {"order_id": order_id, "status": "out for delivery"}


# %% What hears and what plays
class Microphone(AudioInput):
    """The question 20 ms at a time, then silence: a microphone is never still."""

    def __init__(self, file):
        super().__init__(label="recording")
        self.file = file

    async def __anext__(self):
        await asyncio.sleep(0.02)
        sound = self.file.readframes(RATE // 50).ljust(RATE // 25, b"\0")
        return rtc.AudioFrame(sound, RATE, 1, RATE // 50)


class Loudspeaker(AudioOutput):
    """Collects the answer, as if it were played at once."""

    def __init__(self):
        super().__init__(
            label="recorder", capabilities=AudioOutputCapabilities(pause=False), sample_rate=RATE
        )
        self.sound = b""
        self.seconds = 0.0

    async def capture_frame(self, frame):
        await super().capture_frame(frame)
        self.sound += bytes(frame.data)
        self.seconds += frame.duration

    def flush(self):
        super().flush()
        if self.seconds:
            self.on_playback_finished(playback_position=self.seconds, interrupted=False)
        self.seconds = 0.0

    def clear_buffer(self):
        self.seconds = 0.0


# %% The conversation
async def main():
    answered = asyncio.Event()
    loudspeaker = Loudspeaker()

    def added(event):
        if event.item.type == "message":
            speaker = {"user": "you", "assistant": "VITA"}.get(event.item.role, event.item.role)
            print(f"{speaker}: {event.item.text_content}")
            if event.item.role == "assistant":
                answered.set()

    async with aiohttp.ClientSession() as http:
        model = openai.realtime.RealtimeModel(
            model=given.model, base_url=given.url, api_key=given.key, http_session=http
        )
        session = AgentSession(llm=model)
        session.on("conversation_item_added", added)
        session.on("error", lambda event: print("error:", event.error))
        session.output.audio = loudspeaker
        with wave.open(given.question) as file:
            session.input.audio = Microphone(file)
            await session.start(Receptionist(), record=False)
            await answered.wait()
            await session.aclose()
    with wave.open(given.answer, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "NONE"))
        file.writeframes(loudspeaker.sound)
    print(f"{len(loudspeaker.sound) / 2 / RATE:.1f} s of speech in {given.answer}")


asyncio.run(main())
