"""Asks about a picture: python examples/model/picture.py VITA-1.5 sign.jpg "What does it say?"."""

# %% What is asked, and the weights
import argparse

from vita_model.assembly import VitaForConditionalGeneration
from vita_model.processor import Message, VitaProcessor

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("checkpoint")
options.add_argument("picture")
options.add_argument("question")
given = options.parse_args()

processor = VitaProcessor.from_pretrained(given.checkpoint)
model = VitaForConditionalGeneration.from_pretrained(given.checkpoint)

# %% The answer; its first token says whether it answers typing, speech or noise
inputs = processor(Message(text=given.question, images=[given.picture]))
ids = model.generate(**inputs, state=processor.state(), max_new_tokens=64)
marker, text = processor.decode(ids[0])
print(f"{marker}: {text}")
