from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from vita_model.golden.case import Case, Found, judge

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


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.no_grad():
        yield
