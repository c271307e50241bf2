"""What ECharts draws: options from figures. Pure.

Colours are the same in both lights; text takes a grey that can be read on either.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta, tzinfo
from typing import Any

from agent.console.words import outcome
from agent.supervisor.statistics import Statistics

GREY = "#7c8899"
LINE = "rgba(125, 137, 153, 0.18)"
ACCENT = "#14988a"
COLOURS = {
    "": "#8b9bb0",
    "accent": ACCENT,
    "violet": "#8a63d2",
    "bad": "#d9534a",
    "warn": "#d99a2b",
    "good": "#3ba55d",
}
FONT = "'Inter Console', system-ui, sans-serif"

Options = dict[str, Any]


def hours(found: Statistics, place: tzinfo) -> Options:
    """Calls over time: by the hour, or by the day when there are many hours."""
    by_day = found.until - found.since > timedelta(days=8)
    names: list[str] = []
    values: list[int] = []
    for hour in found.hours:
        here = hour.hour.astimezone(place)
        name = f"{here.day} {here:%b}" if by_day else f"{here:%a %H}:00"
        if names and names[-1] == name:
            values[-1] += hour.calls
        else:
            names.append(name)
            values.append(hour.calls)
    return {
        **_base(),
        "tooltip": _tooltip("axis"),
        "xAxis": _category(names),
        "yAxis": _value(),
        "series": [
            {
                "type": "bar",
                "name": "Calls",
                "data": values,
                "itemStyle": {"color": ACCENT, "borderRadius": [3, 3, 0, 0]},
                "barMaxWidth": 26,
            }
        ],
    }


def answers(points: Sequence[Statistics], place: tzinfo) -> Options:
    """Percentiles of the time to answer, one point for each stretch of time."""
    hourly = bool(points) and points[0].until - points[0].since <= timedelta(hours=1)
    names = []
    for point in points:
        here = point.since.astimezone(place)
        names.append(f"{here:%H}:00" if hourly else f"{here.day} {here:%b}")
    lines = (
        ("Half", "p50", ACCENT, 2.5),
        ("9 in 10", "p90", "#5b7fd6", 2),
        ("99 in 100", "p99", "#d99a2b", 1.5),
    )
    return {
        **_base(),
        "legend": _legend(),
        "grid": {"left": 8, "right": 14, "top": 40, "bottom": 4, "containLabel": True},
        "tooltip": _tooltip("axis"),
        "xAxis": {**_category(names), "boundaryGap": len(names) < 2},
        "yAxis": {**_value(), "axisLabel": {"color": GREY, ":formatter": "v => v + ' ms'"}},
        "series": [
            {
                "type": "line",
                "name": name,
                "data": [getattr(point.latency_ms, key) for point in points],
                "smooth": 0.25,
                "connectNulls": True,
                "symbolSize": 5,
                "lineStyle": {"width": width},
                "itemStyle": {"color": colour},
            }
            for name, key, colour, width in lines
        ],
    }


def outcomes(found: Statistics) -> Options:
    """How calls ended."""
    data = []
    for name, calls in found.outcomes.items():
        words, colour = ("Running", "good") if name == "running" else outcome(name)
        data.append(
            {"name": f"{words}  {calls}", "value": calls, "itemStyle": {"color": COLOURS[colour]}}
        )
    return {
        **_base(),
        "tooltip": {**_tooltip("item"), "formatter": "{b} ({d} %)"},
        "legend": {**_legend(), "orient": "vertical", "left": "55%", "top": "middle"},
        "series": [
            {
                "type": "pie",
                "radius": ["52%", "78%"],
                "center": ["28%", "50%"],
                "data": data,
                "label": {"show": False},
                "itemStyle": {"borderWidth": 2, "borderColor": "transparent", "borderRadius": 4},
            }
        ],
    }


def tools(found: Statistics) -> Options:
    """How often each tool was used, and how often it failed."""
    uses = list(found.tools)[::-1]
    return {
        **_base(),
        "tooltip": _tooltip("axis"),
        "legend": _legend(),
        "grid": {"left": 8, "right": 24, "top": 36, "bottom": 4, "containLabel": True},
        "xAxis": _value(),
        "yAxis": _category([use.tool for use in uses]),
        "series": [
            _stacked("Done", [use.calls - use.failed for use in uses], ACCENT),
            _stacked("Failed", [use.failed for use in uses], COLOURS["bad"]),
        ],
    }


def _stacked(name: str, data: list[int], colour: str) -> Options:
    return {
        "type": "bar",
        "name": name,
        "stack": "uses",
        "data": data,
        "itemStyle": {"color": colour},
        "barMaxWidth": 18,
    }


def _base() -> Options:
    return {
        "textStyle": {"fontFamily": FONT, "color": GREY},
        "grid": {"left": 8, "right": 14, "top": 18, "bottom": 4, "containLabel": True},
        "animationDuration": 300,
    }


def _tooltip(trigger: str) -> Options:
    return {
        "trigger": trigger,
        "backgroundColor": "rgba(24, 31, 40, 0.94)",
        "borderWidth": 0,
        "textStyle": {"color": "#eef2f6", "fontSize": 12.5},
    }


def _legend() -> Options:
    return {
        "top": 4,
        "left": 8,
        "itemWidth": 11,
        "itemHeight": 11,
        "icon": "roundRect",
        "textStyle": {"color": GREY, "fontSize": 12.5},
    }


def _category(names: list[str]) -> Options:
    return {
        "type": "category",
        "data": names,
        "axisTick": {"show": False},
        "axisLine": {"lineStyle": {"color": LINE}},
        "axisLabel": {"color": GREY, "hideOverlap": True, "alignMinLabel": "left"},
    }


def _value() -> Options:
    return {
        "type": "value",
        "minInterval": 1,
        "axisLabel": {"color": GREY},
        "splitLine": {"lineStyle": {"color": LINE}},
    }
