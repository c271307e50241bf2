"""Writes down what was said: python examples/model/transcript.py VITA-1.5 question.wav."""

# %% The recording, and the weights
import argparse

from vita_model.assembly import VitaForConditionalGeneration
from vita_model.processor import VitaProcessor

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("checkpoint")
options.add_argument("recording")
given = options.parse_args()

processor = VitaProcessor.from_pretrained(given.checkpoint)
model = VitaForConditionalGeneration.from_pretrained(given.checkpoint)

# %% By the head on the audio encoder where there is one, or by asking the model to repeat
found = model.transcribe(given.recording, processor)
print(f"{found.way}: {found.text}")
