"""The first words of a call: disclosure, recording announcement, greeting."""

from __future__ import annotations

from agent.calls.line import Line
from agent.pipeline.announcer import Announcer
from agent.pipeline.limits import CallLimits
from agent.pipeline.observer import CallObserver


async def open_call(
    line: Line, announcer: Announcer, observer: CallObserver, limits: CallLimits
) -> None:
    """Say what has to be said before anything else, which nobody can interrupt, then greet."""
    if line.disclosure:
        heard = await announcer.announce(line.disclosure, limits.disclosure_s)
        observer.disclosed("assistant", line.disclosure, heard=heard)
    if line.recording and line.recording_announcement:
        heard = await announcer.announce(line.recording_announcement, limits.disclosure_s)
        observer.disclosed("recording", line.recording_announcement, heard=heard)
    await announcer.say(line.greeting)
