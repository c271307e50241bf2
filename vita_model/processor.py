"""Text, sound, pictures and video to what the language model takes, within its context."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoProcessor, BatchFeature

from vita_model.assembly import read_config
from vita_model.audio.features import filter_bank, frame_count, language_positions
from vita_model.audio.read import Samples, Waveform, read_audio
from vita_model.checkpoint import CheckpointError
from vita_model.config import CONFIG_FILE, VitaConfig
from vita_model.engine.voice import TooLongError
from vita_model.generation import StateChoice
from vita_model.hub import folder_of, refuse_unknown
from vita_model.media import MediaError, Source, read_bytes
from vita_model.prompt import GLYPHS, Marker, Media, Turn, build_prompt, split_marker, tokenize
from vita_model.qwen2 import VitaQwen2Config
from vita_model.splice import AUDIO, IMAGE
from vita_model.vision import tiling
from vita_model.vision.picture import checked, read_picture
from vita_model.vision.video import live_frames, read_video

Picture: TypeAlias = Source | Image.Image

TOKENIZER_FILE = "tokenizer.json"
MOST_TILES = 12
NOT_KEPT = "(a spoken question that is no longer kept)"
"""Stands for sound that was dropped and whose words are not known."""


class ContextError(TooLongError):
    """A conversation does not fit the model's context, whatever is left out of its past."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: Who speaks; `tool` is the answer to a tool call.
        text: What was typed or written.
        images: Pictures: files or opened ones.
        video: A file, or the latest frames of a live camera.
        audio: What was said: a file, or samples with their rate.
        transcript: The words of `audio` if they are known; they stand for it once it is dropped.
        marker: Of the assistant: the state its answer began with.
    """

    role: Literal["user", "assistant", "tool"] = "user"
    text: str = ""
    images: Sequence[Picture] = ()
    video: Source | Sequence[Image.Image] | None = None
    audio: Source | Waveform | None = None
    transcript: str = ""
    marker: Marker | None = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A message whose media are read."""

    message: Message
    tiles: Sequence[Image.Image] = ()
    sound: Samples | None = None

    @property
    def heavy(self) -> bool:
        return bool(self.tiles) or self.sound is not None

    def light(self) -> _Prepared:
        """Without its media; the words stay."""
        return _Prepared(self.message)

    def turn(self) -> Turn:
        message = self.message
        spoken: tuple[str | Media, ...] = (Media.AUDIO,) if self.sound is not None else ()
        if message.audio is not None and not spoken:
            spoken = (message.transcript or NOT_KEPT,)
        shown = (Media.IMAGE,) * len(self.tiles)
        return Turn(message.role, (*shown, message.text, *spoken), message.marker)


