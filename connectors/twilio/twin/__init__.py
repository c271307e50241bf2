"""The carrier twin: a faithful local Twilio, for trying things out, demos and tests."""

from connectors.twilio.twin.account import TwinAccount
from connectors.twilio.twin.call import TwinCall
from connectors.twilio.twin.caller import (
    HangUp,
    Pause,
    Press,
    Speak,
    Step,
    WaitForAgent,
    WaitForEnd,
    WaitForSpeech,
    questions,
)
from connectors.twilio.twin.heard import Heard
from connectors.twilio.twin.twin import Twin, run_twin
from connectors.twilio.twin.world import Callee

__all__ = [
    "Callee",
    "HangUp",
    "Heard",
    "Pause",
    "Press",
    "Speak",
    "Step",
    "Twin",
    "TwinAccount",
    "TwinCall",
    "WaitForAgent",
    "WaitForEnd",
    "WaitForSpeech",
    "questions",
    "run_twin",
]
