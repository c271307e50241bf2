"""Finds golden cases and runs them through the modules and the loader used in production."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from vita_model.checkpoint import CheckpointError
from vita_model.golden import audio, language, speech, vision
from vita_model.golden.case import Case, Found, Outcome, judge

Check = Callable[[Case], Iterator[Found]]

CHECKS: dict[str, Check] = {
    "internvit": vision.check,
    "fbank": audio.check_filter_bank,
    "whale": audio.check_encoder,
    "whale_stream": audio.check_stream,
    "multimodal_placement": language.check_placement,
    "vita_qwen2": language.check_model,
    "tts_decoder_forward": speech.check_training,
    "tts_decoder_infer": speech.check_generation,
    "tts_stream": speech.check_stream,
    "silence_cut": speech.check_silence,
    "codec": speech.check_codec,
}
"""What compares the cases of each component."""

OUTPUTS = "outputs.safetensors"


def cases_under(folder: Path) -> list[Case]:
    """All cases in `folder` and below, by name: folders with a configuration and outputs.

    Raises:
        CheckpointError: There is none.
    """
    configs = [path for path in folder.rglob("config.json") if (path.parent / OUTPUTS).is_file()]
    if not configs:
        raise CheckpointError(f"there is no golden case under {folder}")
    return [Case(path.parent) for path in sorted(configs)]


@torch.inference_mode()
def run_case(case: Case) -> Outcome:
    """Compute the outputs of a case and judge them; what cannot be computed is a failure, told why."""
    try:
        check = CHECKS.get(case.component)
        if check is None:
            known = ", ".join(CHECKS)
            raise CheckpointError(f"component {case.component!r} is none of {known}")
        return judge(case, list(check(case)))
    except KeyError as error:
        reason = f"{error.args[0]!r} is missing in the case"
    except (ValueError, RuntimeError) as error:  # refused, or of shapes torch cannot work with
        reason = _sentence(error)
    return Outcome(case.name, _about(case), None, 0, (reason,))


def _about(case: Case) -> str:
    try:
        return case.component
    except CheckpointError:
        return "unknown"


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())
