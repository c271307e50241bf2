"""The agent's side of a Realtime conversation. Pure: events in, events and effects out.

The server finds the caller's turns and answers them by itself. The agent asks for a response in
three cases: a given text is to be said, a tool has answered, the caller typed something. It asks
one at a time. When the connection is lost, everything said so far is told to the next session and
a reply that was owed is asked for again.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.calls.memory import Entry, unfinished_calls
from agent.pipeline.effects import (
    CallerHeard,
    CallerSaid,
    CallerStarted,
    CallerStopped,
    Effect,
    Problem,
    ReplyAudio,
    ReplyEnded,
    ReplySpoken,
    ReplyText,
    Send,
    ToolsOvertaken,
    ToolWanted,
    TurnTaken,
    VolumeWanted,
)
from agent.pipeline.history import Event, History, Item
from agent.pipeline.server_events import metadata_of, new_id, number_of, server_answers, text_of

_OUR_METADATA = ("vita_ask", "vita_say")
_BUSY = "conversation_already_has_active_response"


@dataclass(frozen=True, slots=True)
class _Ask:
    """A wanted response. Without `say` it is whatever the model answers next."""

    say: str = ""
    tag: str = field(default_factory=lambda: uuid.uuid4().hex)

    def as_event(self) -> Event:
        response: Event = {"metadata": {"vita_ask": self.tag}}
        if self.say:
            response["metadata"]["vita_say"] = self.say
            response["instructions"] = f"Say exactly: {self.say}"
        return {"type": "response.create", "event_id": self.tag, "response": response}


@dataclass(slots=True)
class _Response:
    """The response in progress. `ask` is None when the server began it by itself.

    `earlier_tools` are the tool calls that ran when it began, until it makes one of its own.
    """

    ask: _Ask | None
    earlier_tools: frozenset[str] = frozenset()
    spoken: dict[str, bool] = field(default_factory=dict)
    called_tool: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """What a lost connection leaves behind.

    Attributes:
        resume_ms: From where in the call the caller's audio has to be sent again because the
            server took words with it that nobody wrote down; None when nothing was lost.
        unfinished: Items whose speech breaks off.
    """

    resume_ms: int | None
    unfinished: Sequence[str]


class RealtimeDialogue:
    """State of one call's conversation with model servers, one after another.

    Attributes:
        history: Everything said, typed and called so far.
        failures: Responses in a row that the server could not make.
        interrupted_calls: Tool calls of the other worker that nobody knows the answer of. Each
            has to be run, or refused, and reported to `tool_finished`.
    """

    def __init__(self, session: Event, earlier: Sequence[Entry] = ()) -> None:
        """Begin a conversation, or go on with one that another worker has led.

        Args:
            session: The `session` object of the Realtime protocol.
            earlier: What was said with the other worker.
        """
        self.history = History(earlier)
        self.interrupted_calls = [
            ToolWanted(call.call_id, call.name, call.text) for call in unfinished_calls(earlier)
        ]
        self.failures = 0
        self._session = session
        self._server_answers = server_answers(session)
        self._picture: str | None = None
        self._open = False
        self._offset_ms = 0
        self._asks: deque[_Ask] = deque()
        self._asked: _Ask | None = None
        self._active: _Response | None = None
        self._turn: str | None = None
        self._speaking: int | None = None
        self._spans: dict[str, tuple[int, int]] = {}
        self._words: dict[str, str] = {}
        self._tools = {call.call_id for call in self.interrupted_calls}
        self._tool_names: dict[str, str] = {}
        self._answered_tools = False
        self._cut: set[str] = set()
        self._handlers: dict[str, Callable[[Event], list[Effect]]] = {
            "input_audio_buffer.speech_started": self._speech_started,
            "input_audio_buffer.speech_stopped": self._speech_stopped,
            "input_audio_buffer.committed": self._committed,
            "conversation.item.input_audio_transcription.delta": self._transcribing,
            "conversation.item.input_audio_transcription.completed": self._transcribed,
            "rate_limits.updated": self._volume,
            "response.created": self._response_created,
            "response.output_item.added": self._item_added,
            "conversation.item.added": self._item_added,
            "response.output_audio.delta": self._audio,
            "response.output_audio.done": self._audio_done,
            "response.output_audio_transcript.delta": self._text,
            "response.output_text.delta": self._text,
            "response.function_call_arguments.done": self._tool_called,
            "response.done": self._response_done,
            "error": self._error,
        }

    @property
    def waiting(self) -> bool:
        """Whether the server owes us an event."""
        return bool(self._asked or self._active or self._turn)

    @property
    def idle(self) -> bool:
        """Whether nothing is in progress and nothing is owed to the caller."""
        return not (self.waiting or self._asks or self._tools or self._answered_tools)

    def open(self, offset_ms: int) -> list[Event]:
        """A connection is up: what to send before anything else.

        Args:
            offset_ms: Where in the call the first audio sent to this session lies.
        """
        self._open = True
        self._offset_ms = offset_ms
        self._picture = None
        update: Event = {"type": "session.update", "session": self._session}
        return [update, *self.history.replay(), *self._next()]

    def lost(self) -> Lost:
        """The connection is gone: note what is owed, to be asked for in the next session."""
        self._open = False
        self._words.clear()
        active, self._active = self._active, None
        owed, self._asked = self._asked, None
        if self._turn is not None:
            self._turn, owed = None, _Ask()
        unfinished: list[str] = []
        if active is not None:
            unfinished = [item_id for item_id, ended in active.spoken.items() if not ended]
            if not active.called_tool and (unfinished or not active.spoken):
                owed = active.ask or _Ask()
        for item_id in unfinished:
            self.history.drop(item_id)
        resume_ms, self._speaking = self._speaking, None
        if owed is not None and not owed.say and (unheard_ms := self._drop_unheard()) is not None:
            owed, resume_ms = None, unheard_ms
        if owed is not None:
            self._asks.appendleft(owed)
        return Lost(resume_ms, unfinished)

    def _drop_unheard(self) -> int | None:
        """Drop the caller's last turn if its words are not known; returns where it began."""
        caller = self.history.last_of_caller()
        if caller is None or caller.text or caller.item_id not in self._spans:
            return None
        self.history.drop(caller.item_id)
        return self._spans.pop(caller.item_id)[0]

    def receive(self, event: Event) -> list[Effect]:
        """Take one server event. Unknown types and absent fields never raise."""
        handler = self._handlers.get(text_of(event, "type"))
        return handler(event) if handler is not None else []

    def say(self, text: str) -> list[Event]:
        """Have exactly `text` said as soon as the current response is over."""
        self._asks.append(_Ask(say=text))
        return self._next()

    def answer(self) -> list[Event]:
        """Have the model answer what the caller said last, after what is to be said before."""
        self._asks.append(_Ask())
        return self._next()

    def answer_turn(self, turn: TurnTaken, picture: str) -> list[Event]:
        """Have a turn answered that the server leaves to us, with what the caller shows.

        Args:
            turn: The turn; nothing happens when another one has come meanwhile.
            picture: A data URI; empty for none.
        """
        if self._turn != turn.item_id:
            return []
        self._turn = None
        self._asks = deque(ask for ask in self._asks if ask.say)
        self._asks.appendleft(_Ask())
        return [*self.show(picture, turn.previous_item_id or "root"), *self._next()]

    def show(self, picture: str, previous_item_id: str | None = None) -> list[Event]:
        """Show a picture to the model, in front of the words it belongs to; it forgets the last."""
        if not (picture and self._open):
            return []
        old, self._picture = self._picture, new_id()
        content = [{"type": "input_image", "image_url": picture}]
        item: Event = {"id": self._picture, "type": "message", "role": "user", "content": content}
        create: Event = {"type": "conversation.item.create", "item": item}
        if previous_item_id is not None:
            create["previous_item_id"] = previous_item_id
        # Older ones would only fill the model's memory: what was said about them stays.
        forget: Event = {"type": "conversation.item.delete", "item_id": old}
        return [create, forget] if old is not None else [create]

    def typed(self, text: str) -> list[Event]:
        """A turn of the caller that came as text, to be answered."""
        item = self.history.add(Item(new_id(), "caller", text))
        self._asks.append(_Ask())
        return ([item.as_event()] if self._open else []) + self._next()

    def tool_finished(self, call_id: str, output: str) -> list[Event]:
        """A tool has answered. A response is asked for once all running tools have."""
        item = self.history.add(Item(new_id(), "output", output, call_id=call_id))
        self._tools.discard(call_id)
        self._answered_tools = True
        return ([item.as_event()] if self._open else []) + self._next()

    def tool_cancelled(self, call_id: str, output: str) -> list[Event]:
        """A tool was broken off. The model is told; nobody waits for a response about it."""
        if call_id not in self._tools:
            return []
        self._tools.discard(call_id)
        item = self.history.add(Item(new_id(), "output", output, call_id=call_id))
        return [item.as_event()] if self._open else []

    def cut(self, item_id: str, heard_ms: int, heard_text: str) -> list[Event]:
        """The caller heard only the first `heard_ms` of a reply; the rest is forgotten.

        Words that came with the agent are no part of the conversation.
        """
        self._cut.add(item_id)
        if item_id not in self.history:
            return []
        self.history.item(item_id, "agent").text = heard_text
        self.heard(item_id)
        if not self._open:
            return []
        return [
            {
                "type": "conversation.item.truncate",
                "item_id": item_id,
                "content_index": 0,
                "audio_end_ms": heard_ms,
            }
        ]

    def heard(self, item_id: str) -> None:
        """The caller has heard all there will be of a reply."""
        if item_id in self.history:
            self.history.item(item_id, "agent").heard = True

    def cancel(self) -> list[Event]:
        """Stop the response in progress."""
        return [{"type": "response.cancel"}] if self._active and self._open else []

    def forget_asks(self) -> None:
        """Nothing that is still to be asked for is wanted any more."""
        self._asks.clear()
        self._answered_tools = False

    def _next(self) -> list[Event]:
        """Ask for the next wanted response, if it is its turn."""
        if self._answered_tools and not self._tools and self._active is None:
            self._answered_tools = False
            self._asks.append(_Ask())
        if not self._open or self.waiting or not self._asks:
            return []
        self._asked = self._asks.popleft()
        return [self._asked.as_event()]

    def _sends(self) -> list[Effect]:
        return [Send(event) for event in self._next()]

    def _speech_started(self, event: Event) -> list[Effect]:
        """`audio_start_ms` already counts the audio the server keeps from before the onset."""
        at_ms = self._offset_ms + number_of(event, "audio_start_ms")
        self._speaking = at_ms
        self._spans[text_of(event, "item_id")] = (at_ms, at_ms)
        return [CallerStarted(at_ms)]

    def _speech_stopped(self, event: Event) -> list[Effect]:
        at_ms = self._offset_ms + number_of(event, "audio_end_ms")
        item_id = text_of(event, "item_id")
        self._speaking = None
        self._spans[item_id] = (self._spans.get(item_id, (at_ms, at_ms))[0], at_ms)
        return [CallerStopped(at_ms)]

    def _committed(self, event: Event) -> list[Effect]:
        """The server answers the turn, unless we asked to do it, or it was a sound in passing."""
        item_id = text_of(event, "item_id")
        if event.get("vita_backchannel") is True:
            self._note_passing(item_id, event)
            return []
        self._turn = item_id
        self.history.item(item_id, "caller")
        if self._server_answers:
            return []
        end_ms = self._spans.get(item_id, (0, self._offset_ms))[1]
        return [TurnTaken(item_id, text_of(event, "previous_item_id"), end_ms)]

    def _note_passing(self, item_id: str, event: Event) -> None:
        """A sound in passing may never have been announced: its event tells when it was."""
        if "vita_audio_start_ms" in event:
            start_ms = self._offset_ms + number_of(event, "vita_audio_start_ms")
            end_ms = self._offset_ms + number_of(event, "vita_audio_end_ms")
            self._spans[item_id] = (start_ms, end_ms)

    def _transcribing(self, event: Event) -> list[Effect]:
        """Words of a turn that was announced, before all are known."""
        item_id = text_of(event, "item_id")
        if item_id not in self._spans:
            return []
        text = self._words[item_id] = self._words.get(item_id, "") + text_of(event, "delta")
        return [CallerHeard(text.strip(), self._spans[item_id][0])]

    def _transcribed(self, event: Event) -> list[Effect]:
        item_id, text = text_of(event, "item_id"), text_of(event, "transcript").strip()
        self._words.pop(item_id, None)
        start_ms, end_ms = self._spans.pop(item_id, (self._offset_ms, self._offset_ms))
        if not text:
            return []
        if item_id in self.history:
            self.history.item(item_id, "caller").text = text
        return [CallerSaid(text, start_ms, end_ms)]

    def _volume(self, event: Event) -> list[Effect]:
        """A field of our own server on an event that other clients and servers know."""
        low = event.get("vita_duck")
        return [VolumeWanted(low)] if isinstance(low, bool) else []

    def _response_created(self, event: Event) -> list[Effect]:
        tag = metadata_of(event).get("vita_ask")
        asked = self._asked
        if asked is not None and (tag == asked.tag or (tag is None and self._turn is None)):
            self._asked = None
            self._active = _Response(asked, frozenset() if asked.say else frozenset(self._tools))
            return []
        self._turn = None
        self._active = _Response(None, frozenset(self._tools))
        self._asks = deque(ask for ask in self._asks if ask.say)
        return []

    def _item_added(self, event: Event) -> list[Effect]:
        item = event.get("item")
        if isinstance(item, dict) and item.get("type") == "function_call":
            self._tool_names[text_of(item, "call_id")] = text_of(item, "name")
        return []

    def _audio(self, event: Event) -> list[Effect]:
        item_id = text_of(event, "item_id")
        if item_id in self._cut:
            return []
        try:
            payload = base64.b64decode(text_of(event, "delta"), validate=True)
        except binascii.Error:
            return [Problem("bad_audio", "an audio delta is not base64")]
        self._speak(item_id)
        return [ReplyAudio(item_id, payload)] if payload else []

    def _text(self, event: Event) -> list[Effect]:
        item_id, piece = text_of(event, "item_id"), text_of(event, "delta")
        if item_id in self._cut or not piece:
            return []
        self._speak(item_id).text += piece
        return [ReplyText(item_id, piece)]

    def _speak(self, item_id: str) -> Item:
        if self._active is not None:
            self._active.spoken.setdefault(item_id, False)
        return self.history.item(item_id, "agent")

    def _audio_done(self, event: Event) -> list[Effect]:
        item_id = text_of(event, "item_id")
        if self._active is None or self._active.spoken.get(item_id, True):
            return []
        self._active.spoken[item_id] = True
        return [ReplySpoken(item_id)]

    def _tool_called(self, event: Event) -> list[Effect]:
        call_id = text_of(event, "call_id")
        name = self._tool_names.pop(call_id, "") or text_of(event, "name")
        if not call_id or call_id in self._tools:
            return [Problem("bad_tool_call", "a tool call has no id, or one that is in use")]
        overtaken: list[Effect] = []
        if self._active is not None:
            self._active.called_tool = True
            if earlier := self._active.earlier_tools:
                self._active.earlier_tools = frozenset()
                overtaken = [ToolsOvertaken(earlier)]
        self._tools.add(call_id)
        arguments = text_of(event, "arguments") or "{}"
        item_id = text_of(event, "item_id") or new_id()
        self.history.add(Item(item_id, "call", arguments, call_id=call_id, name=name))
        return [*overtaken, ToolWanted(call_id, name, arguments)]

    def _response_done(self, event: Event) -> list[Effect]:
        active, self._active = self._active, None
        if active is None:
            return self._sends()
        effects: list[Effect] = [
            ReplySpoken(item_id) for item_id, ended in active.spoken.items() if not ended
        ]
        response = event.get("response")
        status = text_of(response, "status") if isinstance(response, dict) else ""
        metadata = {k: v for k, v in metadata_of(event).items() if k not in _OUR_METADATA}
        ended = ReplyEnded(status or "completed", metadata)
        if ended.is_noise and (caller := self.history.last_of_caller()) is not None:
            self.history.drop(caller.item_id)
        if status == "failed":
            self._failed(active.ask or _Ask())
        else:
            self.failures = 0
        return [*effects, ended, *self._sends()]

    def _failed(self, ask: _Ask) -> None:
        """Ask again; the tag is new so that a late answer to the old one is not taken for it."""
        self.failures += 1
        self._asks.appendleft(_Ask(say=ask.say))

    def _error(self, event: Event) -> list[Effect]:
        error = event.get("error")
        error = error if isinstance(error, dict) else {}
        code, message = text_of(error, "code"), text_of(error, "message")
        asked = self._asked
        if asked is not None and code == _BUSY:
            self._asked = None
            self._asks.appendleft(asked)
        elif asked is not None and text_of(error, "event_id") == asked.tag:
            self._asked = None
            self._failed(asked)
        else:
            return [Problem(code or text_of(error, "type"), message)]
        return [Problem(code, message), *(self._sends() if code != _BUSY else [])]
