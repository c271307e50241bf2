"""Asks about a film: python examples/model/film.py VITA-1.5 visit.mp4 "Who came to the door?"."""

# %% What is asked, and the weights
import argparse

from vita_model.assembly import VitaForConditionalGeneration
from vita_model.processor import Message, VitaProcessor

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("checkpoint")
options.add_argument("film")
options.add_argument("question")
given = options.parse_args()

processor = VitaProcessor.from_pretrained(given.checkpoint)
model = VitaForConditionalGeneration.from_pretrained(given.checkpoint)

# %% One frame a second is looked at, at least 4 and at most 16
inputs = processor(Message(text=given.question, video=given.film))
print(inputs["pixel_values"].shape[0], "frames")

# %% The answer
ids = model.generate(**inputs, state=processor.state(), max_new_tokens=64)
marker, text = processor.decode(ids[0])
print(f"{marker}: {text}")
