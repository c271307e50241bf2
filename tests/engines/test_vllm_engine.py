"""The vLLM engine keeps the contract, in an environment that has vLLM (docs/model-servers.md)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator

import pytest

from tests.engines import small
from tests.engines.contract import CHECKS, Check
from tests.engines.host import Host
from vita_model.engine.grammar import Grammars

pytestmark = pytest.mark.unit

INSTALLED = importlib.util.find_spec("vllm") is not None
needs_vllm = pytest.mark.skipif(
    not INSTALLED, reason="vLLM is not installed (docs/model-servers.md)"
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    from vita_model.engine.vllm_engine import VllmEngine
    from vita_model.engine.vllm_settings import VllmSettings

    settings = VllmSettings(
        small.save(tmp_path_factory.mktemp("small")),
        "float32",
        limit=small.LIMIT,
        answers=8,
        cache_bytes=1 << 28,
        eager=True,
    )
    grammars = Grammars(small.tokenizer(), small.marks())
    engine = VllmEngine(settings, small.tokenizer(), states=small.states(), grammars=grammars)
    found = Host(engine, small.LIMIT)
    yield found
    found.close()


@needs_vllm
@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check: Check, host: Host) -> None:
    await check(host)


@pytest.mark.skipif(INSTALLED, reason="vLLM is installed")
def test_without_vllm_one_sentence_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"docs/model-servers\.md"):
        importlib.import_module("vita_model.engine.vllm_engine")
