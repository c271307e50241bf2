"""How long the stages of a call may take, and the fixed sentences said at their ends."""

from __future__ import annotations

from dataclasses import dataclass

from agent.pipeline.clips import GOODBYE


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
        mute_s: A model that begins none of the fixed words within so long is spoken for by a clip.
        hold_after_s: An agent that owes an answer and is silent so long asks for a moment.
        hold_every_s: And again after so long.
        nobody_speaks: Said before hanging up on a caller who says nothing.
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
    mute_s: float = 2.0
    hold_after_s: float = 2.5
    hold_every_s: float = 8.0
    goodbye: str = GOODBYE.text
    nobody_speaks: str = "I cannot hear you, so I will hang up now. Goodbye."
    not_transferred: str = "I am sorry, I could not connect you."
    nobody_there: str = "I am sorry, nobody can take your call right now. How else can I help you?"
    back: str = "Sorry, I am back."
    where_were_we: str = "Where were we?"
