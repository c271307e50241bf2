"""One call through the twin of an open house, shown while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from agent.calls.call import call_id_for
from agent.calls.repository import CallRecord
from agent.demo.caller import Asked, Manners, hold_conversation
from agent.demo.conversation import follow
from agent.demo.processes import House
from agent.demo.show import Screen
from agent.errors import VitaError
from agent.tasks import TaskOwner
from connectors.twilio.twin import Speak, TwinCall, WaitForEnd

CARRIER = "twilio"
END_LIMIT_S = 30.0
LOG_LIMIT_S = 10.0


class CallNotLoggedError(VitaError):
    """A call left no trace in the call log."""

    code = "call_not_logged"


@dataclass(frozen=True, slots=True)
class PhoneCall:
    """A call that is over: the carrier's view, the log's view, and what was asked."""

    call: TwinCall
    record: CallRecord
    asked: list[Asked]


async def phone(
    house: House, number: str, questions: Sequence[Speak], *, manners: Manners, screen: Screen
) -> PhoneCall:
    """Call a line, ask the questions, hang up, and read the call back from the log.

    Raises:
        LineNotFoundError: No line has this number.
        CallNotLoggedError: The log does not know the call.
    """
    house.lines.find(number)
    call = await house.twin.place_call(to=number, script=[WaitForEnd(limit_s=inf)])
    call_id = call_id_for(CARRIER, call.sid)
    calls = house.agent.application.calls
    async with TaskOwner("demo") as tasks:
        showing = tasks.spawn(follow(calls, call_id, screen.told), name="follow")
        asked = await hold_conversation(call, questions, manners=manners)
        with suppress(TimeoutError):
            await call.wait_ended(END_LIMIT_S)
        await asyncio.wait({showing}, timeout=LOG_LIMIT_S)
    record = await calls.get_call(call_id)
    if record is None:
        agent_log = house.data_dir / "agent.log"
        raise CallNotLoggedError(f"The call is not in the call log: see {agent_log}.")
    return PhoneCall(call, record, asked)
