"""The hosted large model hears while the caller speaks, if its encoder never looks ahead of a chunk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.vita_model.small import TINY, checkpoint, say_by_heart
from vita_model.audio.ctc_head import CtcHead, CtcHeadConfig, save_head
from vita_model.audio.features import filter_bank
from vita_model.engine.load import load_voice_model
from vita_model.engine.vita import VitaVoice
from vita_model.engine.vita_ear import Ear
from vita_model.engine.voice import Done, Heard, Request, Samples, UserSpeech

pytestmark = pytest.mark.integration

CHUNKED = TINY.model_copy(
    update={
        "audio": TINY.audio.model_copy(update={"chunk_size": 4, "left_chunks": 16}),
        "adapter": TINY.adapter.model_copy(update={"padding": "left"}),
        "audio_prompt_rows": 2,
    }
)
RATE = 16_000
SPEECH: Samples = np.random.default_rng(5).normal(0, 0.1, 4 * RATE).astype(np.float32)
BEFORE = Request("s", "Be brief.", [], [], speak=False, max_tokens=20)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VitaVoice]:
    folder = checkpoint(tmp_path_factory.mktemp("chunked"), CHUNKED, teach=say_by_heart)
    torch.manual_seed(3)
    head = CtcHead(CtcHeadConfig(input_size=CHUNKED.audio.hidden_size, chunk_size=4, left_chunks=2))
    torch.nn.init.normal_(head.out.weight, std=2.0)
    save_head(head, folder)
    found = load_voice_model(folder)
    assert isinstance(found, VitaVoice)
    encoder = found.model.language.model.audio_encoder.encoder
    with torch.no_grad():  # random weights give every frame nearly the same row otherwise
        encoder.global_cmvn.mean.fill_(float(filter_bank(torch.from_numpy(SPEECH)).mean()))
        encoder.enc[1].embed[0].weight.mul_(30)
    yield found
    asyncio.run(found.close())


def rows(heard: Heard) -> torch.Tensor:
    found: torch.Tensor = heard.features.rows
    return found


@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.97])
def test_piece_by_piece_gives_the_rows_and_words_of_the_whole(
    voice: VitaVoice, seconds: float
) -> None:
    ear, speech = Ear(voice.model), SPEECH[: int(seconds * RATE)]
    whole = ear.hear(speech)
    early = [ear.hear_partly("s", speech[:end]) for end in range(1_000, len(speech), 5_000)]
    heard = ear.hear(speech)
    assert torch.allclose(rows(heard), rows(whole), atol=1e-5)
    assert rows(whole)[-2:].std(0).max() > 1e-3
    assert heard.transcript == whole.transcript
    for part in early:
        assert whole.transcript.startswith(part.transcript)
        if part.features is not None:
            settled = part.features.names()
            assert heard.features.names()[: len(settled)] == settled


def test_a_caller_who_goes_on_after_a_pause_is_heard_as_a_whole(voice: VitaVoice) -> None:
    ear = Ear(voice.model)
    ear.hear_partly("s", SPEECH[:20_000])
    paused = ear.hear(SPEECH[:26_000])
    ear.hear_partly("s", SPEECH[:40_000])
    heard = ear.hear(SPEECH)
    assert torch.allclose(rows(heard), rows(Ear(voice.model).hear(SPEECH)), atol=1e-5)
    assert paused.features.names()[-1] not in heard.features.names()


def test_what_follows_another_beginning_is_heard_anew(voice: VitaVoice) -> None:
    ear = Ear(voice.model)
    ear.hear_partly("s", SPEECH[:20_000])
    other = SPEECH[::-1].copy()
    heard = ear.hear(other)
    assert torch.equal(rows(heard), rows(Ear(voice.model).hear(other)))
    assert ear.hear(np.zeros(300, np.float32)).features is None


async def _usage(voice: VitaVoice, session_id: str, *, partly: bool) -> Done:
    before = Request(session_id, *(BEFORE.instructions, [], []), speak=False, max_tokens=20)
    if partly:
        for end in range(20_000, len(SPEECH), 10_000):
            await voice.hear_partly(before, SPEECH[:end])
    heard = await voice.hear(SPEECH)
    request = Request(
        session_id, BEFORE.instructions, [], [UserSpeech(heard)], speak=False, max_tokens=20
    )
    events = [event async for event in voice.reply(request)]
    await voice.forget(session_id)
    done = events[-1]
    assert isinstance(done, Done)
    return done


async def test_at_the_end_of_a_turn_only_its_last_rows_are_computed(voice: VitaVoice) -> None:
    assert voice.hears_in_chunks
    at_once = await _usage(voice, "at once", partly=False)
    ahead = await _usage(voice, "ahead", partly=True)
    assert ahead.input_tokens == at_once.input_tokens
    assert at_once.cached_tokens == 0
    assert ahead.cached_tokens > at_once.input_tokens - 50
    assert ahead.output_tokens == at_once.output_tokens


async def test_sound_of_no_numbers_is_refused(voice: VitaVoice) -> None:
    samples = SPEECH.copy()
    samples[17] = np.nan
    with pytest.raises(ValueError, match="no numbers"):
        await voice.hear(samples)
    with pytest.raises(ValueError, match="no numbers"):
        await voice.hear_partly(BEFORE, samples)
