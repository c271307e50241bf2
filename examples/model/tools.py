"""Lets the model call a function: python examples/model/tools.py VITA-1.5 "Are you open on Sunday?"."""

# %% A function, as the model is told of it
import argparse

from vita_model.assembly import VitaForConditionalGeneration
from vita_model.processor import Message, VitaProcessor
from vita_model.tool_calls import split_calls

HOURS = {"saturday": "9 to 12", "sunday": "closed"}
TOOLS = [
    {
        "name": "opening_hours",
        "description": "When the shop is open on a day.",
        "parameters": {
            "type": "object",
            "properties": {"day": {"type": "string"}},
            "required": ["day"],
        },
    }
]

# %% What is asked, and the weights
options = argparse.ArgumentParser(description=__doc__)
options.add_argument("checkpoint")
options.add_argument("question")
given = options.parse_args()

processor = VitaProcessor.from_pretrained(given.checkpoint)
model = VitaForConditionalGeneration.from_pretrained(given.checkpoint)

# %% Answer, call, tell the result, answer again: at most two rounds of calls
talk = [Message(text=given.question)]
for _ in range(3):
    inputs = processor(talk, persona="You answer for Hart's Bakery.", tools=TOOLS)
    ids = model.generate(**inputs, state=processor.state(), max_new_tokens=64)
    marker, text = processor.decode(ids[0])
    said, calls = split_calls(text)
    talk.append(Message("assistant", text, marker=marker))
    print("VITA:", said)
    if not calls:
        break
    for call in calls:
        result = HOURS.get(str(call.arguments.get("day", "")).lower(), "9 to 6")
        print(f"{call.name}({call.arguments}) -> {result}")
        talk.append(Message("tool", result))
