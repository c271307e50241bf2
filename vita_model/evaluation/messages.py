"""Questions of benchmarks, as chat messages with pictures, films and sound, put to the whole model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from vita_model.assembly import VitaModel
from vita_model.audio.read import Waveform
from vita_model.media import MediaError, Source
from vita_model.processor import MOST_TILES, Message, VitaProcessor

MOST_TOKENS = 256


class Answerer:
    """Answers conversations with the likeliest words, one conversation at a time."""

    def __init__(
        self, model: VitaModel, processor: VitaProcessor, *, most_tiles: int = MOST_TILES
    ) -> None:
        self._model = model
        self._processor = processor
        self._most_tiles = most_tiles

    def __call__(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        most_tokens: int = MOST_TOKENS,
        until: Sequence[str] = (),
    ) -> tuple[str, int]:
        """The answer to the last message, cut before any of `until`, and its length in tokens.

        Args:
            messages: `{"role", "content"}`, content a list of `{"type": "text", "text"}` and
                `{"type": "image", "video" or "audio", "url"}`. A picture is one of PIL's or a
                file, a film a file, sound `{"array", "sampling_rate"}` or a file.
            most_tokens: Longest answer.
            until: Words that end an answer.

        Raises:
            MediaError: Something cannot be read, or the conversation is none.
            ContextError: The last message does not fit.
        """
        persona, turns = conversation(messages)
        inputs = self._processor(
            turns, persona=persona, most_tiles=self._most_tiles, reserve=most_tokens
        )
        llm = self._model.language
        inputs = inputs.to(llm.get_input_embeddings().weight.device)
        state = self._processor.state()
        ids = llm.generate(**inputs, state=state, max_new_tokens=most_tokens)[0].cpu()
        _, text = self._processor.decode(ids)
        for stop in until:
            if stop:
                text = text.split(stop)[0]
        return text.strip(), len(ids)


def conversation(messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[Message]]:
    """What the system says, and the turns."""
    persona = ""
    turns: list[Message] = []
    for message in messages:
        pieces = message["content"]
        if isinstance(pieces, str):
            pieces = [{"type": "text", "text": pieces}]
        words = "\n".join(str(p["text"]) for p in pieces if p["type"] == "text" and p["text"])
        if message["role"] == "system":
            persona = words
            continue
        films = [_file(p["url"]) for p in pieces if p["type"] == "video"]
        sounds = [_sound(p["url"]) for p in pieces if p["type"] == "audio"]
        if len(films) > 1 or len(sounds) > 1:
            raise MediaError("A message may hold one film and one recording; send several.")
        turns.append(
            Message(
                role=message["role"],
                text=words,
                images=[_picture(p["url"]) for p in pieces if p["type"] == "image"],
                video=films[0] if films else None,
                audio=sounds[0] if sounds else None,
            )
        )
    return persona, turns


def _picture(given: Any) -> Image.Image | Source:
    return given.convert("RGB") if isinstance(given, Image.Image) else _file(given)


def _sound(given: Any) -> Source | Waveform:
    if isinstance(given, Mapping) and given.get("array") is not None:
        return np.asarray(given["array"], np.float32), int(given["sampling_rate"])
    return _file(given)


def _file(given: Any) -> Source:
    if isinstance(given, Mapping):
        given = given.get("bytes") or given.get("path")
    if isinstance(given, bytes):
        return given
    if isinstance(given, str | Path):
        return Path(str(given).removeprefix("file://"))
    raise MediaError(f"A {type(given).__name__} is no file; give its path or its content.")


def as_until(options: Mapping[str, Any]) -> list[str]:
    """`until` of a benchmark's settings: nothing, a word or several."""
    given = options.get("until")
    return [given] if isinstance(given, str) else list(cast(Sequence[str], given or ()))
