"""The whole model says a text, early and in any voice it has codes for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.vita_model.small import TINY, checkpoint, tokenizer
from vita_model.assembly import VitaForConditionalGeneration, build_model
from vita_model.media import AudioError
from vita_model.speech.decoder import SpeechSampling
from vita_model.speech.speak import VoicelessError, condition, speak, voice_of
from vita_model.speech.synthesis import ChunkPlan, PublishedPlan

pytestmark = pytest.mark.unit

SAMPLING = SpeechSampling(top_k=2, max_codes=40)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(11)
    made = build_model(TINY)
    made.speech.eval()
    made.codec.eval()
    made.language.eval()
    with torch.no_grad():
        made.speech.out_fnn.bias[TINY.speech.end] = -100.0  # never ends by itself
    return made


def said(model, text, **options):
    source = torch.Generator().manual_seed(1)
    return list(speak(model, tokenizer(), text, sampling=SAMPLING, generator=source, **options))


def test_speech_comes_in_pieces_and_the_first_is_short(model):
    pieces = said(model, "At 9:30.")
    assert pieces[0].shape[0] == 4 * 600
    assert sum(piece.shape[0] for piece in pieces) == 40 * 600
    assert max(float(piece.abs().max()) for piece in pieces) <= 1.0


def test_what_is_read_is_what_is_said_not_what_is_written(model):
    written, spelt = said(model, "It costs £2."), said(model, "it costs two pounds.")
    assert all(torch.equal(one, two) for one, two in zip(written, spelt, strict=True))


def test_every_phrase_is_spoken_and_marks_alone_are_not(model):
    assert sum(p.shape[0] for p in said(model, "Yes. We do!\n你好。再见。 ... ?")) == 4 * 40 * 600
    assert said(model, " ... \n") == []


def test_the_decoder_reads_the_rows_of_the_words_in_pieces(model):
    found = condition(model, tokenizer(), "ab")
    table = model.language.get_input_embeddings().weight
    ids = tokenizer().encode("ab").ids
    assert torch.equal(found, table[ids].reshape(1, -1, 8))


def test_a_recording_gives_a_voice(model):
    noise = np.random.default_rng(3).normal(0, 0.1, 16_000).astype("float32")
    voice = voice_of(model, (noise, 16_000))
    assert voice.shape == (1, 1, 8)
    other = said(model, "Yes.", voice=(voice + 1) % TINY.codec.codes)
    assert not torch.equal(torch.cat(other), torch.cat(said(model, "Yes.", voice=voice)))
    with pytest.raises(AudioError, match="no recording"):
        voice_of(model, (np.zeros(0), 16_000))


@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_growing_text_is_spoken_like_the_whole_one(model, step):
    text = "It is £2.50.  We open at 9:30! Yes;\nno. 你好。再见"
    pieces = (text[at : at + step] for at in range(0, len(text), step))
    growing, whole = said(model, pieces), said(model, text)
    assert all(torch.equal(one, two) for one, two in zip(growing, whole, strict=True))


def test_a_phrase_is_spoken_before_the_next_is_written(model):
    written = []

    def writing():
        for piece in ("Yes. ", "We do."):
            written.append(piece)
            yield piece

    speech = speak(model, tokenizer(), writing(), sampling=SAMPLING)
    assert next(speech).shape[0] == 4 * 600
    assert written == ["Yes. "]


def test_the_published_way_waits_longer_and_cuts_at_quiet_places(model):
    plan = PublishedPlan(first=ChunkPlan(chunk=20, window=401, threshold=1.0), level=0.0)
    early, published = said(model, "Yes. No."), said(model, "Yes. No.", plan=plan)
    assert 20 * 300 < published[0].shape[0] <= 20 * 600, "of 20 ids all up to a quiet place"
    assert len(published) == 2 + 1, "nothing is quiet enough in the second phrase"
    whole = torch.cat(published)
    lost = 80 * 600 - whole.shape[0]
    assert 0 <= lost < 600, "the silence in front"
    assert (whole - torch.cat(early)[lost:]).abs().max() < 0.05
    quiet = PublishedPlan(level=2.0)
    assert said(model, "Yes. No.", plan=quiet) == []


def test_speaking_is_a_method_of_a_loaded_model(tmp_path):
    model = VitaForConditionalGeneration.from_pretrained(checkpoint(tmp_path))
    likeliest = SpeechSampling(top_k=1, max_codes=9)
    pieces = list(model.speak("Yes.", tokenizer(), sampling=likeliest))
    assert [piece.shape[0] for piece in pieces] == [4 * 600, 5 * 600]
    with pytest.raises(VoicelessError, match="from_pretrained"):
        build_model(TINY).language.speak("Yes.", tokenizer())


def test_a_model_without_a_voice_says_so():
    mute = build_model(TINY.model_copy(update={"speech": None}))
    with pytest.raises(VoicelessError, match="cannot speak"):
        said(mute, "Yes.")
