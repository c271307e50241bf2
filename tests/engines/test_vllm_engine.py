"""The vLLM engine keeps the contract, in an environment that has vLLM (docs/model-servers.md)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.engines import small
from tests.engines.contract import CHECKS, Check
from tests.engines.host import Host
from vita_model.engine.engine import EngineStoppedError
from vita_model.engine.grammar import Grammars
from vita_model.engine.voice import State

pytestmark = pytest.mark.unit

INSTALLED = importlib.util.find_spec("vllm") is not None
needs_vllm = pytest.mark.skipif(
    not INSTALLED, reason="vLLM is not installed (docs/model-servers.md)"
)


def started(folder: Path) -> Host:
    from vita_model.engine.vllm_engine import VllmEngine
    from vita_model.engine.vllm_settings import VllmSettings

    settings = VllmSettings(
        small.save(folder),
        "float32",
        limit=small.LIMIT,
        answers=8,
        cache_bytes=1 << 28,
        eager=True,
    )
    grammars = Grammars(small.tokenizer(), small.marks())
    engine = VllmEngine(settings, small.tokenizer(), states=small.states(), grammars=grammars)
    return Host(engine, small.LIMIT)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    found = started(tmp_path_factory.mktemp("small"))
    yield found
    found.close()


@needs_vllm
@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check: Check, host: Host) -> None:
    await check(host)


@needs_vllm
@pytest.mark.slow
async def test_when_vllm_dies_answers_fail_and_the_engine_stands_still(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    host = started(tmp_path)
    stream, _ = host.begin("dies", [5, 6, 7], limit=550)
    reading = stream.events()
    assert isinstance(await anext(reading), State)
    for process in set(psutil.Process().children(recursive=True)) - before:
        process.kill()
    with pytest.raises(EngineStoppedError, match="restart"):
        _ = [event async for event in reading]
    with pytest.raises(EngineStoppedError, match="restart"):
        await host.ask("later", [5, 6, 7], limit=4)
    still = host.engine.stats().step_s
    assert 0 < still < host.engine.stats().step_s  # the watchdog ends the server by this
    host.close()


@pytest.mark.skipif(INSTALLED, reason="vLLM is installed")
def test_without_vllm_one_sentence_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"docs/model-servers\.md"):
        importlib.import_module("vita_model.engine.vllm_engine")
