"""One turn of a call with a model: what it did, and its voice as the caller hears it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from vita_model.audio import telephone
from vita_model.engine.voice import Audio, Entry, Request, Samples, ToolSpec, VoiceModel
from vita_model.evaluation.agent_tasks import Reply

PHONE_RATE = 8_000


@dataclass(frozen=True, slots=True)
class Spoken:
    """A reply and its sound at the model's rate; no samples if nothing was said."""

    reply: Reply
    samples: Samples
    rate: int

    def on_phone(self) -> Samples:
        """The sound after an 8 kHz µ-law line."""
        return phone(self.samples, self.rate)


def phone(samples: Samples, rate: int) -> Samples:
    """Samples at any rate, as a phone of 8 kHz µ-law plays them."""
    narrow = soxr.resample(samples, rate, PHONE_RATE).astype(np.float32)
    clipped = np.clip(narrow, -1, 1).astype(np.float32)
    return telephone.decode(telephone.encode(clipped, "audio/pcmu"), "audio/pcmu")


async def ask(
    model: VoiceModel,
    key: str,
    instructions: str,
    tools: Sequence[ToolSpec],
    entries: Sequence[Entry],
    *,
    speak: bool = True,
    most_tokens: int = 120,
) -> Spoken:
    """One reply in a conversation of its own."""
    request = Request(key, instructions, tools, entries, speak=speak, max_tokens=most_tokens)
    reply, pieces = Reply(), [np.zeros(0, np.float32)]
    async for event in model.reply(request):
        reply.take(event)
        if isinstance(event, Audio):
            pieces.append(event.samples)
    await model.forget(key)
    return Spoken(reply, np.concatenate(pieces), model.output_rate)
