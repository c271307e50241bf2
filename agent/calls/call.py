"""The life of one call as a pure state machine.

A call moves forward only: admitted, connected, in progress, transferring, ended. Three moves go
back: a transfer the carrier refused returns to `in_progress`; a call whose media stream was lost is
resumed, and a caller whom nobody took comes back, both by a new writer with a higher epoch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final, Literal

from agent.api import NextStep

State = Literal["admitted", "connected", "in_progress", "transferring", "ended"]

MAX_ATTEMPTS: Final = 3
LONGEST_REASON: Final = 32

RANK: Final[dict[State, int]] = {
    "admitted": 0,
    "connected": 1,
    "in_progress": 2,
    "transferring": 3,
    "ended": 4,
}

# The stream is gone, but the carrier may still hold the caller.
RESUMABLE: Final = frozenset({"caller_hung_up", "worker_stopped"})


def call_id_for(carrier: str, carrier_call_id: str) -> str:
    """Our id of a carrier's call: 32 hexadecimal digits, the same in every process."""
    return hashlib.sha256(f"{carrier}:{carrier_call_id}".encode()).hexdigest()[:32]


class InvalidMoveError(ValueError):
    """The state machine has no such move."""


@dataclass(frozen=True, slots=True)
class Call:
    """Where one call stands.

    Attributes:
        state: Its state.
        epoch: Epoch of the writer that brought it there.
        attempt: How many media streams it has had.
        reason: Why it ended; empty before.
        transfer_to: Number the caller was to be handed over to, empty when nobody asked.
        dialled: Why the person who was dialled last did not take the call, such as `busy`.
    """

    state: State = "admitted"
    epoch: int = 0
    attempt: int = 0
    reason: str = ""
    transfer_to: str = ""
    dialled: str = ""

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self.state == "ended"

    @property
    def resumable(self) -> bool:
        """Whether another media stream may take it up."""
        return not self.over or self.reason in RESUMABLE

    def connect(self, epoch: int) -> Call:
        """A media stream opened: the first one, or one that takes a lost call up again.

        Raises:
            InvalidMoveError: The call is over for good, or `epoch` is not a new one.
        """
        if epoch <= self.epoch:
            raise InvalidMoveError(f"epoch {epoch} does not follow {self.epoch}")
        if not self.resumable:
            raise InvalidMoveError(f"the call has ended: {self.reason}")
        return replace(self, state="connected", epoch=epoch, attempt=self.attempt + 1, reason="")

    def begin(self) -> Call:
        """The agent talks with the caller, and has told who did not take the call."""
        return replace(self._forward("in_progress"), dialled="")

    def transfer(self, target: str) -> Call:
        """The carrier is asked to connect the caller to `target`."""
        return replace(self._forward("transferring"), transfer_to=target, dialled="")

    def transfer_refused(self) -> Call:
        """The carrier did not; the agent goes on. The wish is remembered.

        Raises:
            InvalidMoveError: No transfer was under way.
        """
        if self.state != "transferring":
            raise InvalidMoveError(f"no transfer to refuse in state {self.state}")
        return replace(self, state="in_progress")

    def come_back(self, dialled: str, epoch: int) -> Call:
        """Nobody took the caller who was handed over: the agent may take the call up again.

        Raises:
            InvalidMoveError: The caller was not handed over.
        """
        if self.state != "transferring" and self.reason != "transferred":
            raise InvalidMoveError(f"nobody to come back in state {self.state}: {self.reason}")
        return replace(
            self, state="transferring", reason="", epoch=epoch, dialled=dialled[:LONGEST_REASON]
        )

    def end(self, reason: str, *, epoch: int | None = None, transfer_to: str = "") -> Call:
        """The call is over. `transfer_to` is a hand-over that was wished for and not made."""
        return replace(
            self._forward("ended"),
            reason=reason[:LONGEST_REASON],
            epoch=self.epoch if epoch is None else epoch,
            transfer_to=transfer_to or self.transfer_to,
        )

    def _forward(self, state: State) -> Call:
        if RANK[state] <= RANK[self.state]:
            raise InvalidMoveError(f"no move from {self.state} to {state}")
        return replace(self, state=state)


def next_step(
    call: Call, *, human: str = "", dialled: str = "", takes_messages: bool = False
) -> NextStep:
    """What the carrier should do when the media stream has ended and the caller is still there.

    Args:
        call: Where it stands.
        human: Number of a person who may take over when the agent cannot go on; empty for none.
        dialled: Why a person was not reached a moment ago; empty when nobody was dialled.
        takes_messages: Whether a caller nobody can help may leave a message.
    """
    if call.resumable and call.attempt < MAX_ATTEMPTS:
        return NextStep("reconnect")
    if not call.resumable and call.reason != "failed":
        return NextStep("hang_up")
    human = call.transfer_to or human
    if human and not dialled:
        return NextStep("dial", human)
    return NextStep("take_message" if takes_messages else "apologise")
