"""Words are chosen as a session wants it: the likeliest, or by chance and again the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from tests.engines import small
from tests.engines.host import Host
from vita_model.engine.grammar import Grammars
from vita_model.engine.language import LanguageModel
from vita_model.engine.packed import qwen2_weights
from vita_model.engine.sampling import Sampler
from vita_model.engine.torch_engine import TorchEngine
from vita_model.engine.voice import Sampling
from vita_model.serving.events import ProtocolError
from vita_model.serving.session import Session

pytestmark = pytest.mark.unit

SCORES = torch.log(torch.tensor([0.5, 0.0, 0.3, 0.2]))


def drawn(sampling: Sampling, times: int = 400) -> list[float]:
    """Share of every token."""
    sampler = Sampler(sampling)
    tokens = [sampler(SCORES.clone()) for _ in range(times)]
    return [tokens.count(token) / times for token in range(len(SCORES))]


def test_without_a_temperature_the_likeliest_is_written() -> None:
    assert drawn(Sampling(seed=5), 5) == [1.0, 0.0, 0.0, 0.0]


def test_shares_follow_the_temperature_and_what_is_ruled_out_never_comes() -> None:
    assert drawn(Sampling(1.0, seed=1)) == pytest.approx([0.5, 0.0, 0.3, 0.2], abs=0.08)
    cold, hot = drawn(Sampling(0.2, seed=1))[0], drawn(Sampling(2.0, seed=1))[0]
    assert cold > 0.85
    assert hot < 0.48


def test_top_p_leaves_the_likeliest() -> None:
    assert drawn(Sampling(1.0, top_p=0.75, seed=2)) == pytest.approx([0.625, 0, 0.375, 0], abs=0.08)
    assert drawn(Sampling(2.0, top_p=0.01, seed=2), 20) == [1.0, 0.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    found = Host(
        TorchEngine(
            LanguageModel(qwen2_weights(small.model())),
            small.tokenizer(),
            states=small.states(),
            marks=small.marks(),
            constraints=Grammars(small.tokenizer(), small.marks()).constraint,
        )
    )
    yield found
    found.close()


async def test_a_seed_gives_the_same_answer_again_and_another_seed_another(host: Host) -> None:
    names = list(range(40, 80))
    chance = Sampling(1.0, seed=7)
    options = [Sampling(), chance, chance, replace(chance, seed=8), Sampling(seed=9)]
    said = [
        (await host.ask(f"{number}", names, limit=20, sampling=sampling)).text
        for number, sampling in enumerate(options)
    ]
    assert said[1] == said[2]
    assert len({said[0], said[1], said[3]}) == 3
    assert said[4] == said[0]


def test_a_session_says_how_and_an_answer_may_say_otherwise() -> None:
    session = Session()
    assert session.options(None).sampling == Sampling()
    session = session.updated({"vita_sampling": {"temperature": 0.7, "seed": 3}})
    session = session.updated({"vita_sampling": {"top_p": 0.9}})
    assert session.options(None).sampling == Sampling(0.7, 0.9, 3)
    assert session.options({"vita_sampling": {}}).sampling == Sampling()
    assert session.updated({"temperature": 0.8}).options(None).sampling == Sampling(0.7, 0.9, 3)


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"temperature": 3}, {"top_p": 0}, {"seed": -1}, {"seed": "x"}]
)
def test_what_cannot_be_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError) as refused:
        Session().updated({"vita_sampling": wrong})
    assert refused.value.param is not None
    assert "vita_sampling" in refused.value.param
