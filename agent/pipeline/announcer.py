"""Fixed words the caller has to hear to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractContextManager

from agent.log import get_logger
from agent.pipeline.clips import Clip
from agent.pipeline.vita import VitaRealtimeLLMService

log = get_logger(__name__)


class Announcer:
    """Has words said and waits until they were heard."""

    def __init__(self, model: VitaRealtimeLLMService) -> None:
        self._model = model

    async def say(self, text: str) -> None:
        """Have `text` said; the caller may interrupt."""
        await self._model.say(text)

    async def answer(self) -> None:
        """Have the model answer what the caller said last."""
        await self._model.answer()

    async def announce(self, text: str, limit_s: float) -> bool:
        """Have `text` said and heard to its end; nobody can interrupt. False: not in time."""
        with self._model.undisturbed():
            await self._model.say(text)
            return await self._heard(limit_s)

    async def announce_surely(self, text: str, clip: Clip, limit_s: float, mute_s: float) -> None:
        """Have `text` said and heard; by `clip` when the model does not begin within `mute_s`."""
        with self._model.undisturbed():
            await self.cut_short()
            await self._model.say(text)
            if await _in_time(self._model.until(lambda: self._model.audible), mute_s):
                await self._heard(limit_s)
            else:
                await self.play_alone(clip, limit_s)

    async def play_alone(self, clip: Clip, limit_s: float) -> None:
        """Cut short what is being said, and have a clip heard instead."""
        with self._model.undisturbed():
            await self.cut_short()
            await self._model.play(clip)
            await _in_time(self._model.until(lambda: not self._model.audible), limit_s)

    def undisturbed(self) -> AbstractContextManager[None]:
        """A stretch in which the caller is not passed on and cannot interrupt."""
        return self._model.undisturbed()

    async def let_finish(self, limit_s: float) -> bool:
        """Wait until what is being said was heard. False: not in time."""
        return await self._heard(limit_s)

    async def cut_short(self) -> None:
        """Stop what is being said, and forget what was still to be said."""
        await self._model.stop_talking()

    async def _heard(self, limit_s: float) -> bool:
        if await _in_time(self._model.settled(), limit_s):
            return True
        log.warning("not_heard_in_time", seconds=limit_s)
        return False


async def _in_time(wait: Awaitable[None], limit_s: float) -> bool:
    try:
        async with asyncio.timeout(limit_s):
            await wait
    except TimeoutError:
        return False
    return True
