from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training import data
from tests.vita_model import small


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.checkpoint(tmp_path_factory.mktemp("begin"))


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {
        "conversation": data.conversations(folder / "chats"),
        "transcription": data.recordings(folder / "said"),
        "speech": data.recordings(folder / "voice", 24_000, 0.12),
        "codec": data.recordings(folder / "voice", 24_000, 0.12),
    }


@pytest.fixture(autouse=True)
def _learning() -> Iterator[None]:
    with torch.enable_grad():
        yield
