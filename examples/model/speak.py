"""Says a text: python examples/model/speak.py VITA-1.5 "We open at 9:30." answer.wav."""

# %% The text, and the weights
import argparse

import soundfile
import torch

from vita_model.assembly import VitaForConditionalGeneration
from vita_model.processor import VitaProcessor
from vita_model.speech.synthesis import to_int16

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("checkpoint")
options.add_argument("text")
options.add_argument("answer", help="WAV file to write.")
given = options.parse_args()

processor = VitaProcessor.from_pretrained(given.checkpoint)
model = VitaForConditionalGeneration.from_pretrained(given.checkpoint)

# %% Pieces come while the rest is still being made: play each at once
pieces = [torch.zeros(0)]
for piece in model.speak(given.text, processor.tokenizer):
    print(f"{piece.shape[0] / 24_000:.2f} s")
    pieces.append(piece)
soundfile.write(given.answer, to_int16(torch.cat(pieces)), 24_000)
