"""The first words of a call, and of each time the agent takes it up again."""

from __future__ import annotations

from agent.calls.context import CallContext
from agent.pipeline.announcer import Announcer
from agent.pipeline.limits import CallLimits
from agent.pipeline.observer import CallObserver


async def open_call(
    context: CallContext, announcer: Announcer, observer: CallObserver, limits: CallLimits
) -> None:
    """Say what has to be said before anything else, which nobody can interrupt, then greet.

    A caller who comes back because nobody took the call knows all that and is told so instead.
    """
    if context.dialled:
        await announcer.say(limits.nobody_there)
        return
    line = context.line
    if line.disclosure:
        heard = await announcer.announce(line.disclosure, limits.disclosure_s)
        observer.disclosed("assistant", line.disclosure, heard=heard)
    if line.recording and line.recording_announcement:
        heard = await announcer.announce(line.recording_announcement, limits.disclosure_s)
        observer.disclosed("recording", line.recording_announcement, heard=heard)
    await announcer.say(line.greeting)
