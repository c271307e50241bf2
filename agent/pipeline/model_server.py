"""The model server: where it is, how long it is waited for, how a session with it is set up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

from pipecat.services.settings import LLMSettings

from agent.audio import AudioFormat
from agent.errors import ModelUnavailableError
from agent.pipeline.history import Event


@dataclass(frozen=True, slots=True)
class ModelServer:
    """Where the model is, and how long it is waited for.

    Attributes:
        url: WebSocket URL of the Realtime endpoint, for calls that have no choice of servers.
        api_key: Sent as a bearer token; empty for none.
        model: Model named in the URL unless it names one itself.
        connect_s: Limit of one attempt to connect.
        gone_s: Without a working session for so long the call is given up.
        patience_s: A server that owes an answer and sends nothing for so long is left.
        tool_s: Limit of one tool call, above any limit of the tool itself.
        filler_s: A tool, or a new server in mid-call, that takes longer is bridged with
            "One moment, please."
        failures: Responses in a row the server may fail to make before the call is given up.
    """

    url: str
    api_key: str = ""
    model: str = "vita"
    connect_s: float = 3.0
    gone_s: float = 8.0
    patience_s: float = 15.0
    tool_s: float = 60.0
    filler_s: float = 1.2
    failures: int = 3

    def endpoint(self, url: str) -> str:
        """A server's URL with the model in its query."""
        parts = urlsplit(url)
        if "model=" in parts.query:
            return url
        query = "&".join(filter(None, [parts.query, urlencode({"model": self.model})]))
        return urlunsplit(parts._replace(query=query))

    def gone(self) -> ModelUnavailableError:
        """No session has worked for too long."""
        return ModelUnavailableError(
            f"No model server has worked for {self.gone_s:g} s: start one, or correct the model URL."
        )

    def refused(self, status: int) -> ModelUnavailableError:
        """A refusal that will not change."""
        return ModelUnavailableError(
            f"The model server refuses the call with HTTP {status}: check the model URL and key."
        )

    def failed(self) -> ModelUnavailableError:
        """Too many responses in a row could not be made."""
        return ModelUnavailableError(
            f"The model server failed {self.failures} times in a row: see its log."
        )

    def settings(self) -> LLMSettings:
        """What Pipecat wants to know of a model; the server decides all but its name."""
        return LLMSettings(
            model=self.model,
            system_instruction=None,
            temperature=None,
            max_tokens=None,
            top_p=None,
            top_k=None,
            frequency_penalty=None,
            presence_penalty=None,
            seed=None,
            filter_incomplete_user_turns=None,
            user_turn_completion_config=None,
        )


def session_settings(
    instructions: str,
    tools: Sequence[Event],
    voice: str,
    audio: AudioFormat,
    *,
    turn_detection: str = "semantic_vad",
    create_response: bool = True,
) -> Event:
    """The `session` object of a call: one format both ways, the server finds the turns.

    Without `create_response` the agent asks for each answer, once it has told the server what it
    has to know with the turn.
    """
    coding = _coding(audio)
    return {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": instructions,
        "tools": list(tools),
        "tool_choice": "auto",
        "audio": {
            "input": {
                "format": coding,
                "transcription": {"model": "whisper-1"},
                "turn_detection": {
                    "type": turn_detection,
                    "create_response": create_response,
                    "interrupt_response": True,
                },
            },
            "output": {"format": coding, "voice": voice},
        },
    }


def _coding(audio: AudioFormat) -> Event:
    """Only linear samples name their rate: that of G.711 is fixed."""
    return {"type": audio.name, "rate": audio.rate} if audio.width > 1 else {"type": audio.name}
