"""The first words of a call, and of each time the agent takes it up again."""

from __future__ import annotations

from agent.calls.context import CallContext
from agent.calls.memory import unanswered, unfinished_calls
from agent.pipeline.announcer import Announcer
from agent.pipeline.limits import CallLimits
from agent.pipeline.observer import CallObserver


async def open_call(
    context: CallContext, announcer: Announcer, observer: CallObserver, limits: CallLimits
) -> None:
    """Say what has to be said before anything else, which nobody can interrupt, then greet.

    A caller who comes back because nobody took the call knows all that and is told so instead. One
    who was cut off from another worker hears an apology, and then the answer that worker owed.
    """
    if context.dialled:
        await announcer.say(limits.nobody_there)
        return
    if context.resumed:
        await _come_back(context, announcer, limits)
        return
    line = context.line
    if line.disclosure:
        heard = await announcer.announce(line.disclosure, limits.disclosure_s)
        observer.disclosed("assistant", line.disclosure, heard=heard)
    if line.recording and line.recording_announcement:
        heard = await announcer.announce(line.recording_announcement, limits.disclosure_s)
        observer.disclosed("recording", line.recording_announcement, heard=heard)
    outbound = line.outbound if context.direction == "outbound" else None
    await announcer.say(outbound.greeting if outbound else line.greeting)


async def _come_back(context: CallContext, announcer: Announcer, limits: CallLimits) -> None:
    tools_run = bool(unfinished_calls(context.earlier))  # their answers are spoken about unasked
    if not tools_run and not unanswered(context.earlier):
        await announcer.say(f"{limits.back} {limits.where_were_we}")
        return
    await announcer.say(limits.back)
    if not tools_run:
        await announcer.answer()
