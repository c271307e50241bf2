"""The torch engine keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines import small
from tests.engines.contract import CHECKS, Check
from tests.engines.host import Host
from vita_model.engine.grammar import Grammars
from vita_model.engine.language import LanguageModel
from vita_model.engine.packed import qwen2_weights
from vita_model.engine.torch_engine import TorchEngine

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    engine = TorchEngine(
        LanguageModel(qwen2_weights(small.model())),
        small.tokenizer(),
        states=small.states(),
        marks=small.marks(),
        constraints=Grammars(small.tokenizer(), small.marks()).constraint,
    )
    found = Host(engine)
    yield found
    found.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check: Check, host: Host) -> None:
    await check(host)
