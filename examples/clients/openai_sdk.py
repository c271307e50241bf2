"""Asks a recorded question with a tool at hand: python examples/clients/openai_sdk.py q.wav a.wav.

Needs `pip install 'openai[realtime]'` and a running `vita model serve`. The question is a WAV file
of 16-bit samples at 24 kHz with one channel: ffmpeg -i question.mp3 -ar 24000 -ac 1 q.wav
"""

# %% What is asked, and where
import argparse
import asyncio
import base64
import json
import wave

from openai import AsyncOpenAI

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("question")
options.add_argument("answer", help="WAV file to write.")
options.add_argument("--url", default="http://127.0.0.1:8090/v1")
options.add_argument("--key", default="none", help="Of the model server; any on an open one.")
options.add_argument("--model", default="vita-tiny")
options.add_argument("--instructions", default="You answer for Hart's Bakery. Open 9 am to 5 pm.")
given = options.parse_args()

RATE = 24_000
SETTINGS = {
    "type": "realtime",
    "instructions": given.instructions,
    "audio": {"input": {"transcription": {"model": "any"}}},
    "tools": [
        {
            "type": "function",
            "name": "lookup_order",
            "description": "find the status of an order",
            "parameters": {
                "type": "object",
                "properties": {"order_id": {"type": "string"}},
                "required": ["order_id"],
            },
        }
    ],
}


# %% The microphone: 100 ms at a time. The silence behind the question ends the turn
async def say(session, sound):
    for at in range(0, len(sound), RATE // 5):
        piece = base64.b64encode(sound[at : at + RATE // 5]).decode()
        await session.input_audio_buffer.append(audio=piece)


# %% A function the model may call
def lookup_order(order_id):
    return {"order_id": order_id, "status": "out for delivery"}


async def tell(session, call):
    result = lookup_order(**json.loads(call.arguments))
    print(f"{call.name}({call.arguments}) -> {result}")
    output = {"call_id": call.call_id, "output": json.dumps(result)}
    await session.conversation.item.create(item={"type": "function_call_output", **output})
    await session.response.create()


# %% The conversation: one question, and its answer until nothing is called any more
async def main():
    with wave.open(given.question) as file:
        if (file.getframerate(), file.getsampwidth(), file.getnchannels()) != (RATE, 2, 1):
            options.error(f"{given.question} is not 16-bit mono at {RATE} Hz; see above.")
        sound = file.readframes(file.getnframes())
    heard = bytearray()
    client = AsyncOpenAI(base_url=given.url, api_key=given.key)
    async with client.realtime.connect(model=given.model) as session:
        await session.session.update(session=SETTINGS)
        await say(session, sound + bytes(2 * RATE))
        async for event in session:
            match event.type:
                case "conversation.item.input_audio_transcription.completed":
                    print("you:", event.transcript)
                case "response.output_audio.delta":
                    heard += base64.b64decode(event.delta)  # play it here
                case "response.output_audio_transcript.done":
                    print("VITA:", event.transcript)
                case "response.done":
                    calls = [i for i in event.response.output if i.type == "function_call"]
                    for call in calls:
                        await tell(session, call)
                    if not calls:
                        break
                case "error":
                    print("error:", event.error.message)
    with wave.open(given.answer, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "NONE"))
        file.writeframes(heard)
    print(f"{len(heard) / 2 / RATE:.1f} s of speech in {given.answer}")


asyncio.run(main())
