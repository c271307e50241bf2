"""The documents we answer webhooks with."""

from __future__ import annotations

from twilio.twiml.voice_response import (  # type: ignore[import-untyped]
    Connect,
    Dial,
    VoiceResponse,
)

from connectors.twilio.config import AFTER_PATH, STREAM_PATH, TwilioConfig

TOKEN_PARAMETER = "token"  # noqa: S105 - the name of a field, not a secret

NOT_IN_SERVICE = "The number you have called is not in service. Goodbye."
ALL_BUSY = "All our lines are busy right now. Please call again in a few minutes. Goodbye."
SORRY = "Sorry, we have a technical problem. Please call again in a few minutes. Goodbye."

CONNECTING = "I will connect you with a person."
AGAIN_LATER = "Please call again in a few minutes. Goodbye."
"""Said when the agent has had to give up, and has said so."""

AFTER_THE_TONE = "Please leave a message after the tone. Press any key when you are done."
NOTHING_HEARD = "I heard nothing. Goodbye."
MESSAGE_TAKEN = "Thank you. Your message was taken. Goodbye."
LONGEST_MESSAGE_S = 120
MESSAGE_PAUSE_S = 5
"""Silence that ends a message."""

RING_TIME_S = 25
"""How long a human's phone rings before the caller comes back to the agent."""


def connect_agent(config: TwilioConfig, token: str) -> str:
    """Open a media stream to the agent; whatever ends it, Twilio asks our resume URL."""
    answer = VoiceResponse()
    connect = Connect(action=config.url(AFTER_PATH), method="POST")
    stream = connect.stream(
        url=config.media_url,
        status_callback=config.url(STREAM_PATH),
        status_callback_method="POST",
    )
    stream.parameter(name=TOKEN_PARAMETER, value=token)
    answer.append(connect)
    answer.redirect(config.url(AFTER_PATH), method="POST")
    return str(answer)


def dial(config: TwilioConfig, target: str, first_say: str = "") -> str:
    """Connect the caller to a human; the resume URL learns how it went."""
    answer = VoiceResponse()
    if first_say:
        answer.say(first_say)
    answer.append(
        Dial(
            target,
            action=config.url(AFTER_PATH),
            method="POST",
            timeout=RING_TIME_S,
            answer_on_bridge=True,
        )
    )
    return str(answer)


def take_message(config: TwilioConfig) -> str:
    """Record what the caller wants to leave; the resume URL is told where it is."""
    answer = VoiceResponse()
    answer.say(AFTER_THE_TONE)
    answer.record(
        action=config.url(AFTER_PATH),
        method="POST",
        max_length=LONGEST_MESSAGE_S,
        timeout=MESSAGE_PAUSE_S,
        play_beep=True,
    )
    answer.say(NOTHING_HEARD)  # only reached when nothing was recorded
    answer.hangup()
    return str(answer)


def say_and_hang_up(text: str) -> str:
    """One sentence, then the end of the call."""
    answer = VoiceResponse()
    answer.say(text)
    answer.hangup()
    return str(answer)


def hang_up() -> str:
    """End the call."""
    answer = VoiceResponse()
    answer.hangup()
    return str(answer)
