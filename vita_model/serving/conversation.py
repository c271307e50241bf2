"""The ordered items of one session, and the reading of items that clients send."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vita_model.engine.voice import Entry
from vita_model.serving.events import MOST_PARTS, Id, Json, ProtocolError, explain
from vita_model.serving.items import (
    FunctionCall,
    FunctionOutput,
    ImagePart,
    Item,
    Message,
    Part,
    Role,
    SpeechPart,
    SpokenPart,
    TextPart,
)

MAX_IMAGE_BYTES = 8 * 1024 * 1024
MAX_ITEM_CHARACTERS = 256_000
MAX_ITEMS = 4_000


class Conversation:
    """Items in the order they are told to the model."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._by_id: dict[str, Item] = {}

    def find(self, item_id: str) -> Item | None:
        """The item of that id."""
        return self._by_id.get(item_id)

    def append(self, item: Item) -> str | None:
        """Add at the end; gives the id of the item before it."""
        previous = self._items[-1].id if self._items else None
        self._items.append(item)
        self._by_id[item.id] = item
        return previous

    def insert(self, item: Item, previous_item_id: str | None) -> str | None:
        """Add after an item, at the front ("root") or at the end (None).

        Raises:
            ProtocolError: the id is taken, there is no such previous item, or no room.
        """
        if len(self._items) >= MAX_ITEMS:
            raise ProtocolError(
                f"A conversation holds at most {MAX_ITEMS} items; delete old ones.",
                "rate_limit_exceeded",
                "item",
            )
        if self.find(item.id) is not None:
            raise ProtocolError(
                f"There is an item {item.id!r} already.", "item_create_duplicate_id", "item.id"
            )
        if previous_item_id is None:
            return self.append(item)
        if previous_item_id == "root":
            self._items.insert(0, item)
            self._by_id[item.id] = item
            return None
        previous = self.find(previous_item_id)
        if previous is None:
            raise ProtocolError(
                f"There is no item {previous_item_id!r} to put this one after.",
                "item_create_invalid_previous_item_id",
                "previous_item_id",
            )
        self._items.insert(self._items.index(previous) + 1, item)
        self._by_id[item.id] = item
        return previous_item_id

    def remove(self, item_id: str) -> None:
        """Delete an item; one that is gone already is no fault."""
        if self._by_id.pop(item_id, None) is not None:
            self._items = [item for item in self._items if item.id != item_id]

    def before(self, item_id: str) -> str | None:
        """Id of the item in front of another."""
        before = None
        for item in self._items if item_id in self._by_id else ():
            if item.id == item_id:
                return before
            before = item.id
        return None

    @property
    def pending(self) -> bool:
        """Something the model must know is still to be heard or seen."""
        return any(isinstance(i, Message) and i.in_model and i.pending for i in self._items)

    def forget_last_speech(self) -> None:
        """Keep the spoken turn that is answered now, and what was shown with it, from the model."""
        found = False
        for item in reversed(self._items):
            if not isinstance(item, Message) or item.role == "assistant":
                return
            if not item.in_model or not item.parts:
                continue
            shown = all(isinstance(part, ImagePart) for part in item.parts)
            speech = any(isinstance(part, SpeechPart) for part in item.parts)
            if found and not shown:
                return
            if shown or speech:
                item.in_model = False
            found = found or speech

    def entries(self) -> list[Entry]:
        """The conversation for the model."""
        return [entry for item in self._items for entry in item.entries()]


@dataclass(frozen=True, slots=True)
class ParsedItem:
    """An item of a client, with what is still to be heard and, in order, to be looked at."""

    item: Item
    audio: bytes | None = None
    pictures: tuple[bytes, ...] = ()


class _Content(BaseModel):
    model_config = ConfigDict(extra="ignore")
    type: Literal[
        "input_text", "output_text", "text", "input_audio", "output_audio", "audio", "input_image"
    ]
    text: str | None = None
    transcript: str | None = None
    audio: str | None = None
    image_url: str | None = None
    detail: str | None = None


