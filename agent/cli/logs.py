"""Where logs go while the terminal shows something else."""

from __future__ import annotations

import logging
from pathlib import Path

from agent.errors import ConfigurationError
from agent.log import configure_logging


def log_to(path: Path) -> None:
    """Write the logs of this process to a file.

    Call it before Pipecat is imported, which would greet on the terminal.

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
    configure_logging("json")
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(file)
