"""Answers a recorded question in writing: python examples/model/listen.py VITA-1.5 question.wav."""

# %% The recording, and the weights
import argparse

from vita_model.assembly import VitaForConditionalGeneration
from vita_model.processor import Message, VitaProcessor

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("checkpoint")
options.add_argument("recording")
given = options.parse_args()

processor = VitaProcessor.from_pretrained(given.checkpoint)
model = VitaForConditionalGeneration.from_pretrained(given.checkpoint)

# %% The model hears the sound itself; nothing is transcribed first
inputs = processor(Message(audio=given.recording))
state = processor.state()
ids = model.generate(**inputs, state=state, max_new_tokens=64)

# %% Was it a question to the agent at all?
(chances,) = state.probabilities
print(", ".join(f"{name} {chance:.0%}" for name, chance in chances.items()))
marker, text = processor.decode(ids[0])
print("Nobody spoke to me." if marker == "noise" else text)
