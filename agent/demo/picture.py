"""Draws a call: both sides' sound, who spoke when, what was said, which tools were used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from agent.calls.repository import CallRecord
from agent.demo.verdict import media_began_at

SECONDS_PER_ROW = 16.0

_PAPER = "#ffffff"
_INK = "#1f2933"
_FAINT = "#8a97a6"
_GRID = "#e6eaef"
_CALLER = "#2f6fde"
_CALLER_BAND = "#e4edfd"
_AGENT = "#14855f"
_AGENT_BAND = "#dcf3ea"
_TOOL = "#b25a00"
_TOOL_BAND = "#fdeeda"

_WIDTH = 1600
_MARGIN = 48
_GUTTER = 64
_HEAD = 110
_LANE = 62
_STRIP = 34
_TEXT = 66
_NARROWEST = 150
_SMOOTH = 7
_ROW = 2 * _TEXT + 2 * _LANE + _STRIP + 24
_FINE = 2
"""Drawn this much larger and then reduced: smooth edges."""


@dataclass(frozen=True, slots=True)
class Band:
    """One stretch of a side's speech, in seconds."""

    side: int
    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Flag:
    """A tool call at a moment, in seconds."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class CallSheet:
    """All that is drawn. `sound` is `[samples, 2]` in [-1, 1], caller first."""

    title: str
    subtitle: str
    sound: NDArray[np.float32]
    rate: int
    bands: Sequence[Band]
    flags: Sequence[Flag]

    @property
    def seconds(self) -> float:
        """Length of the call."""
        return len(self.sound) / self.rate


def call_sheet(record: CallRecord, recording: Path) -> CallSheet:
    """What to draw of a stored call.

    Args:
        record: The call.
        recording: Its stereo recording: caller left, agent right.
    """
    sound, rate = soundfile.read(recording, dtype="float32", always_2d=True)
    bands = [
        Band(
            0 if row.role == "caller" else 1,
            row.start_ms / 1000,
            row.end_ms / 1000,
            (row.pii_heard or "") + " –" if row.interrupted else row.pii_text,
        )
        for row in record.utterances
    ]
    began = media_began_at(record)
    flags = [
        Flag((row.started_at - began).total_seconds(), f"{row.tool}({_values(row.pii_arguments)})")
        for row in record.tools
    ]
    call = record.call
    waits = [event.payload["latency_ms"] for event in record.events if event.kind == "turn"]
    parts = [
        f"{call.started_at:%d %B %Y, %H:%M} UTC",
        f"{len(sound) / rate:.0f} s",
        f"{len(waits)} answers",
    ]
    if waits:
        parts.append(f"first sound {np.median(waits):.0f} ms after the caller (median)")
    title = " ".join(filter(None, [call.business, call.to_number]))
    return CallSheet(title, "   ·   ".join(parts), sound, rate, bands, flags)


def draw_call(sheet: CallSheet, path: Path) -> None:
    """Draw a call as rows of 16 seconds and write it as PNG."""
    rows = max(1, int(np.ceil(sheet.seconds / SECONDS_PER_ROW)))
    image = Image.new("RGB", (_WIDTH * _FINE, (_HEAD + rows * _ROW + 16) * _FINE), _PAPER)
    pen = _Pen(ImageDraw.Draw(image))
    _draw_head(pen, sheet)
    for row in range(rows):
        _Row(pen, sheet, row).draw()
    path.parent.mkdir(parents=True, exist_ok=True)
    image.resize((image.width // _FINE, image.height // _FINE), Image.Resampling.LANCZOS).save(path)


class _Pen:
    """Draws in picture units, whatever the picture is reduced by in the end."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw
        self._fonts: dict[float, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: str, *, round_: float = 0
    ) -> None:
        corners = [x0 * _FINE, y0 * _FINE, max(x1, x0 + 1) * _FINE, y1 * _FINE]
        self._draw.rounded_rectangle(corners, round_ * _FINE, fill)

    def line(
        self, x0: float, y0: float, x1: float, y1: float, fill: str, *, width: float = 1
    ) -> None:
        self._draw.line(
            [x0 * _FINE, y0 * _FINE, x1 * _FINE, y1 * _FINE], fill, round(width * _FINE)
        )

    def bars(self, x: float, middle: float, heights: NDArray[np.float64], fill: str) -> None:
        """One fine vertical bar beside the other, symmetric around `middle`."""
        for number, height in enumerate(heights):
            at = x * _FINE + number
            reach = max(height, 0.4) * _FINE
            self._draw.line([at, middle * _FINE - reach, at, middle * _FINE + reach], fill)

    def text(
        self, x: float, y: float, text: str, *, fill: str, size: float, anchor: str = "la"
    ) -> None:
        self._draw.text((x * _FINE, y * _FINE), text, fill, self._font(size), anchor)

    def width(self, text: str, size: float) -> float:
        return self._draw.textlength(text, self._font(size)) / _FINE

    def wrap(self, text: str, width: float, size: float, most: int) -> list[str]:
        """Lines no wider than `width`; what needs more than `most` lines ends with `…`."""
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self.width(longer, size) <= width:
                lines[-1] = longer
            else:
                lines.append(word)
        if len(lines) > most:
            lines = [*lines[: most - 1], lines[most - 1] + " …"]
        return lines

    def _font(self, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        if size not in self._fonts:
            self._fonts[size] = ImageFont.load_default(size * _FINE)
        return self._fonts[size]


def _draw_head(pen: _Pen, sheet: CallSheet) -> None:
    pen.text(_MARGIN, 34, sheet.title, fill=_INK, size=30)
    pen.text(_MARGIN, 78, sheet.subtitle, fill=_FAINT, size=17)
    x = float(_WIDTH - _MARGIN)
    for name, colour in (("tool", _TOOL), ("agent", _AGENT), ("caller", _CALLER)):
        x -= pen.width(name, 17)
        pen.text(x, 42, name, fill=_INK, size=17)
        x -= 24
        pen.box(x, 44, x + 15, 59, colour, round_=4)
        x -= 26


class _Row:
    """Some seconds of the call: the caller's words and lane above the agent's lane and words."""

    def __init__(self, pen: _Pen, sheet: CallSheet, number: int) -> None:
        self._pen = pen
        self._sheet = sheet
        self._start = number * SECONDS_PER_ROW
        self._end = min(self._start + SECONDS_PER_ROW, sheet.seconds)
        top = _HEAD + number * _ROW
        self._lanes = (top + _TEXT, top + _TEXT + _LANE + _STRIP)
        self._left = _MARGIN + _GUTTER
        self._scale = (_WIDTH - _MARGIN - self._left) / SECONDS_PER_ROW

    def draw(self) -> None:
        self._draw_time()
        self._draw_bands()
        for side, colour in enumerate((_CALLER, _AGENT)):
            self._draw_sound(side, colour)
        self._draw_flags()

    def _x(self, second: float) -> float:
        return self._left + (second - self._start) * self._scale

    def _draw_time(self) -> None:
        bottom = self._lanes[1] + _LANE
        for second in range(int(np.ceil(self._start)), int(self._end) + 1, 2):
            x = self._x(second)
            self._pen.line(x, self._lanes[0], x, bottom, _GRID)
        label = f"{int(self._start) // 60}:{int(self._start) % 60:02d}"
        self._pen.text(
            self._left - 14, self._lanes[1] - _STRIP / 2, label, fill=_FAINT, size=16, anchor="rm"
        )

    def _draw_bands(self) -> None:
        """A band that reaches into the next row goes on there; its words stand where it begins."""
        free_from = [0.0, 0.0]
        for band in self._sheet.bands:
            if band.end <= self._start or band.start >= self._start + SECONDS_PER_ROW:
                continue
            x0, x1 = self._x(max(band.start, self._start)), self._x(min(band.end, self._end))
            y = self._lanes[band.side]
            fill = (_CALLER_BAND, _AGENT_BAND)[band.side]
            self._pen.box(x0, y, x1, y + _LANE, fill, round_=8)
            if band.start >= self._start:
                self._draw_words(band, x0, free_from)

    def _draw_words(self, band: Band, x: float, free_from: list[float]) -> None:
        pen, size, step = self._pen, 16, 20
        x = max(free_from[band.side], min(x, _WIDTH - _MARGIN - _NARROWEST))
        following = [
            other.start
            for other in self._sheet.bands
            if other.side == band.side and other.start > band.start
        ]
        until = min([*following, self._start + SECONDS_PER_ROW])
        room = max(self._x(until) - x - 12, _NARROWEST)
        lines = pen.wrap(band.text, room, size, 3)
        top = (
            self._lanes[0] - 8 - step * len(lines) if band.side == 0 else self._lanes[1] + _LANE + 8
        )
        colour = (_CALLER, _AGENT)[band.side]
        for number, line in enumerate(lines):
            pen.text(x + 2, top + step * number, line, fill=colour, size=size)
        free_from[band.side] = x + max((pen.width(line, size) for line in lines), default=0) + 14

    def _draw_sound(self, side: int, colour: str) -> None:
        rate = self._sheet.rate
        samples = self._sheet.sound[int(self._start * rate) : int(self._end * rate), side]
        count = int((self._end - self._start) * self._scale * _FINE)
        if not count or not len(samples):
            return
        edges = np.linspace(0, len(samples), count + 1).astype(int)
        peaks = np.maximum.reduceat(np.abs(samples), np.minimum(edges[:-1], len(samples) - 1))
        loudest = max(float(np.abs(self._sheet.sound[:, side]).max()), 0.05)
        smooth = np.convolve(peaks.astype(np.float64), np.full(_SMOOTH, 1 / _SMOOTH), "same")
        heights = np.sqrt(smooth / loudest) * (_LANE / 2 - 6)
        self._pen.bars(self._left, self._lanes[side] + _LANE / 2, heights, colour)

    def _draw_flags(self) -> None:
        pen, size = self._pen, 15
        for flag in self._sheet.flags:
            if not self._start <= flag.at < self._start + SECONDS_PER_ROW:
                continue
            width = pen.width(flag.text, size) + 20
            x = self._x(flag.at)
            left = min(x, _WIDTH - _MARGIN - width)
            top = self._lanes[1] - _STRIP / 2 - 13
            pen.line(x, self._lanes[0], x, top + 4, _TOOL, width=2)
            pen.box(left, top, left + width, top + 26, _TOOL_BAND, round_=7)
            pen.text(left + 10, top + 13, flag.text, fill=_TOOL, size=size, anchor="lm")


def _values(arguments: str) -> str:
    try:
        given = json.loads(arguments or "{}")
    except ValueError:
        return arguments
    return ", ".join(map(str, given.values())) if isinstance(given, dict) else arguments
