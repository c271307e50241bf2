"""What a checkpoint folder says about the licence of its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from vita_model.published import SPEECH_FOLDER

CARD_FILE = "README.md"
_PUBLISHED_CLASS = "VITAQwen2ForCausalLM"


class Licence(NamedTuple):
    """Its name, and what an operator must know of it in one or two sentences."""

    name: str
    note: str


PUBLISHED = Licence(
    "VITA-1.5's own licence",
    "Research and education only: no commercial use, no use in production.",
)
UNKNOWN = Licence(
    "not stated",
    f"The folder has no {CARD_FILE} that names a licence: ask whoever made the weights before you"
    " use them.",
)


def licence_of(folder: Path) -> Licence:
    """The terms of the weights in a folder.

    Weights in the published layout are under the published terms, whatever is written beside them.
    Of others the model card counts: `license` (and `license_name`) in front of a `README.md`, as
    the hub has it.
    """
    if _is_published(folder):
        return PUBLISHED
    card = _card(folder / CARD_FILE)
    names = [card[key] for key in ("license_name", "license") if isinstance(card.get(key), str)]
    return Licence(names[0], "So says its model card.") if names else UNKNOWN


def _is_published(folder: Path) -> bool:
    if (folder / SPEECH_FOLDER).is_dir():
        return True
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and _PUBLISHED_CLASS in (config.get("architectures") or ())


def _card(path: Path) -> dict[str, Any]:
    """What stands between the first two lines of dashes."""
    try:
        text = path.read_text(encoding="utf-8")
        found = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else None
    except (OSError, ValueError, IndexError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}
