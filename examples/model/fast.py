"""Loads the weights in several forms: python examples/model/fast.py VITA-1.5 "When do you open?".

`fast` arranges what hears, sees and speaks for an x86 CPU; `bits` keeps the language model in fewer
bits, for a GPU that cannot hold it whole (pip install 'vita-agent[quantized]').
"""

# %% What is asked
import argparse

import torch

from vita_model.assembly import VitaForConditionalGeneration
from vita_model.packed import can_pack
from vita_model.processor import VitaProcessor

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("checkpoint")
options.add_argument("question")
options.add_argument("--bits", choices=["int8", "int4"])
given = options.parse_args()
processor = VitaProcessor.from_pretrained(given.checkpoint)

# %% As stored, in half the memory, and with weights arranged for this CPU
forms = {"as stored": {}, "bfloat16": {"dtype": torch.bfloat16}}
if can_pack():
    forms["fast bfloat16"] = {"fast": "bfloat16"}
if given.bits:
    forms[given.bits] = {
        "bits": given.bits,
        "device_map": "cuda" if torch.cuda.is_available() else "cpu",
    }

# %% The same question to each of them
for name, form in forms.items():
    model = VitaForConditionalGeneration.from_pretrained(given.checkpoint, **form)
    inputs = processor(given.question).to(model.device)
    ids = model.generate(**inputs, state=processor.state(), max_new_tokens=32)
    print(f"{name}: {processor.decode(ids[0])[1]}")
