"""A caller of `vita bench server`: one session on a real socket, timed."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from vita_model.bench.turns import INSTRUCTIONS

WIRE_RATE = 24_000
BYTES_PER_S = WIRE_RATE * 2
FRAME_S = 0.02
LIMIT_S = 60.0
"""A turn that takes longer ends the measurement."""
BY_HAND = {"type": "server_vad", "silence_duration_ms": 5_000, "create_response": False}
"""The server follows the caller's speech, and the client ends the turn."""
BY_SERVER = {"type": "server_vad", "silence_duration_ms": 500, "create_response": True}
"""The server ends it after half a second of silence, as by default."""

_TOO_LATE = "response_cancel_not_active"
"""Code of the error when an answer was over before it could be cancelled."""

Spent = Callable[[], float]
"""CPU seconds the server's process has used."""


class BenchError(RuntimeError):
    """The measurement cannot go on."""


@dataclass(slots=True)
class Spoken:
    """One answer as it came in. Times are seconds since the turn ended.

    Attributes:
        arrivals: When each piece of sound came, and how many seconds of sound it held.
        cpu: CPU seconds of the server until the first piece.
        closed: When the response was over.
        wait: How long before the turn's end the caller had said the last word.
    """

    arrivals: list[tuple[float, float]] = field(default_factory=list)
    cpu: float = 0.0
    closed: float = 0.0
    wait: float = 0.0

    @property
    def first(self) -> float:
        """When the first sound came."""
        return self.arrivals[0][0]

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return sum(length for _, length in self.arrivals)

    @property
    def gaps(self) -> float:
        """Seconds of silence a listener hears inside the answer, who plays every piece as it comes."""
        return playing(self.arrivals)[0]

    @property
    def played(self) -> float:
        """When such a listener has heard all."""
        return playing(self.arrivals)[1]


def playing(arrivals: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Seconds for which there was nothing to play, and when all has been played.

    Args:
        arrivals: When pieces came and how long they are.
    """
    silence, until = 0.0, None
    for at, length in arrivals:
        if until is not None and at > until:
            silence += at - until
            until = at
        until = (at if until is None else until) + length
    return silence, until or 0.0


class Talker:
    """A session that asks recorded questions, PCM of 16 bits at 24 kHz.

    Args:
        socket: Connected.
        spent: What the server has used.
        pace: How many times as fast as a person it speaks; only trials want more than 1.
    """

    def __init__(self, socket: ClientConnection, spent: Spent, pace: float = 1.0) -> None:
        self._socket = socket
        self._spent = spent
        self._pace = pace

    async def turns_end(self, detection: dict[str, Any]) -> None:
        """Say how turns end: `BY_HAND` or `BY_SERVER`."""
        session = {
            "type": "realtime",
            "instructions": INSTRUCTIONS,
            "audio": {"input": {"turn_detection": detection}},
        }
        await self._send("session.update", session=session)
        await self._until("session.updated")

    async def ask(self, sound: bytes, *, live: bool = True) -> Spoken:
        """Ask, end the turn with the last word, and hear the whole answer.

        Args:
            sound: The question.
            live: Say it as fast as a person does; otherwise all of it is sent at once.

        Raises:
            TimeoutError: No whole answer within `LIMIT_S`.
        """
        async with asyncio.timeout(LIMIT_S + len(sound) / BYTES_PER_S):
            await (self._say if live else self._append)(sound)
            begin, cpu = time.perf_counter(), self._spent()
            await self._commit()
            return await self._hear(begin, cpu)

    async def ask_openly(self, sound: bytes) -> Spoken:
        """Ask, fall silent, let the server find the end of the turn, and hear the whole answer.

        Raises:
            TimeoutError: No whole answer within `LIMIT_S`.
        """
        said = time.perf_counter() + len(sound) / BYTES_PER_S / self._pace
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
            saying = group.create_task(self._say_and_wait(sound), name="say")
            await self._until("input_audio_buffer.speech_stopped")
            begin, cpu = time.perf_counter(), self._spent()
            spoken = await self._hear(begin, cpu)
            saying.cancel()
        spoken.wait = begin - said
        return spoken

    async def cancel(self, sound: bytes) -> float | None:
        """Seconds from cancelling an answer under way until its last sound; 0 when none came.

        None when the answer was over by then.
        """
        async with asyncio.timeout(LIMIT_S):
            await self._append(sound)
            await self._commit()
            await self._until("response.output_audio.delta")
            await self._send("response.cancel")
            return await self._last_sound(time.perf_counter())

    async def talk_over(self, sound: bytes) -> float | None:
        """Seconds from the server's word that the caller speaks until the last sound of its answer.

        None when the answer was over by then.
        """
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
            await self._append(sound)
            await self._commit()
            await self._until("response.output_audio.delta")
            saying = group.create_task(self._say_and_wait(sound), name="say")
            event = await self._until("input_audio_buffer.speech_started", "response.done")
            begun = event["type"] != "response.done"
            last = await self._last_sound(time.perf_counter()) if begun else None
            saying.cancel()
        await self._send("input_audio_buffer.clear")
        await self._until("input_audio_buffer.cleared")
        return last

    async def _last_sound(self, begin: float) -> float | None:
        last = begin
        while (event := await self._next())["type"] != "response.done":
            if event["type"] == "response.output_audio.delta":
                last = time.perf_counter()
        return last - begin if event["response"]["status"] == "cancelled" else None

    async def _say(self, sound: bytes) -> None:
        frame = int(BYTES_PER_S * FRAME_S)
        begin = time.perf_counter()
        for at in range(0, len(sound), frame):
            await self._append(sound[at : at + frame])
            said = begin + (at + frame) / BYTES_PER_S / self._pace
            await asyncio.sleep(max(0.0, said - time.perf_counter()))

    async def _say_and_wait(self, sound: bytes) -> None:
        await self._say(sound)
        while True:
            await self._say(bytes(BYTES_PER_S))

    async def _append(self, sound: bytes) -> None:
        for at in range(0, len(sound), BYTES_PER_S):
            piece = base64.b64encode(sound[at : at + BYTES_PER_S]).decode()
            await self._send("input_audio_buffer.append", audio=piece)

    async def _commit(self) -> None:
        await self._send("input_audio_buffer.commit")
        await self._send("response.create")

    async def _hear(self, begin: float, cpu: float) -> Spoken:
        spoken = Spoken()
        while (event := await self._next())["type"] != "response.done":
            if event["type"] == "response.output_audio.delta":
                if not spoken.arrivals:
                    spoken.cpu = self._spent() - cpu
                length = len(base64.b64decode(event["delta"])) / BYTES_PER_S
                spoken.arrivals.append((time.perf_counter() - begin, length))
        spoken.closed = time.perf_counter() - begin
        return spoken

    async def _until(self, *kinds: str) -> dict[str, Any]:
        while (event := await self._next())["type"] not in kinds:
            pass
        return event

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def _next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self._socket.recv())
        if event["type"] == "error" and event["error"]["code"] != _TOO_LATE:
            raise BenchError(f"The server refused something: {event['error']['message']}")
        return event


@asynccontextmanager
async def talker(address: str, spent: Spent, pace: float = 1.0) -> AsyncIterator[Talker]:
    """Open a session at a Realtime address; its turns end by hand."""
    async with connect(address, max_size=None, open_timeout=LIMIT_S) as socket:
        found = Talker(socket, spent, pace)
        await found.turns_end(BY_HAND)
        yield found
