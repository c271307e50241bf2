"""The picture of a call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.demo.picture import call_sheet, draw_call
from tests.demo.records import event, record, said, used, write_recording

pytestmark = pytest.mark.unit

BLUE, GREEN, ORANGE = (47, 111, 222), (20, 133, 95), (178, 90, 0)


def _pixels(path: Path, colour: tuple[int, int, int]) -> int:
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(image - np.array(colour)).max(axis=-1) < 12).sum())


def _drawn(tmp_path: Path, **parts: object) -> Path:
    recording = write_recording(tmp_path / "call.wav", 20.0)
    talk = [
        said("caller", 0, 1.5, "when do you open"),
        said("agent", 2, 4, "We open at 9 am. " * 12),
        said("agent", 15.8, 18, "Goodbye.", heard="Good"),
    ]
    stored = record(talk, recording=recording, **parts)  # type: ignore[arg-type]
    path = tmp_path / "pictures" / "call.png"
    draw_call(call_sheet(stored, recording), path)
    return path


def test_it_shows_both_sides_in_rows(tmp_path: Path) -> None:
    path = _drawn(tmp_path)
    with Image.open(path) as image:
        assert image.width == 1600
        assert image.height > 2 * 250, "20 s take two rows"
    assert _pixels(path, BLUE) > 5_000
    assert _pixels(path, GREEN) > 5_000


def test_tools_get_a_flag(tmp_path: Path) -> None:
    plain = _pixels(_drawn(tmp_path), ORANGE)
    flagged = _drawn(tmp_path, tools=[used("lookup_order", 1.7, {"order_id": "48213"})])
    assert _pixels(flagged, ORANGE) > plain + 100


def test_the_head_tells_the_latency(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "call.wav", 5)
    stored = record([], events=[event("turn", 3, latency_ms=400), event("turn", 4, latency_ms=600)])
    sheet = call_sheet(stored, recording)
    assert "500 ms" in sheet.subtitle
    assert sheet.title == "Brightside Dental +15550100"
    assert (sheet.seconds, sheet.bands, sheet.flags) == (5.0, [], [])


def test_an_empty_recording_is_drawn_too(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "call.wav", 0)
    draw_call(call_sheet(record([]), recording), tmp_path / "call.png")
    assert (tmp_path / "call.png").stat().st_size > 0
