"""What a client does to the items of the conversation: adds, deletes, looks up and cuts them."""

from __future__ import annotations

from collections.abc import Callable

from vita_model.engine.voice import Seen
from vita_model.serving.answers import Answers
from vita_model.serving.caller import MIN_COMMIT_MS, Caller
from vita_model.serving.conversation import Conversation, parse_item
from vita_model.serving.effects import Effect, Send, item_added, send
from vita_model.serving.events import (
    CreateItem,
    DeleteItem,
    ProtocolError,
    RetrieveItem,
    TruncateItem,
    error_event,
)
from vita_model.serving.items import Message, SpokenPart
from vita_model.serving.pictures import Pictures
from vita_model.serving.recordings import Recordings

MAX_UPLOAD_S = 60
MAX_AUDIO_MS = 3_600_000


class Editor:
    """The items of one session, as its client changes them."""

    def __init__(
        self,
        *,
        conversation: Conversation,
        recordings: Recordings,
        caller: Caller,
        answers: Answers,
        new_id: Callable[[str], str],
    ) -> None:
        self._conversation = conversation
        self._recordings = recordings
        self._caller = caller
        self._answers = answers
        self._new_id = new_id
        self._pictures = Pictures(new_id)

    def seen(self, seeing_id: str, seen: Seen) -> list[Effect]:
        """The model has looked at a picture."""
        return self._answers.resume() if self._pictures.take(seeing_id, seen) else []

    def seeing_failed(self, seeing_id: str, error: ProtocolError) -> list[Effect]:
        """The model could not see a picture: the client is told, and its item stays without it."""
        picture = self._pictures.take(seeing_id, None)
        if picture is None:
            return []
        return [Send(error_event(error, picture.event_id)), *self._answers.resume()]

    def create(self, event: CreateItem) -> list[Effect]:
        """Add an item.

        Raises:
            ProtocolError: it cannot be added; nothing was changed.
        """
        parsed = parse_item(event.item, self._new_id)
        seconds = len(parsed.audio or b"") / self._caller.bytes_per_second
        if parsed.audio is not None and not MIN_COMMIT_MS / 1000 <= seconds <= MAX_UPLOAD_S:
            raise ProtocolError(
                f"The audio of an item lasts {MIN_COMMIT_MS} ms to {MAX_UPLOAD_S} s.",
                param="item.content.audio",
            )
        self._pictures.make_room(len(parsed.pictures))
        previous = self._conversation.insert(parsed.item, event.previous_item_id)
        effects = item_added(parsed.item.public(), previous)
        if parsed.audio is not None and isinstance(parsed.item, Message):
            effects += self._caller.upload(parsed.item, parsed.audio, seconds)
        if isinstance(parsed.item, Message):
            effects += self._pictures.show(parsed.item, parsed.pictures, event.event_id)
        return effects

    def delete(self, event: DeleteItem) -> list[Effect]:
        """Deleting what is gone already is no fault. An answer that is deleted ends."""
        effects = self._end_answer(event.item_id)
        self._conversation.remove(event.item_id)
        self._recordings.drop(event.item_id)
        deleted = send("conversation.item.deleted", item_id=event.item_id)
        return [*effects, deleted, *self._answers.resume()]

    def retrieve(self, event: RetrieveItem) -> list[Effect]:
        """Show an item, with its audio where that is still kept.

        Raises:
            ProtocolError: there is none of that id.
        """
        item = self._conversation.find(event.item_id)
        if item is None:
            raise ProtocolError(
                f"There is no item {event.item_id!r}.", "item_retrieve_invalid_item_id", "item_id"
            )
        shown = item.public()
        for part in shown.get("content", ()):
            if part["type"] in {"input_audio", "output_audio"}:
                part["audio"] = self._recordings.base64(item.id, self._caller.wire)
        return [send("conversation.item.retrieved", item=shown)]

    def truncate(self, event: TruncateItem) -> list[Effect]:
        """Cut an answer to what was heard. Clamps instead of refusing: `error` ends a call."""
        self._answers.fell_silent()
        effects = self._end_answer(event.item_id)
        heard_ms = min(max(0, int(event.audio_end_ms)), MAX_AUDIO_MS)
        item = self._conversation.find(event.item_id)
        for part in item.parts if isinstance(item, Message) else ():
            if isinstance(part, SpokenPart) and part.track:
                heard_ms = min(heard_ms, int(part.duration_ms))
                part.truncate(heard_ms)
                self._recordings.cut(event.item_id, heard_ms)
        truncated = send(
            "conversation.item.truncated",
            item_id=event.item_id,
            content_index=event.content_index,
            audio_end_ms=heard_ms,
        )
        return [*effects, truncated]

    def _end_answer(self, item_id: str) -> list[Effect]:
        """Nothing more is said of an answer that is cut or deleted."""
        if not self._answers.speaks(item_id):
            return []
        return self._answers.interrupt(
            "turn_detected" if self._caller.speaking else "client_cancelled"
        )
