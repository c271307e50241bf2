"""How long the stages of a call may take, and the fixed sentences said at their ends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Time limits in seconds, and the agent's own words.

    Attributes:
        farewell_s: For the last words to be made, sent and heard before hanging up.
        disclosure_s: For the disclosure to be heard.
        carrier_s: For the carrier to hang up or transfer.
        close_s: For the leg to close.
        silent_leg_s: A leg that delivers nothing for so long is taken as gone.
        goodbye: Said when the line's longest call is over.
        not_transferred: Said when the carrier could not transfer the call.
        nobody_there: Said to a caller who comes back because the person dialled did not answer.
        back: Said to a caller who was cut off and has the agent again.
        where_were_we: Said after it when nothing is owed to the caller.
    """

    farewell_s: float = 10.0
    disclosure_s: float = 30.0
    carrier_s: float = 10.0
    close_s: float = 2.0
    silent_leg_s: float = 60.0
    goodbye: str = "I am afraid our time is up. Thank you for calling. Goodbye."
    not_transferred: str = "I am sorry, I could not connect you."
    nobody_there: str = "I am sorry, nobody can take your call right now. How else can I help you?"
    back: str = "Sorry, I am back."
    where_were_we: str = "Where were we?"
