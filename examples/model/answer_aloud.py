"""Hears a question and speaks the answer: python examples/model/answer_aloud.py VITA-1.5 q.wav a.wav.

The first phrase is spoken while the rest of the answer is still being written.
"""

# %% The recording, and the weights
import argparse

import soundfile
import torch

from vita_model.answering import answering
from vita_model.assembly import VitaForConditionalGeneration
from vita_model.processor import Message, VitaProcessor
from vita_model.speech.synthesis import to_int16
from vita_model.tool_calls import without_calls

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("checkpoint")
options.add_argument("recording")
options.add_argument("answer", help="WAV file to write.")
given = options.parse_args()

processor = VitaProcessor.from_pretrained(given.checkpoint)
model = VitaForConditionalGeneration.from_pretrained(given.checkpoint)

# %% Text is written in one thread and spoken in another; leaving the block early stops both
pieces = [torch.zeros(0)]
with answering(
    model,
    processor,
    processor(Message(audio=given.recording)),
    state=processor.state(),
    max_new_tokens=64,
) as live:
    pieces += model.speak(without_calls(live), processor.tokenizer)

# %% What was said
print(live.text)
samples = to_int16(torch.cat(pieces))
soundfile.write(given.answer, samples, 24_000)
print(f"{len(samples) / 24_000:.1f} s of speech in {given.answer}")
