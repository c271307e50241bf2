"""A call's session: what any worker needs to take the call up.

One Redis hash per call. A writer with a lower epoch than the one kept is refused, so a worker
that lost its call cannot overwrite the one that has it now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from agent.api import Direction, IncomingCall
from agent.calls.call import Call, State, call_id_for
from agent.calls.line import Line
from agent.session.store import SessionStore, call_key

SESSION_TTL_S = 6 * 3600

_SAVE = """
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '-1')
if epoch > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class CallSession:
    """One call: who called whom, on which line as configured then, and where it stands."""

    incoming: IncomingCall
    line: Line
    call: Call

    @property
    def call_id(self) -> str:
        """Our id of the call."""
        return call_id_for(self.incoming.carrier, self.incoming.carrier_call_id)

    def at(self, call: Call) -> CallSession:
        """The same session with the call standing elsewhere."""
        return replace(self, call=call)


class Sessions:
    """Keeps sessions in Redis. All methods raise `SessionStoreError`."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def save(self, session: CallSession) -> bool:
        """Write the session. False: a later writer has it, nothing was written."""
        fields: list[str | int] = []
        for name, value in _fields(session).items():
            fields += [name, value]
        saved = await self._store.within_budget(
            self._store.redis.eval(
                _SAVE, 1, _key(session.call_id), session.call.epoch, SESSION_TTL_S, *fields
            )
        )
        return bool(saved)

    async def load(self, call_id: str) -> CallSession | None:
        """The session of a call, or None when there is none."""
        found = await self._store.within_budget(self._store.redis.hgetall(_key(call_id)))
        return _session({str(name): str(value) for name, value in found.items()})


def _key(call_id: str) -> str:
    return call_key("call", call_id)


def _fields(session: CallSession) -> dict[str, str | int]:
    incoming, call = session.incoming, session.call
    return {
        "carrier": incoming.carrier,
        "carrier_call_id": incoming.carrier_call_id,
        "to": incoming.to_number,
        "from": incoming.from_number,
        "direction": incoming.direction,
        "line": session.line.model_dump_json(),
        "state": call.state,
        "epoch": call.epoch,
        "attempt": call.attempt,
        "reason": call.reason,
        "transfer_to": call.transfer_to,
        "dialled": call.dialled,
    }


def _session(fields: dict[str, str]) -> CallSession | None:
    if not fields:
        return None
    return CallSession(
        incoming=IncomingCall(
            carrier=fields["carrier"],
            carrier_call_id=fields["carrier_call_id"],
            to_number=fields["to"],
            from_number=fields["from"],
            direction=cast("Direction", fields["direction"]),
        ),
        line=Line.model_validate_json(fields["line"]),
        call=Call(
            state=cast("State", fields["state"]),
            epoch=int(fields["epoch"]),
            attempt=int(fields["attempt"]),
            reason=fields["reason"],
            transfer_to=fields["transfer_to"],
            dialled=fields.get("dialled", ""),
        ),
    )
