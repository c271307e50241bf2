"""Says a text in a recorded voice: python examples/model/voice.py VITA-1.5 clip.wav "Hello." a.wav.

The published weights know one voice well; how others come out is not measured.
"""

# %% The clip, the text, and the weights
import argparse

import soundfile
import torch

from vita_model.assembly import VitaForConditionalGeneration
from vita_model.processor import VitaProcessor
from vita_model.speech.speak import voice_of
from vita_model.speech.synthesis import to_int16

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("checkpoint")
options.add_argument("clip", help="A second or more of one speaker.")
options.add_argument("text")
options.add_argument("answer", help="WAV file to write.")
given = options.parse_args()

processor = VitaProcessor.from_pretrained(given.checkpoint)
model = VitaForConditionalGeneration.from_pretrained(given.checkpoint)

# %% A voice is eight codes: keep them, and the clip is not needed again
voice = voice_of(model.whole, given.clip)
print("voice", voice.flatten().tolist())

# %% The text in this voice
pieces = list(model.speak(given.text, processor.tokenizer, voice=voice))
soundfile.write(given.answer, to_int16(torch.cat([torch.zeros(0), *pieces])), 24_000)