class _Item(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: Id | None = None
    type: Literal["message", "function_call", "function_call_output"]
    role: Role | None = None
    content: list[_Content] | None = Field(default=None, max_length=MOST_PARTS)
    name: Id | None = None
    call_id: Id | None = None
    arguments: str | None = None
    output: str | None = None

    @property
    def characters(self) -> int:
        """Length of all its words."""
        texts = [self.arguments, self.output]
        for content in self.content or []:
            texts += [content.text, content.transcript, content.detail]
        return sum(len(text or "") for text in texts)


def parse_item(raw: Json, new_id: Callable[[str], str]) -> ParsedItem:
    """Read the item of a `conversation.item.create`. The client's own id is kept.

    Raises:
        ProtocolError: a field is missing or of no use.
    """
    try:
        read = _Item.model_validate(raw)
    except ValidationError as error:
        raise explain(error, "item") from None
    if read.characters > MAX_ITEM_CHARACTERS:
        raise ProtocolError(
            f"An item holds at most {MAX_ITEM_CHARACTERS} characters; shorten it.",
            "invalid_value",
            "item",
        )
    item_id = read.id or new_id("item")
    match read.type:
        case "function_call":
            call_id, name = _need(read.call_id, "call_id"), _need(read.name, "name")
            return ParsedItem(FunctionCall(item_id, call_id, name, read.arguments or "{}"))
        case "function_call_output":
            call_id = _need(read.call_id, "call_id")
            return ParsedItem(FunctionOutput(item_id, call_id, read.output or ""))
        case "message":
            return _parse_message(item_id, read)


def _parse_message(item_id: str, read: _Item) -> ParsedItem:
    if read.role is None:
        raise _missing("role")
    parts: list[Part] = []
    audio: bytes | None = None
    pictures: list[bytes] = []
    for content in read.content or []:
        match content.type:
            case "input_audio" | "audio" if read.role == "user" and content.audio:
                if audio is not None:
                    raise ProtocolError("One item holds one piece of audio.", param="item.content")
                audio = decode_base64(content.audio, "item.content.audio")
                parts.append(SpeechPart())
            case "input_image":
                if read.role != "user":
                    raise ProtocolError("Only a user item holds a picture.", param="item.content")
                pictures.append(_picture(content.image_url or ""))
                parts.append(ImagePart(content.detail or "auto"))
            case "input_audio" | "output_audio" | "audio" if read.role == "assistant":
                parts.append(SpokenPart(content.transcript or ""))
            case "input_audio" | "output_audio" | "audio":
                parts.append(TextPart("input_text", content.transcript or ""))
            case _:
                kind: Literal["output_text", "input_text"] = (
                    "output_text" if read.role == "assistant" else "input_text"
                )
                parts.append(TextPart(kind, content.text or ""))
    return ParsedItem(Message(item_id, read.role, parts), audio, tuple(pictures))


def decode_base64(text: str, param: str) -> bytes:
    """Bytes of a base64 field.

    Raises:
        ProtocolError: it is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError(f"{param} is not base64.", "invalid_value", param) from None


def _picture(url: str) -> bytes:
    found = re.match(r"data:image/(?:png|jpe?g);base64,", url)
    if found is None:
        raise ProtocolError(
            "A picture is given as a data URI of a JPEG or PNG: data:image/jpeg;base64,...",
            "invalid_value",
            "item.content.image_url",
        )
    data = decode_base64(url[found.end() :], "item.content.image_url")
    if len(data) > MAX_IMAGE_BYTES:
        raise ProtocolError("A picture is at most 8 MiB.", param="item.content.image_url")
    return data


def _need(value: str | None, name: str) -> str:
    if not value:
        raise _missing(name)
    return value


def _missing(name: str) -> ProtocolError:
    return ProtocolError(f"item.{name} is missing.", "missing_required_parameter", f"item.{name}")