class VitaProcessor:
    """Makes the model's input of a conversation. Holds no weights, and may be shared."""

    def __init__(self, tokenizer: Tokenizer, config: VitaConfig) -> None:
        known = config.language.vocab_size
        if tokenizer.get_vocab_size() > known:
            raise CheckpointError(
                f"The tokenizer has {tokenizer.get_vocab_size()} tokens and the model knows {known};"
                " use the one of the model."
            )
        self.tokenizer = tokenizer
        self.config = config
        self._markers = {marker: self._one(glyph) for marker, glyph in GLYPHS.items()}
        self._end = self._one("<|im_end|>")

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        **options: object,
    ) -> Self:
        """Read the tokenizer and the sizes of a checkpoint.

        Args:
            name: A folder or a hub id.
            revision: See `vita_model.hub.folder_of`, also for the next three.
            cache_dir: Where downloads are kept.
            local_files_only: Never download.
            token: For repositories that are not public.
            options: Anything that is set is refused.

        Raises:
            CheckpointError: There is no such checkpoint, or it lacks one of them.
        """
        refuse_unknown(options, cls.__name__)
        folder = folder_of(
            name,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            token=token,
        )
        path = folder / TOKENIZER_FILE
        config = read_config(folder)
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            raise CheckpointError(f"{path} is no readable tokenizer: {error}") from error
        return cls(tokenizer, config)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write what `from_pretrained` reads; a model may be saved into the same folder."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(path / TOKENIZER_FILE))
        if not (path / CONFIG_FILE).is_file():
            (path / CONFIG_FILE).write_text(json.dumps(self.config.to_json(), indent=2))

    def state(self) -> StateChoice:
        """For one `generate`: holds the first token to a state and keeps its probabilities."""
        return StateChoice(self._markers, self._end)

    def decode(self, ids: Tensor) -> tuple[Marker | None, str]:
        """The state an answer begins with, and its text; from ids `[n]`."""
        kept = [number for number in ids.tolist() if number != self._end]
        text: str = self.tokenizer.decode(kept, skip_special_tokens=False)
        return split_marker(text.lstrip())

    def __call__(
        self,
        conversation: str | Message | Sequence[Message],
        *,
        persona: str = "",
        tools: Sequence[Mapping[str, Any]] = (),
        most_tiles: int = MOST_TILES,
        reserve: int = 512,
    ) -> BatchFeature:
        """Prepare a conversation that ends with the user or a tool.

        The pictures of a message share `most_tiles`: of two each gets half. Frames of video are
        one tile each. What does not fit the context is left out, oldest first: sound and pictures
        of past messages, then past messages. The last message is never cut.

        Args:
            conversation: One question, or all turns so far.
            persona: Instructions of the business.
            tools: Functions as JSON objects with `name`, `description` and `parameters`.
            most_tiles: Tiles of the pictures of one message, thumbnails not counted.
            reserve: Positions kept free for the answer.

        Returns:
            `input_ids` int64 `[1, n]` and, where there is such a thing, `pixel_values`
            `[tiles, 3, size, size]`, `audio_features` `[utterances, frames, bins]` and
            `audio_lengths` int64 `[utterances]`: the arguments of the model's `generate`.

        Raises:
            MediaError: Something given cannot be used; the message says what to do.
            ContextError: The last message is too long for the context.
        """
        messages = _listed(conversation)
        prepared = [self._prepare(message, most_tiles) for message in messages]
        prepared, ids = self._fit(prepared, persona, tools, reserve)
        found: dict[str, Tensor] = {"input_ids": torch.tensor([ids])}
        tiles = [tile for one in prepared for tile in one.tiles]
        if tiles:
            found["pixel_values"] = tiling.batch(tiles, self._size)
        sounds = [one.sound for one in prepared if one.sound is not None]
        if sounds:
            banks = [filter_bank(torch.from_numpy(sound), self._bins) for sound in sounds]
            found["audio_features"] = pad_sequence(banks, batch_first=True)
            found["audio_lengths"] = torch.tensor([bank.shape[0] for bank in banks])
        return BatchFeature(found)

    @property
    def _size(self) -> int:
        return self.config.vision.image_size if self.config.vision else 448

    @property
    def _bins(self) -> int:
        return int(getattr(self.config.audio, "mel_bins", 80))

    def _one(self, text: str) -> int:
        ids = self._encode(text)
        if len(ids) != 1:
            raise CheckpointError(
                f"The tokenizer splits {text} into {len(ids)} tokens; use the one of the model."
            )
        return ids[0]

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def _prepare(self, message: Message, most_tiles: int) -> _Prepared:
        if message.role != "user" and (
            message.images or message.video is not None or message.audio is not None
        ):
            raise MediaError(f"Sound and pictures belong to the user, not to the {message.role}.")
        if (message.images or message.video is not None) and self.config.vision is None:
            raise MediaError("This model has no eye; leave pictures and video out.")
        tiles: list[Image.Image] = []
        if message.images:
            share = max(1, most_tiles // len(message.images))
            for picture in message.images:
                tiles += tiling.tiles(self._read_picture(picture), share, self._size)
        if isinstance(message.video, str | Path | bytes):
            tiles += read_video(message.video)
        elif message.video is not None:
            frames = [self._read_picture(frame) for frame in live_frames(message.video)]
            tiles += [tile for frame in frames for tile in tiling.tiles(frame, 1, self._size)]
        sound = None if message.audio is None else read_audio(message.audio)
        return _Prepared(message, tiles, sound)

    def _read_picture(self, picture: Picture) -> Image.Image:
        if isinstance(picture, Image.Image):
            return checked(picture)
        # The widest grid is twelve tiles; the reader leaves at least four times what it is told.
        return read_picture(read_bytes(picture, "picture"), 3 * self._size)

    def _fit(
        self,
        prepared: Sequence[_Prepared],
        persona: str,
        tools: Sequence[Mapping[str, Any]],
        reserve: int,
    ) -> tuple[list[_Prepared], list[int]]:
        kept = list(prepared)
        room = self.config.max_length - reserve

        def measure() -> tuple[list[int], int]:
            ids = self._ids(kept, persona, tools)
            return ids, self._positions(ids, kept)

        ids, length = measure()
        for place, one in enumerate(kept[:-1]):
            if length <= room:
                break
            if one.heavy:
                kept[place] = one.light()
                ids, length = measure()
        while length > room and len(kept) > 1:
            kept = _later(kept)
            ids, length = measure()
        if length > room:
            raise ContextError(
                f"The last message takes {length} positions with its instructions and there is room"
                f" for {room}; send less text, fewer pictures or a shorter recording."
            )
        return kept, ids

    def _ids(
        self, kept: Sequence[_Prepared], persona: str, tools: Sequence[Mapping[str, Any]]
    ) -> list[int]:
        video = any(one.tiles and one.message.video is not None for one in kept)
        prompt = build_prompt(
            [one.turn() for one in kept], persona=persona, tools=tools, video=video
        )
        encode: Callable[[str], Sequence[int]] = self._encode
        return tokenize(prompt, encode)

    def _positions(self, ids: Sequence[int], kept: Sequence[_Prepared]) -> int:
        vision = self.config.vision
        tiles = ids.count(IMAGE)
        sounds = [one.sound.shape[0] for one in kept if one.sound is not None]
        rows = sum(language_positions(frame_count(samples)) for samples in sounds)
        rows += self.config.audio_prompt_rows * len(sounds)
        text = len(ids) - tiles - ids.count(AUDIO)
        return text + rows + tiles * (vision.rows_per_tile if vision else 0)


def _listed(conversation: str | Message | Sequence[Message]) -> list[Message]:
    if isinstance(conversation, str):
        conversation = Message(text=conversation)
    messages = [conversation] if isinstance(conversation, Message) else list(conversation)
    if not messages or not all(isinstance(message, Message) for message in messages):
        raise MediaError("A conversation is a text, a message or a list of messages.")
    if messages[-1].role == "assistant":
        raise MediaError("The assistant spoke last; a conversation to answer ends with the user.")
    return messages


def _later(kept: list[_Prepared]) -> list[_Prepared]:
    """Without the oldest message, and without answers whose question went with it."""
    rest = kept[1:]
    while len(rest) > 1 and rest[0].message.role != "user":
        rest = rest[1:]
    return rest


AutoProcessor.register(VitaQwen2Config, VitaProcessor)
