"""The reader writes what it hears, unit after unit, and stops."""

import pytest
import torch
from torch.nn.functional import pad

from vita_model.audio.reader import END, Reader, ReaderConfig

pytestmark = pytest.mark.unit
UNITS = 12


@pytest.fixture
def reader() -> Reader:
    torch.manual_seed(3)
    made = Reader(ReaderConfig(width=32, heads=2, hidden=64, layers=2, longest=16, units=UNITS))
    for place in (made.table, made.starts, made.positions):
        torch.nn.init.normal_(place, std=0.5)
    made.unit_ids = torch.arange(100, 100 + UNITS, dtype=torch.int32)
    return made.eval()


@torch.no_grad()
def test_step_by_step_it_finds_what_the_whole_says_comes_next(reader: Reader) -> None:
    rows = torch.randn(80, 32)
    found = reader.read(rows, width=1)
    assert found
    whole = reader(rows[None], torch.tensor([80]), torch.tensor([found]))[0]
    assert whole.argmax(-1)[: len(found)].tolist() == found


@torch.no_grad()
def test_several_beginnings_find_a_likelier_whole(reader: Reader) -> None:
    def score(rows: torch.Tensor, units: list[int]) -> float:
        logits = reader(rows[None], torch.tensor([len(rows)]), torch.tensor([units]).long())[0]
        chances = logits.log_softmax(-1)
        ended = [*units, END] if len(units) < 8 else units  # 8: as many as 24 rows may hold
        return sum(float(chances[at, unit]) for at, unit in enumerate(ended))

    reader.norm.weight.fill_(0.5)  # nothing is certain
    better = 0
    for _ in range(8):
        rows = 3 * torch.randn(24, 32)
        alone, beam = reader.read(rows, width=1), reader.read(rows)
        assert score(rows, beam) >= score(rows, alone) - 1e-4
        better += beam != alone
    assert better


@torch.no_grad()
def test_padding_is_not_heard(reader: Reader) -> None:
    rows, said = torch.randn(1, 30, 32), torch.tensor([[2, 5, 1]])
    alone = reader(rows, torch.tensor([30]), said)
    padded = reader(pad(rows, (0, 0, 0, 25), value=7.0), torch.tensor([30]), said)
    torch.testing.assert_close(alone, padded)


@torch.no_grad()
def test_it_ends_at_the_end_and_never_runs_on(reader: Reader) -> None:
    rows = torch.randn(30, 32)
    reader.norm.weight.zero_()
    reader.norm.bias.copy_(reader.table[4] * 9)
    assert set(reader.read(rows)) == {4}
    assert len(reader.read(rows)) == 9
    reader.norm.bias.copy_(reader.table[END] * 9)
    assert reader.read(rows) == []


def test_units_are_tokens_of_the_language_model(reader: Reader) -> None:
    assert reader.tokens([1, UNITS]) == [100, 100 + UNITS - 1]
