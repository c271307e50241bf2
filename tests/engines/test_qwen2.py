"""The torch engine on transformers' Qwen2 keeps the contract."""

from __future__ import annotations

import pytest

from tests.engines import small
from tests.engines.contract import CHECKS, Check
from vita_model.engine.engine import LanguageEngine
from vita_model.engine.grammar import Grammars
from vita_model.engine.qwen2_engine import Qwen2Engine

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def engine() -> LanguageEngine:
    grammars = Grammars(small.tokenizer(), small.marks())
    return Qwen2Engine(small.model(), grammars, small.marks(), limit=small.LIMIT)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check: Check, engine: LanguageEngine) -> None:
    await check(engine)
