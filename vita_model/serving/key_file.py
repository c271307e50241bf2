"""The file keys are kept in, and the keys a running server takes from it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vita_model.serving.keys import Key, KeyRing, Scope

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 1.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")


class KeyFileError(Exception):
    """The file cannot be used. The message says what to do."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    scopes: list[Scope]
    sessions: Annotated[int, Field(ge=0)] = 0
    per_minute: Annotated[int, Field(ge=0)] = 0
    created: str = ""


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[_Entry]


class KeyFile:
    """A JSON file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Key]:
        """All keys; none when there is no file yet.

        Raises:
            KeyFileError: it cannot be read.
        """
        try:
            content = _Content.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KeyFileError(
                f"The keys in {self.path} cannot be read: {error.strerror}."
            ) from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise KeyFileError(
                f"The keys in {self.path} cannot be read: {place} {first['msg']}. "
                "Write the file with `vita model keys`."
            ) from None
        return [
            Key(
                entry.name,
                entry.digest,
                frozenset(entry.scopes),
                entry.sessions,
                entry.per_minute,
                entry.created,
            )
            for entry in content.keys
        ]

    def add(self, key: Key) -> None:
        """Add a key.

        Raises:
            KeyFileError: there is one of this name, or the name is none, or nothing can be written.
        """
        if not _NAME.fullmatch(key.name):
            raise KeyFileError(
                f"{key.name!r} is no name for a key: use up to 64 letters, digits, spaces and ._-"
            )
        keys = self.read()
        if any(known.name == key.name for known in keys):
            raise KeyFileError(f"There is a key {key.name!r} already: choose another name.")
        self._write([*keys, key])

    def revoke(self, name: str) -> None:
        """Remove a key.

        Raises:
            KeyFileError: there is none of this name, or nothing can be written.
        """
        keys = self.read()
        kept = [key for key in keys if key.name != name]
        if len(kept) == len(keys):
            raise KeyFileError(f"There is no key {name!r}; `vita model keys list` names them.")
        self._write(kept)

    def _write(self, keys: Sequence[Key]) -> None:
        """Put a whole new file in the place of the old one: a server may be reading it."""
        entries = [asdict(key) | {"scopes": sorted(key.scopes)} for key in keys]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self.path.parent, prefix=f".{self.path.name}.", delete=False
            ) as new:
                json.dump({"keys": entries}, new, indent=2)
            Path(new.name).replace(self.path)
        except OSError as error:
            raise KeyFileError(
                f"The keys in {self.path} cannot be written: {error.strerror}."
            ) from None

    def version(self) -> tuple[int, int, int] | None:
        """Changes with the file; None without one."""
        with suppress(OSError):
            state = self.path.stat()
            return state.st_mtime_ns, state.st_size, state.st_ino
        return None


class Keys:
    """The keys of a running server: some that never change, and those of a file, looked at again.

    Attributes:
        ring: What counts now.
    """

    def __init__(self, fixed: Sequence[Key] = (), file: KeyFile | None = None) -> None:
        """Read the file for the first time.

        Raises:
            KeyFileError: it cannot be read.
        """
        self._fixed = fixed
        self._file = file
        self._version = None if file is None else file.version()
        self.ring = KeyRing([*fixed, *(file.read() if file is not None else [])])

    async def follow(self) -> None:
        """Take over changes of the file, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._file is not None:
                await asyncio.to_thread(self._look, self._file)

    def _look(self, file: KeyFile) -> None:
        version = file.version()
        if version == self._version:
            return
        self._version = version
        try:
            self.ring = KeyRing([*self._fixed, *file.read()])
        except KeyFileError as error:
            log.error("%s The keys stay as they were.", error)  # noqa: TRY400 - it says it all
        else:
            log.info("keys read again")
