"""What was said lately in one session, for clients that ask to hear an item again."""

from __future__ import annotations

import base64
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from vita_model.audio.telephone import WIRE_RATE, WIRE_WIDTH, WireEncoder, WireFormat
from vita_model.engine.voice import Samples

ROOM = 4 * 1024 * 1024
"""Bytes of audio kept per session; the oldest goes first."""
LONGEST = 700_000
"""Characters of base64 in one event: some clients take no message over 1 MiB."""


@dataclass(slots=True)
class _Recording:
    """Audio in a wire format, or 16-bit samples at `rate` that nobody has asked for yet."""

    data: bytearray
    wire: WireFormat
    rate: int


class Recordings:
    """The audio of items, by their ids."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Recording] = OrderedDict()
        self._size = 0

    def add(self, item_id: str, data: bytes, wire: WireFormat) -> None:
        """Keep more of an item's audio."""
        self._keep(item_id, data, wire, WIRE_RATE[wire])

    def add_samples(self, item_id: str, samples: Samples, rate: int) -> None:
        """Keep an item's audio that is not in a wire format."""
        data = (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()
        self._keep(item_id, data, "audio/pcm", rate)

    def cut(self, item_id: str, at_ms: int) -> None:
        """Forget what comes after a moment of an item."""
        found = self._kept.get(item_id)
        if found is not None:
            end = at_ms * found.rate // 1000 * WIRE_WIDTH[found.wire]
            self._size -= max(0, len(found.data) - end)
            del found.data[end:]

    def drop(self, item_id: str) -> None:
        """Forget an item."""
        found = self._kept.pop(item_id, None)
        if found is not None:
            self._size -= len(found.data)

    def base64(self, item_id: str, wire: WireFormat) -> str | None:
        """An item's audio as it goes over the wire; None when it is gone, or too long to send."""
        found = self._kept.get(item_id)
        if found is None or not found.data:
            return None
        data = bytes(found.data)
        if found.rate != WIRE_RATE[found.wire]:
            if len(data) > LONGEST:
                return None
            encoder = WireEncoder(wire, found.rate)
            samples = np.frombuffer(data, dtype="<i2").astype(np.float32) / np.float32(32_768)
            data = encoder.feed(samples) + encoder.drain()
        text = base64.b64encode(data).decode("ascii")
        return text if len(text) <= LONGEST else None

    def _keep(self, item_id: str, data: bytes, wire: WireFormat, rate: int) -> None:
        if item_id not in self._kept:
            self._kept[item_id] = _Recording(bytearray(), wire, rate)
        self._kept[item_id].data.extend(data)
        self._size += len(data)
        while self._size > ROOM and self._kept:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest.data)
