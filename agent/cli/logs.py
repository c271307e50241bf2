"""Where logs go while the terminal shows something else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import ConfigurationError
from agent.log import configure_logging


@contextmanager
def logs_in(path: Path) -> Iterator[None]:
    """Write the logs of this process to a file while the block runs.

    Pipecat greets on the terminal when it is imported: import it inside.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"The log {path} cannot be written: {error.strerror}; give another --data-dir."
        ) from error
    with file:
        configure_logging("json")
        (handler,) = logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(file)
        try:
            yield
        finally:
            configure_logging()
