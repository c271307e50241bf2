from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from vita_model.cli import app
from vita_model.golden import speech
from vita_model.golden.audio import check_filter_bank
from vita_model.golden.case import Case, judge
from vita_model.golden.run import cases_under, run_case

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parents[1] / "golden"
# Cases of placement hold nothing but the token table here; test_splice.py looks after them.
WHOLE = [case for case in cases_under(GOLDEN) if case.component != "multimodal_placement"]
SMALL = "e6_infer_penalty"


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.name)
def test_a_component_equals_the_reference(case):
    outcome = run_case(case)
    assert outcome.failures == ()
    assert outcome.compared > 0


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(GOLDEN / SMALL, tmp_path / "cases" / SMALL)
    return tmp_path / "cases"


@pytest.fixture(scope="module")
def computed():
    with torch.inference_mode():
        return list(speech.check_generation(Case(GOLDEN / SMALL)))


def test_a_continuation_may_be_one_token_long(tmp_path):
    name = "d1_mixed_logits_greedy"
    shutil.copytree(GOLDEN / name, tmp_path / name)
    case = Case(tmp_path / name)
    (case.folder / "config.json").write_text(json.dumps(case.config | {"max_new_tokens": 1}))
    outputs = {key: value for key, value in case.outputs.items() if "decode" not in key}
    for key in ("generated_ids", "step_logits"):
        outputs[key] = outputs[key][:, :1].clone()
    save_file(outputs, case.folder / "outputs.safetensors")
    assert run_case(Case(case.folder)).failures == ()


def command(*arguments):
    return CliRunner().invoke(app, ["check-golden", *map(str, arguments)])


def change(folder, kind, **tensors):
    path = folder / SMALL / f"{kind}.safetensors"
    save_file(load_file(path) | tensors, path)


def test_the_command_prints_a_table(copy):
    result = command(copy)
    assert result.exit_code == 0
    assert "1 of 1 golden cases agree" in result.output
    assert SMALL in result.output


def test_a_difference_ends_with_status_one_and_names_the_output(copy):
    outputs = Case(copy / SMALL).outputs
    change(copy, "outputs", raw_step_logits=outputs["raw_step_logits"] + 0.01)
    result = command(copy, "--json")
    assert result.exit_code == 1
    (case,) = json.loads(result.output)
    assert case["largest_difference"] == pytest.approx(0.01, abs=1e-3)
    assert case["failures"] == ["raw_step_logits differs by 1.0e-02"]


@pytest.mark.parametrize(
    ("tensor", "failure"),
    [
        ({"tokens": torch.zeros(48, dtype=torch.int64)}, "tokens is not equal"),
        ({"pre_nn_out": torch.zeros(1, 2, 32)}, "pre_nn_out is (1, 8, 32), not (1, 2, 32)"),
        ({"pre_nn_out": torch.full((1, 8, 32), torch.nan)}, "pre_nn_out differs by inf"),
        ({"other": torch.zeros(1)}, "not computed: other"),
    ],
)
def test_every_kind_of_disagreement_is_told(tensor, failure, copy, computed):
    change(copy, "outputs", **tensor)
    assert judge(Case(copy / SMALL), computed).failures == (failure,)


def test_weights_that_do_not_fit_are_a_failure_not_a_crash(copy):
    change(copy, "weights", surplus=torch.zeros(1))
    outcome = run_case(Case(copy / SMALL))
    assert "1 surplus: surplus" in outcome.failures[0]


def test_truncated_files_and_unknown_components_are_a_failure(copy):
    path = copy / SMALL / "inputs.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    (failure,) = run_case(Case(copy / SMALL)).failures
    assert "inputs.safetensors is not a readable safetensors file" in failure
    (copy / SMALL / "config.json").write_text('{"component": "parrot"}')
    (failure,) = run_case(Case(copy / SMALL)).failures
    assert "component 'parrot' is none of internvit" in failure


def test_a_folder_without_cases_is_told(tmp_path):
    result = command(tmp_path)
    assert result.exit_code == 4
    assert "there is no golden case under" in result.output


def test_nearly_all_of_a_filter_bank_is_compared():
    (case,) = (case for case in WHOLE if case.name == "b0_fbank_q1")
    bank, *_ = check_filter_bank(case)
    assert bank.where is not None
    assert float(bank.where.float().mean()) > 0.99
