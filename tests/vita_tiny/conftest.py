"""The embedded model, loaded once for all tests that need it."""

import pytest

from tests.vita_tiny.material import FACTS
from vita_model.engine.load import load_voice_model
from vita_model.engine.voice import VoiceModel


@pytest.fixture(scope="session")
def voice() -> VoiceModel:
    return load_voice_model()


@pytest.fixture(scope="session")
def facts() -> str:
    return FACTS.format(opens="9 am")
