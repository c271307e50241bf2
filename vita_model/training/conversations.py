"""Conversations in the JSON of the published code, checked example by example.

A file is a list of objects: `conversations` ([{from: human or gpt, value}]) with `<image>`,
`<audio>` and `<video>` where media stand, their files under `image`, `audio` and `video`,
`inserted_id` for the answer to a sound that nobody addressed to the agent, and `end_tag: false` for
an answer that was interrupted (`vita-1.5`, README and loader). `set` names the folder of the media.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vita_model.prompt import Marker


class DatasetError(ValueError):
    """A dataset cannot be used; the message names the file and the example."""


def _listed(value: Any) -> Any:
    return [] if value is None else [value] if isinstance(value, str) else value


Files = Annotated[list[str], BeforeValidator(_listed)]


class Saying(BaseModel):
    """One turn."""

    model_config = ConfigDict(populate_by_name=True, frozen=True)
    who: Literal["human", "gpt"] = Field(alias="from")
    value: str


class Record(BaseModel):
    """One example as it is in the file."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: str | int | None = None
    set: str | None = None
    conversations: list[Saying] = Field(min_length=2)
    image: Files = []
    audio: Files = []
    video: Files = []
    inserted_id: int | None = None
    end_tag: bool = True


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation, its media found.

    Attributes:
        place: File and number, for messages.
        sayings: The turns; the first is the user's, the last the agent's.
        images: Files of `<image>` marks, in order.
        audios: Files of `<audio>` marks, in order.
        video: File of the `<video>` mark.
        markers: State of each answer.
        closed: The last answer was not interrupted.
    """

    place: str
    sayings: tuple[Saying, ...]
    images: tuple[Path, ...]
    audios: tuple[Path, ...]
    video: Path | None
    markers: tuple[Marker, ...]
    closed: bool


def read_examples(file: Path, folders: Mapping[str, Path] | None = None) -> list[Example]:
    """Read and check a dataset.

    Args:
        file: A JSON list, or one object a line (`.jsonl`).
        folders: Where the media of each `set` are; by default beside the file, in a folder of the
            set's name if there is one.

    Raises:
        DatasetError: The file or an example is of no use. Every faulty example is named.
    """
    faults: list[str] = []
    examples: list[Example] = []
    for number, data in enumerate(_objects(file)):
        place = f"{file} example {number}"
        try:
            record = Record.model_validate(data)
            examples.append(_example(record, place, _folder(record, file, folders or {})))
        except ValidationError as error:
            first = error.errors()[0]
            where = " > ".join(str(step) for step in first["loc"])
            faults.append(f"{place}: {where}: {first['msg']}")
        except ValueError as error:
            faults.append(f"{place}: {error}")
    refuse_faults("These examples cannot be used:", faults)
    if not examples:
        raise DatasetError(f"{file} holds no example.")
    return examples


def refuse_faults(title: str, faults: Sequence[str]) -> None:
    """Name the first twenty faults of a dataset under a title, if there are any.

    Raises:
        DatasetError: There are.
    """
    if faults:
        more = [f"... and {len(faults) - 20} more"] if len(faults) > 20 else []
        raise DatasetError("\n".join([title, *faults[:20], *more]))


def _objects(file: Path) -> list[Any]:
    try:
        text = file.read_text()
        if file.suffix == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        data = json.loads(text)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(data, list):
        raise DatasetError(f"{file} must be a list of examples.")
    return data


def _folder(record: Record, file: Path, folders: Mapping[str, Path]) -> Path:
    if record.set is not None and record.set in folders:
        return folders[record.set]
    named = file.parent / (record.set or "")
    return named if named.is_dir() else file.parent


def _example(record: Record, place: str, folder: Path) -> Example:
    sayings = record.conversations
    for index, saying in enumerate(sayings):
        wanted = "human" if index % 2 == 0 else "gpt"
        if saying.who != wanted:
            raise ValueError(f"turn {index} is from {saying.who} where {wanted} has its turn")
    if sayings[-1].who != "gpt":
        raise ValueError("the last turn is not the agent's")
    said = "".join(saying.value for saying in sayings if saying.who == "human")
    for kind, files in (("image", record.image), ("audio", record.audio), ("video", record.video)):
        marks = said.count(f"<{kind}>")
        if marks != len(files):
            raise ValueError(f"{marks} <{kind}> marks stand against {len(files)} files")
    if len(record.video) > 1:
        raise ValueError("one video at most can be shown")
    return Example(
        place=place,
        sayings=tuple(sayings),
        images=tuple(_found(folder, "image", name) for name in record.image),
        audios=tuple(_found(folder, "audio", name) for name in record.audio),
        video=_found(folder, "video", record.video[0]) if record.video else None,
        markers=_markers(sayings, record.inserted_id),
        closed=record.end_tag,
    )


def _found(folder: Path, kind: str, name: str) -> Path:
    """The file itself, or the one in the folder that the published loader looks into."""
    for path in (folder / name, folder / kind / name):
        if path.is_file():
            return path
    raise ValueError(f"the {kind} {folder / name} is not there")


def _markers(sayings: list[Saying], inserted: int | None) -> tuple[Marker, ...]:
    """Spoken questions are answered after one sign, typed ones after another, noise after a third."""
    if inserted is not None and (
        not 0 <= inserted < len(sayings) or sayings[inserted].who != "gpt"
    ):
        raise ValueError(f"inserted_id {inserted} is no answer")
    markers: list[Marker] = []
    for index in range(1, len(sayings), 2):
        spoken = "<audio>" in sayings[index - 1].value
        noise = index == inserted
        markers.append("noise" if noise else "query" if spoken else "typed")
    return tuple(markers)
