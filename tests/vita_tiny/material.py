"""What the embedded model is asked in tests."""

from pathlib import Path

import numpy as np
import soundfile
import soxr

from agent.demo import CALLERS
from vita_model.engine.voice import Samples

FACTS = """You answer the phone for Brightside Dental. You are friendly. Answer briefly and only from these facts.
- Open Monday to Friday: {opens} to 5:30 pm
- Saturday: 10 am to 2 pm
- Sunday: closed
- Address: 14 Mill Lane, Harrow
- Cleaning: $85
- Parking: free behind the building"""


def question(name: str) -> Samples:
    """A recorded question about a picture (`what_colour`, `what_number`, `what_do_you_see`).

    Kokoro-82M's packs jm_kumo and jf_alpha read them; no training clip uses these voices.
    """
    samples, _ = soundfile.read(Path(__file__).with_name(f"{name}.flac"), dtype="float32")
    heard: Samples = samples
    return heard


def recording(name: str) -> Samples:
    """One of the demo's recordings at the listener's rate."""
    samples, rate = soundfile.read(CALLERS / f"{name}.wav", dtype="float32")
    resampled: Samples = soxr.resample(samples, rate, 16_000).astype(np.float32)
    return resampled
