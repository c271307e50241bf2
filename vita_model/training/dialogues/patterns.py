"""Loads hand-written phrasings and keeps training and test phrasings apart."""

import hashlib
import random
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from vita_model.training.dialogues.model import Split

_TEST_SHARE = 15
_GROUP = re.compile(r"\(([^()]*)\)")


def _bucket(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 100


def _wording(line: str) -> str:
    return re.sub(r"\{\w+\}", "{}", line)


def pattern_id(section: str, line: str) -> str:
    """The stable id of one phrasing line of a section."""
    return f"{section}.{hashlib.sha256(line.encode()).hexdigest()[:8]}"


@cache
def load(name: str) -> Any:
    """The content of the data file `name`.yaml.

    Raises yaml.YAMLError when the file is malformed.
    """
    path = files("vita_model.training.dialogues").joinpath("data", f"{name}.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def lines(block: str) -> tuple[str, ...]:
    """The lines of a literal block, blank ones left out."""
    return tuple(line.strip() for line in block.splitlines() if line.strip())


@cache
def held_out(section: str, block: str) -> frozenset[str]:
    """The ids of the test phrasings of a block.

    These are the lines whose wording hashes below the test share (the same wording in
    two sections lies on the same side) and, so that every kind of phrasing can be
    tested, one of each four or more lines with the same slots.
    """
    alike: dict[frozenset[str], list[str]] = {}
    for line in lines(block):
        alike.setdefault(slots_of(line), []).append(line)
    out: set[str] = set()
    for group in alike.values():
        chosen = {line for line in group if _bucket(_wording(line)) < _TEST_SHARE}
        out |= chosen or (
            {min(group, key=lambda line: _bucket(_wording(line)))} if len(group) >= 4 else set()
        )
    return frozenset(pattern_id(section, line) for line in out)


@cache
def pool(section: str, block: str, split: Split) -> tuple[tuple[str, str], ...]:
    """The (pattern id, line) pairs of a block on one side of the split."""
    tests = held_out(section, block)
    pairs = ((pattern_id(section, line), line) for line in lines(block))
    return tuple(pair for pair in pairs if (pair[0] in tests) == (split == "test"))


def expand(line: str, rng: random.Random) -> str:
    """One random reading of a line with (this|that|) alternatives."""
    while match := _GROUP.search(line):
        line = line[: match.start()] + rng.choice(match[1].split("|")) + line[match.end() :]
    return re.sub(r"\s+", " ", line).strip()


def slots_of(line: str) -> frozenset[str]:
    """The names of the {slots} in a line."""
    return frozenset(re.findall(r"\{(\w+)\}", line))


@cache
def _share(values: tuple[str, ...], split: Split) -> tuple[str, ...]:
    kept = tuple(v for v in values if (_bucket(v) < _TEST_SHARE) == (split == "test"))
    return kept if len(values) >= 12 and kept else values


def pick(rng: random.Random, values: Sequence[str], split: Split) -> str:
    """A random value; long lists keep some values for the test side alone."""
    return rng.choice(_share(tuple(values), split))
