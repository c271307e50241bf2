"""What the demonstration calls: two made-up businesses."""

from pathlib import Path

DEMO_LINES = Path(__file__).with_name("lines.yaml")
"""The lines file of the demonstration."""

CALLERS = Path(__file__).with_name("callers")
"""Recorded questions of its callers."""
