"""One answer on the wire: model events in, the server events of a Realtime response out."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Literal

from vita_model.audio.telephone import WIRE_RATE, WIRE_WIDTH, WireEncoder
from vita_model.engine.voice import Audio, Call, Done, ReplyEvent, State, Text
from vita_model.serving.conversation import Conversation
from vita_model.serving.events import Json, server_event
from vita_model.serving.items import FunctionCall, Item, Message, SpokenPart, TextPart
from vita_model.serving.recordings import Recordings
from vita_model.serving.session import ReplyOptions

MIN_DELTA_MS = 40
MAX_DELTA_MS = 200
MAX_SPEECH_MS = 60_000
"""An answer that goes on longer than this is a fault of the model and is cut."""

ReplyStatus = Literal["in_progress", "completed", "cancelled", "incomplete", "failed"]


class Reply:
    """State of one response. Every method gives the events to send, in order."""

    def __init__(
        self,
        *,
        reply_id: str,
        options: ReplyOptions,
        conversation: Conversation,
        recordings: Recordings,
        conversation_id: str,
        output_rate: int,
        new_id: Callable[[str], str],
    ) -> None:
        self.id = reply_id
        self.options = options
        self.audio_ms = 0.0
        self.noise = False
        self._conversation = conversation
        self._recordings = recordings
        self._conversation_id = conversation_id
        self._new_id = new_id
        self._rate = output_rate
        self._encoder = WireEncoder(options.wire, output_rate)
        self._bytes_per_ms = WIRE_RATE[options.wire] * WIRE_WIDTH[options.wire] / 1000
        self._items: list[Item] = []
        self._message: Message | None = None
        self._text = ""
        self._sent = 0
        self._sent_bytes = 0
        self._carry = b""
        self._facts: dict[str, str] = {}
        self._usage = Done("stop", 0, 0, 0)

    def created(self) -> list[Json]:
        """The first event."""
        return [server_event("response.created", response=self._public("in_progress", None))]

    @property
    def too_long(self) -> bool:
        """More speech than any answer should have."""
        return self.audio_ms > MAX_SPEECH_MS

    @property
    def calls(self) -> bool:
        """The client owes the result of a tool."""
        return any(isinstance(item, FunctionCall) for item in self._items)

    def speaks(self, item_id: str) -> bool:
        """The item is the message this answer is speaking."""
        return self._message is not None and self._message.id == item_id

    def note(self, name: str, value: str) -> None:
        """Add a fact to the metadata of `response.done`."""
        self._facts[name] = value

    def take(self, event: ReplyEvent) -> list[Json]:
        """Events for the next piece of the answer. `Done` closes it."""
        match event:
            case State(marker=marker, probabilities=probabilities):
                self.noise = marker == "noise"
                self.note("vita_state", marker)
                for name, value in probabilities.items():
                    self.note(f"vita_p_{name}", f"{value:.4f}")
                return []
            case Done():
                return self._done(event)
            case _ if self.noise:
                return []
            case Text(delta=delta):
                self._text += delta
                return self._open() + ([] if self.options.speak else self._words(len(self._text)))
            case Audio():
                return self._open() + self._audio(event) if self.options.speak else []
            case Call(name=name, arguments=arguments):
                return self._call(name, arguments)

    def finish(self, status: ReplyStatus, details: Json | None = None) -> list[Json]:
        """Close the answer where it stands. What was not sent is dropped."""
        events = self._close("completed" if status == "completed" else "incomplete")
        return [*events, server_event("response.done", response=self._public(status, details))]

    def _done(self, done: Done) -> list[Json]:
        self._usage = done
        for name, value in done.timings.items():
            self.note(f"vita_{name}", f"{value:.4g}")
        events: list[Json] = []
        if self._message is not None:
            if self.options.speak:
                events += self._deltas(self._carry + self._encoder.drain(), last=True)
            events += self._words(len(self._text))
        if done.reason == "length":
            details = {"type": "incomplete", "reason": "max_output_tokens"}
            return events + self.finish("incomplete", details)
        return events + self.finish("completed")

    def _open(self) -> list[Json]:
        if self._message is not None:
            return []
        message = Message(self._new_id("item"), "assistant", [], "in_progress")
        self._message = message
        events = self._add(message)
        message.parts.append(SpokenPart() if self.options.speak else TextPart("output_text", ""))
        return [*events, self._event("content_part.added", part=self._public_part())]

    def _add(self, item: Item) -> list[Json]:
        previous = self._conversation.append(item)
        self._items.append(item)
        return [
            server_event(
                "response.output_item.added",
                response_id=self.id,
                output_index=len(self._items) - 1,
                item=item.public(),
            ),
            server_event("conversation.item.added", previous_item_id=previous, item=item.public()),
        ]

    def _audio(self, audio: Audio) -> list[Json]:
        spoken = self._spoken()
        self.audio_ms += len(audio.samples) * 1000 / self._rate
        spoken.track.append((self.audio_ms, audio.text_end))
        return self._deltas(self._carry + self._encoder.feed(audio.samples), last=False)

    def _deltas(self, data: bytes, *, last: bool) -> list[Json]:
        """Audio in pieces of 40 to 200 ms, each after the words it speaks."""
        size = int(MAX_DELTA_MS * self._bytes_per_ms)
        events: list[Json] = []
        while data and (last or len(data) >= MIN_DELTA_MS * self._bytes_per_ms):
            piece, data = data[:size], data[size:]
            self._sent_bytes += len(piece)
            if self._message is not None:
                self._recordings.add(self._message.id, piece, self.options.wire)
            until = self._sent_bytes / self._bytes_per_ms
            events += self._words(self._spoken().spoken_characters(self._text, until))
            delta = base64.b64encode(piece).decode("ascii")
            events.append(self._event("output_audio.delta", delta=delta))
        self._carry = data
        return events

    def _words(self, end: int) -> list[Json]:
        delta = self._text[self._sent : end]
        if not delta:
            return []
        self._sent = end
        part = self._part()
        if isinstance(part, SpokenPart):
            part.transcript += delta
            return [self._event("output_audio_transcript.delta", delta=delta)]
        part.text += delta
        return [self._event("output_text.delta", delta=delta)]

    def _call(self, name: str, arguments: str) -> list[Json]:
        item = FunctionCall(self._new_id("item"), self._new_id("call"), name, "", "in_progress")
        events = self._add(item)
        ids = {
            "response_id": self.id,
            "item_id": item.id,
            "output_index": len(self._items) - 1,
            "call_id": item.call_id,
        }
        item.arguments, item.status = arguments, "completed"
        kind = "response.function_call_arguments"
        return [
            *events,
            server_event(f"{kind}.delta", **ids, delta=arguments),
            server_event(f"{kind}.done", **ids, name=name, arguments=arguments),
            *self._item_done(item),
        ]

    def _close(self, status: Literal["completed", "incomplete"]) -> list[Json]:
        message = self._message
        if message is None:
            return []
        message.status = status
        part = self._part()
        if isinstance(part, SpokenPart):
            events = [
                self._event("output_audio.done"),
                self._event("output_audio_transcript.done", transcript=part.transcript),
            ]
        else:
            events = [self._event("output_text.done", text=part.text)]
        events.append(self._event("content_part.done", part=self._public_part()))
        events += self._item_done(message)
        self._message = None
        return events

    def _item_done(self, item: Item) -> list[Json]:
        previous = self._conversation.before(item.id)
        return [
            server_event("conversation.item.done", previous_item_id=previous, item=item.public()),
            server_event(
                "response.output_item.done",
                response_id=self.id,
                output_index=self._items.index(item),
                item=item.public(),
            ),
        ]

    def _part(self) -> SpokenPart | TextPart:
        if self._message is None or not isinstance(
            part := self._message.parts[0], SpokenPart | TextPart
        ):
            raise RuntimeError("no message is open")
        return part

    def _public_part(self) -> Json:
        """The part as `content_part` events name it, which is not as items do."""
        part = self._part()
        if isinstance(part, SpokenPart):
            return {"type": "audio", "transcript": part.transcript}
        return {"type": "text", "text": part.text}

    def _spoken(self) -> SpokenPart:
        part = self._part()
        if not isinstance(part, SpokenPart):
            raise TypeError("the answer is typed, not spoken")
        return part

    def _event(self, kind: str, **fields: object) -> Json:
        message = self._message
        if message is None:
            raise RuntimeError("no message is open")
        return server_event(
            f"response.{kind}",
            response_id=self.id,
            item_id=message.id,
            output_index=self._items.index(message),
            content_index=0,
            **fields,
        )

    def _public(self, status: ReplyStatus, details: Json | None) -> Json:
        ended = status != "in_progress"
        facts = self._facts if ended else {}
        metadata = {**(self.options.metadata or {}), **facts}
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": details,
            "output": [item.public() for item in self._items] if ended else [],
            "conversation_id": self._conversation_id,
            "output_modalities": ["audio" if self.options.speak else "text"],
            "max_output_tokens": self.options.max_output_tokens,
            "audio": {"output": {"format": self._format(), "voice": self.options.voice}},
            "usage": _usage(self._usage) if ended else None,
            "metadata": metadata or None,
        }

    def _format(self) -> Json:
        if self.options.wire == "audio/pcm":
            return {"type": "audio/pcm", "rate": 24_000}
        return {"type": self.options.wire}


def _usage(done: Done) -> Json:
    """Token counts; the model does not tell its text from its audio, so both count as text."""
    return {
        "total_tokens": done.input_tokens + done.output_tokens,
        "input_tokens": done.input_tokens,
        "output_tokens": done.output_tokens,
        "input_token_details": {
            "text_tokens": done.input_tokens - done.image_tokens,
            "audio_tokens": 0,
            "image_tokens": done.image_tokens,
            "cached_tokens": done.cached_tokens,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": done.output_tokens, "audio_tokens": 0},
    }
