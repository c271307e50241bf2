from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.vita_model.small import checkpoint
from vita_model.assembly import VitaForConditionalGeneration, load_model
from vita_model.golden.case import Case, Found, judge
from vita_model.processor import VitaProcessor

GOLDEN = Path(__file__).parents[1] / "golden"


class Reference(Case):
    """A folder of reference tensors, asked about single outputs."""

    def agrees(self, name: str, found: torch.Tensor) -> bool:
        return not any(
            name in failure.split(" ")[:1] for failure in judge(self, [Found(name, found)]).failures
        )


@pytest.fixture
def golden() -> Callable[[str], Reference]:
    return lambda name: Reference(GOLDEN / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights."""
    return checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def processor(folder: Path) -> VitaProcessor:
    return VitaProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> VitaForConditionalGeneration:
    return load_model(folder).language


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.no_grad():
        yield
